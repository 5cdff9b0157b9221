#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: info and doctor say of each interface and queue the same as the library: which can take
# device memory, why the others cannot, and who has them. usage: cli.sh NIC_TOOL LANDFALL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2
load queues=4 mtu=4148

# says REASONS USABLE QUEUE3 [PREFIX...]: what info has against lf0, its usable queues, and what it
# has against queue 3. One look at each state: programs start slowly in an emulation.
says() {
  local wanted="$1 $2 $3" got
  shift 3
  got=$("$@" "$landfall" info --json | python3 -c '
import json, sys
nic = next(i for i in json.load(sys.stdin)["interfaces"] if i["name"] == "lf0")
names = lambda reasons: ",".join(r["name"] for r in reasons) or "none"
print(names(nic["reasons"]), ",".join(str(q["id"]) for q in nic["queues"] if q["usable"]) or "none",
      names(nic["queues"][3]["reasons"]))')
  [ "$got" = "$wanted" ] || die "info says of lf0: $got, not $wanted"
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

echo "-- a queue that somebody has"
receiver_start 5001 --devmem lf0 --queue 3
says none 2 queue_busy
kill "$receiver"
wait "$receiver" || true

echo "-- without the capability, and down"
says not_permitted none none setpriv --bounding-set=-net_admin --inh-caps=-net_admin
ip link set lf0 down
says none 2,3 none
