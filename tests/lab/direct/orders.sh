#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: whatever order of transports somebody asks for, the same bytes come, by the first one that can
# serve, and the Decision says why not by those before it. usage: orders.sh NIC_TOOL LANDFALL
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
landfall=$2 file=$work/file
head -c 8000000 "$landfall" >"$file"
size=$(stat -c %s "$file") sum=$(sha256sum <"$file")
load queues=4 mtu=4148
ethtool -X lf0 equal 3
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"

receive() {  # receive ORDER MEMORY: what the report says, to $work/said.N
  rm -rf "$work"/{port,received}
  mkdir "$work/received"
  "$landfall" recv --interface lf0 --memory "$2" --size 16MiB --transport "$1" --listen "$here:0" --once \
    --to "$work/received/" --port-file "$work/port" --report "$work/report.$count" >/dev/null &
  receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 "$receiver" 2>/dev/null || die "$1: the receiver ended before it listened"
    pause 0.05
  done
  peer "$landfall" send --to "$here:$(cat "$work/port")" "$file" >/dev/null || die "$1: sender"
  wait "$receiver" || die "$1: receiver"
  [ "$(sha256sum <"$work/received/file")" = "$sum" ] || die "$1: the copy differs"
}
# wants ORDER MEMORY CHOSEN WHY...: WHY: the reason of each one before it. Compared at the end, all at once.
count=0
wants() {
  count=$((count + 1))
  receive "$1" "$2"
  echo "$*" >"$work/wanted.$count"
}

echo "-- header split off: only tcp can"
for order in devmem-tcp,zcrx,tcp zcrx,devmem-tcp,tcp; do
  wants $order udmabuf tcp header_split_off header_split_off
done
echo "-- all can: the first"
"$tool" hds lf0 on
for order in devmem-tcp,zcrx,tcp devmem-tcp,tcp,zcrx zcrx,devmem-tcp,tcp zcrx,tcp,devmem-tcp \
  tcp,devmem-tcp,zcrx tcp,zcrx,devmem-tcp; do
  wants $order udmabuf "${order%%,*}"
done
echo "-- host memory: no dma-buf"
wants devmem-tcp,zcrx,tcp host zcrx needs_dmabuf
wants devmem-tcp,tcp,zcrx host tcp needs_dmabuf

python3 - "$work" "$count" "$size" <<'END'
import json, sys
work, count, size = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
for n in range(1, count + 1):
    order, memory, chosen, *why = open(f"{work}/wanted.{n}").read().split()
    report = json.load(open(f"{work}/report.{n}"))
    decision, verdict = report["decision"], report["verdict"]
    asked = {c["name"]: c for c in decision["candidates"]}
    said = [asked[name]["reasons"][0]["name"] for name in order.split(",")[: len(why)]]
    usable = [name for name in order.split(",") if asked[name]["usable"]]
    direct, rest = verdict["direct_bytes"], verdict["copied_bytes"]
    if memory == "host":  # there zcrx cannot be sure of all
        direct += verdict["unsure_bytes"]
    if chosen == "tcp":
        direct, rest = rest, direct
    print(order, memory, decision["chosen"], said, verdict["direct_bytes"], verdict["copied_bytes"])
    if (decision["chosen"], said, usable[0], rest) != (chosen, why, chosen, 0) or direct < size:
        sys.exit(f"FAIL: wanted {chosen} {why}: {report}")
END
