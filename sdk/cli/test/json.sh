#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: JSON keeps its shape: names, order and kinds of all fields are as in the golden files.
# With UPDATE=1 the golden files are written anew.
. "$(dirname "$0")/common.sh"
update=${UPDATE:-}

# Every value becomes its kind, and rows that look alike become one.
shape() {
  python3 -c '
import json, sys
def kind(v):
    if isinstance(v, dict): return {k: kind(x) for k, x in v.items()}
    if isinstance(v, list):
        rows = []
        for x in map(kind, v):
            if x not in rows: rows.append(x)
        return sorted(rows, key=json.dumps)
    if isinstance(v, bool): return "bool"
    if isinstance(v, (int, float)): return "number"
    return v if v in ("1.0", "summary", "progress") else "null" if v is None else "text"
for line in sys.stdin: print(json.dumps(kind(json.loads(line)), indent=1))'
}
command -v python3 >/dev/null || skip "python3 is not there to read JSON"

check() {
  shape <"$2" >"$1.shape"
  if [ -n "$update" ]; then cp "$1.shape" "$here/golden/$1.json"; fi
  diff "${3:-$here/golden/$1.json}" "$1.shape" >"$1.out" || fail "the shape of $1 has changed"
}

# The model stands for all hosts: it is there everywhere, and its best placement is direct.
"$landfall" explain LF1103 --json >explain.json
"$landfall" info --json --plugin "$plugin" >info.json
# Of the interfaces the one that is everywhere.
only_loopback() {
  python3 -c '
import json, sys
info = json.load(sys.stdin)
info["interfaces"] = [i for i in info["interfaces"] if i["name"] == "lo"]
info["rdma_devices"] = []
print(json.dumps(info))'
}
only_loopback <info.json >info_lo.json
golden_info=$here/golden/info.json
if grep -q nic_support_missing info.json; then  # built without libnl-3: it says so instead
  python3 - "$golden_info" >info_golden.shape <<'END'
import json, sys
golden = json.load(open(sys.argv[1]))
golden["interfaces_reasons"] = golden["interfaces"][0]["reasons"]
golden["interfaces"] = []
print(json.dumps(golden, indent=1))
END
  golden_info=info_golden.shape
fi
"$landfall" doctor --json --plugin "$plugin" >doctor.json
"$landfall" bench --json --seconds 1 --transport devmem-model --plugin "$plugin" >bench.json
start_recv --once --to got/ --json --report report --transport devmem-model --plugin "$plugin"
head -c 3000000 /dev/urandom >data
"$landfall" send data --to "127.0.0.1:$port" --json >send.json
end_recv 0
cmp data got/data || fail "the file differs"
tail -n 1 recv.out >recv.json
cmp recv.json report || fail "--report differs from what --json prints"
tail -n 1 send.json >send_last.json
check explain explain.json
check info info_lo.json "$golden_info"
check doctor doctor.json
check bench bench.json
check recv recv.json
check send send_last.json
rm info_lo.json
for file in ./*.json; do grep -q '^{"format_version":"1.0"' "$file" || fail "$file has no version"; done
echo ok
