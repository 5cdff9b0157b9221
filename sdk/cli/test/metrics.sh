#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a receiver answers with what it has received, in the form that Prometheus reads, and no client
# that misbehaves keeps it from that.
. "$(dirname "$0")/common.sh"
head -c 5000000 /dev/urandom >sent
echo small >small
"$landfall" recv --listen 127.0.0.1:0 --port-file port --metrics 127.0.0.1:0 --to received/ 2>recv.err >recv.out &
receiver=$!
trap 'kill "$receiver" 2>/dev/null || true' EXIT
for ((i = 0; i < 100; i++)); do [ ! -s port ] || break; sleep 0.1; done
[ -s port ] || fail "no receiver: $(cat recv.err)"
url=$(sed -n 's/^landfall recv: metrics at //p' recv.err)
[ -n "$url" ] || fail "it does not say where: $(cat recv.err)"
python3 - "$url" "$(cat port)" "$landfall" "$here/../../../config/landfall-dashboard.json" <<'END' || fail "metrics: $(cat recv.err)"
import json, re, socket, subprocess, sys, time, urllib.error, urllib.request
url, port, landfall, dashboard = sys.argv[1:]
host = (url.split("/")[2].split(":")[0], int(url.split(":")[2].split("/")[0]))

def metrics():
    with urllib.request.urlopen(url, timeout=5) as answer:
        assert answer.headers["Content-Type"].startswith("text/plain; version=0.0.4")
        text = answer.read().decode()
    values, typed = {}, set()
    for line in text.splitlines():
        if line.startswith("# TYPE "):
            typed.add(line.split()[2])
        elif not line.startswith("#"):
            sample = re.fullmatch(r'([a-z_]+)(\{[a-z]+="[^"]*"\})? ([0-9.e+-]+)', line)
            assert sample and sample[1] in typed, line
            values[(sample[1], sample[2] or "")] = float(sample[3])
    return values

before = metrics()
assert before[("landfall_rx_streams_total", "")] == 0
assert before[("landfall_region_bytes", "")] == 64 << 20
# The dashboard asks for nothing that is not there.
panels = json.load(open(dashboard))["panels"]
asked = {name for panel in panels for target in panel["targets"]
         for name in re.findall(r"landfall_[a-z_]+", target["expr"])}
assert len(asked) >= 6 and asked <= {name for name, _ in before}, asked
# One that says nothing, one that says too much, one that goes in the middle, one that asks for other things.
silent = socket.create_connection(host)
loud = socket.create_connection(host)
loud.sendall(b"x" * 100000)
gone = socket.create_connection(host)
gone.sendall(b"GET /met")
gone.close()
for wrong in ("/", "/metricsx"):
    try:
        urllib.request.urlopen(url.replace("/metrics", wrong), timeout=10)
        sys.exit("no 404 of " + wrong)
    except urllib.error.HTTPError as error:
        assert error.code == 404
def received(name, files):
    subprocess.run([landfall, "send", name, "--to", "127.0.0.1:" + port], check=True, capture_output=True)
    deadline = time.time() + 10
    while True:
        after = metrics()
        if after[("landfall_rx_files_total", "")] == files and after[("landfall_rx_streams", "")] == 0: return after
        assert time.time() < deadline, after
        time.sleep(0.05)
after = received("sent", 1)
assert after[("landfall_rx_bytes_total", '{placement="copied"}')] > 5000000
assert after[("landfall_rx_streams_failed_total", "")] == 0
# These are over before anybody has looked twice.
for files in range(2, 12): received("small", files)
END
kill -INT "$receiver"
wait "$receiver" || true
expect 64 "$landfall" recv --listen 127.0.0.1:0 --metrics nonsense --to received/
"$landfall" topo >/dev/null || fail topo
"$landfall" topo --json | python3 -c 'import json, sys; json.load(sys.stdin)["nics"]' || fail "topo --json"
echo ok
