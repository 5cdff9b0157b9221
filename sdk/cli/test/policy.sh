#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: validate names each fault by file, line and column, for people and programs; schema is the one
# that is shipped.
. "$(dirname "$0")/common.sh"
config=$here/../../../config

if ! "$landfall" validate "$config/gpu-ingest.yaml" >first.out 2>first.err; then
  grep -q LF1519 first.err && skip "this landfall was built without yaml-cpp"
  fail "a policy that is shipped is refused: $(cat first.err)"
fi
for file in "$config"/*.yaml; do
  expect 0 "$landfall" validate "$file"
  [ ! -s last.err ] || fail "$file: a good policy is commented on"
  grep -q ': valid: ' last.out || fail "$file: not said to be valid"
done

sed 's/queues: 4/queus: 4/; s/to: ingest/to: ingets/' "$config/gpu-ingest.yaml" >wrong.yaml
expect 65 "$landfall" validate wrong.yaml
[ ! -s last.out ] || fail "findings are on standard output"
grep -q '^wrong.yaml:[0-9]*:5: error\[LF1513\]: ' last.err || fail "no place: $(cat last.err)"
grep -A 3 LF1513 last.err | grep -qx '      ^' || fail "no caret"
grep -q "^hint: did you mean 'queues'?" last.err || fail "no hint"
expect 65 "$landfall" validate - <wrong.yaml
grep -q '^(standard input):' last.err || fail "standard input has no name"

expect 65 "$landfall" validate wrong.yaml --json
python3 - last.out <<'END' || fail "JSON: $(cat last.out)"
import json, sys
answer = json.load(open(sys.argv[1]))
assert answer["format_version"] == "1.0" and answer["valid"] is False
finding = next(f for f in answer["findings"] if f["code"] == "LF1513")
assert finding["file"] == "wrong.yaml" and finding["column"] == 5 and finding["line"] > 1
assert finding["path"] == "receivers.ingest.queus", finding
END
expect 0 "$landfall" validate "$config/host-ingest.yaml" --json
grep -q '"valid":true,"findings":\[\]' last.out || fail "JSON of a good policy: $(cat last.out)"

# A receiver runs where its policy says, and does not sleep at once.
cat >placed.yaml <<'END'
version: 1
memory: {m: {source: host, size: 1MiB}}
receivers:
  ingest: {interface: nosuch0, queues: 1, memory: m, transports: [tcp], cpus: [0], busy_poll: 20ms}
END
"$landfall" recv --policy placed.yaml --receiver ingest --listen 127.0.0.1:0 --state "$PWD/state" \
  --port-file port --to landed/ --once >recv.out 2>&1 &
receiver=$!
for ((i = 0; i < 100; i++)); do [ ! -s port ] || break; sleep 0.1; done
grep -qx "Cpus_allowed_list:.0" "/proc/$receiver/status" || fail "not on processor 0: $(cat recv.out)"
expect 0 "$landfall" send --to "127.0.0.1:$(cat port)" placed.yaml
wait "$receiver" || fail "recv: $(cat recv.out)"
cmp placed.yaml landed/placed.yaml || fail "the file differs"
sed 's/cpus: .0./cpus: [1023]/' placed.yaml >nowhere.yaml
expect 64 "$landfall" recv --policy nowhere.yaml --receiver ingest --to landed/
grep -q 'receivers.ingest.cpus: processor 1023' last.err || fail "not named: $(cat last.err)"

expect 1 "$landfall" validate nosuch.yaml
grep -q 'nosuch.yaml' last.err || fail "the missing file is not named"
expect 0 "$landfall" schema
cmp last.out "$config/policy.schema.json" || fail "landfall schema >config/policy.schema.json"
echo ok
