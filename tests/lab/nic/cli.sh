#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: info and doctor say of each interface and queue the same as the library: which can take
# device memory, why the others cannot, and who has them. usage: cli.sh NIC_TOOL LANDFALL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2
load queues=4 mtu=4148

# says REASONS USABLE QUEUE3 [PREFIX...]: what info has against lf0, its usable queues, and what it
# has against queue 3. And: lf0 can send from a dma-buf where the kernel can, loopback cannot. Compared at the end, all at once: programs start slowly in an emulation.
said=0
says() {
  echo "$1 $2 $3" >"$work/wanted.$((++said))"
  shift 3
  "$@" "$landfall" info --json >"$work/info.$said"
}
compare() {
  python3 - "$work" "$said" <<'END'
import json, sys
names = lambda reasons: ",".join(r["name"] for r in reasons) or "none"
for n in range(1, int(sys.argv[2]) + 1):
    info = json.load(open(f"{sys.argv[1]}/info.{n}"))
    nic = next(i for i in info["interfaces"] if i["name"] == "lf0")
    usable = ",".join(str(q["id"]) for q in nic["queues"] if q["usable"]) or "none"
    got = f"{names(nic['reasons'])} {usable} {names(nic['queues'][3]['reasons'])}"
    wanted = open(f"{sys.argv[1]}/wanted.{n}").read().strip()
    sends = {i["name"]: names(i["sends"]["reasons"]) for i in info["interfaces"]}
    old = info["kernel"]["release"].startswith("6.12")
    if sends["lf0"] != ("kernel_too_old" if old else "none") or (
        sends["lo"] != ("kernel_too_old" if old else "no_netmem_tx")):
        sys.exit(f"FAIL: info says of sending: {sends}")
    if got != wanted: sys.exit(f"FAIL: info says of lf0 at look {n}: {got}, not {wanted}")
END
}
doctor() {  # doctor TEXT: its line about lf0 holds it; its remedy is in $remedy
  local said
  said=$("$landfall" doctor | grep -A1 'nic lf0')
  grep -q "nic lf0: .*$1" <<<"$said" || die "doctor: $said"
  remedy=$(sed -n 's/^ *try: //p' <<<"$said")
}

says header_split_off none queue_in_rss
"$tool" hds lf0 on
doctor "spreads other traffic"

echo "-- the command that doctor names helps: $remedy"
$remedy
says none 3 none
ethtool -X lf0 equal 2
doctor "2 of 4 receive queues can take device memory"
[[ $LANDFALL_LAB_KREL == 6.12* ]] || "$landfall" doctor | grep "nic lf0, sending: .*can send from a dma-buf" >/dev/null ||
  die "doctor: nothing of sending"

echo "-- the transports, with an interface that can take them"
transports() {  # transports [PREFIX...]: doctor's lines about devmem-tcp and zcrx, with their remedies
  "$@" "$landfall" doctor | grep -A1 -E 'transport (devmem-tcp|zcrx):'
}
lines=$(transports)
grep -q "PASS  transport devmem-tcp: usable with lf0, at best direct" <<<"$lines" || die "doctor: $lines"
if [[ $LANDFALL_LAB_KREL == 6.12* ]]; then
  grep -q "WARN  transport zcrx: .*needs Linux 6.15" <<<"$lines" || die "doctor: $lines"
else
  grep -q "PASS  transport zcrx: usable with lf0, at best direct" <<<"$lines" || die "doctor: $lines"
  lines=$(transports setpriv --bounding-set=-net_admin --inh-caps=-net_admin)
  grep -A1 "WARN  transport zcrx: .*needs CAP_NET_ADMIN in the initial user namespace" <<<"$lines" |
    grep -q "AmbientCapabilities=CAP_NET_ADMIN" || die "doctor: $lines"
fi

echo "-- a queue that somebody has"
receiver_start 5001 --devmem lf0 --queue 3
says none 2 queue_busy
kill "$receiver"
wait "$receiver" || true

echo "-- without the capability, and down"
says not_permitted none none setpriv --bounding-set=-net_admin --inh-caps=-net_admin
ip link set lf0 down
says none 2,3 none
compare
