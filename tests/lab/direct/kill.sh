#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a receiver that is killed at any moment leaves no binding, no rule and no page behind, and
# another one beside it loses nothing.
# usage: [LANDFALL_LAB_TRANSPORT=NAME] kill.sh NIC_TOOL DIRECT_RECEIVE DIRECT_LEFT [KILLS [SEED]]
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2 left=$3
transport=${LANDFALL_LAB_TRANSPORT:-devmem-tcp}
kills=${4:-25}
[ -z "${LANDFALL_SOAK-}" ] || kills=500
RANDOM=${5:-7}
load queues=4 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"

declare -A hits
phase_of() {  # what the receiver says that it does: $phase
  phase=
  [ ! -e "$work/phase" ] || read -r -d '' phase <"$work/phase" || true
}
phase_is() { phase_of; [[ $phase == "$1"* ]]; }  # phase_is WORD
moment() { pause "0.$((RANDOM % 3))$((RANDOM % 10))"; }
for ((i = 0; i < kills; i++)); do
  rm -f "$work/phase"
  if ((i % 8 == 7)); then  # while it binds and unbinds
    "$receiver_tool" churn ${transport:+--transport "$transport"} --devmem lf0 --queue 3 --phase "$work/phase" 5001 >/dev/null 2>&1 &
    receiver=$!
    until [ -s "$work/phase" ]; do pause 0.01; done
    moment
    # At once when it says so: both are short.
    wanted=bind
    ((i % 16 == 7)) || wanted=close
    until phase_is "$wanted"; do :; done
  else
    receiver_start 5001 --devmem lf0 --queue 3 --hold 1000 --pool 33554432 --phase "$work/phase"
    exec 8<&-
    peer timeout "$patience" "$tool" send "$here" 5001 4096000000 2>/dev/null &
    until phase_is hold; do pause 0.01; done
    moment
  fi
  kill -9 "$receiver"
  phase_of
  hits[${phase:-start}]=$((${hits[${phase:-start}]:-0} + 1))
  nothing_left || die "kill $i in '$phase' left $state"
  wait 2>/dev/null || true
done
for phase in "${!hits[@]}"; do echo "killed in $phase: ${hits[$phase]}"; done
expect "kills with extents out, in percent" $((${hits[hold]:-0} * 100 / kills)) -ge 80

echo "-- the other queue's receiver goes on"
receiver_start 5002 --devmem lf0 --queue 2 --pool 33554432
other=$receiver
exec 9<&8 8<&-
peer timeout "$patience" "$tool" send "$here" 5002 409600000 &
receiver_start 5001 --devmem lf0 --queue 3 --hold 1000 --phase "$work/phase"
exec 8<&-
peer timeout "$patience" "$tool" send "$here" 5001 4096000000 2>/dev/null &
until phase_is hold; do pause 0.01; done
kill -9 "$receiver"
result=$(cat <&9)
exec 9<&-
echo "$result"
wait "$other" || die "the other receiver"
expect "bytes of the other" "$(value devmem)" -eq 409600000
expect "wrong pieces of the other" "$(value wrong)" -eq 0
expect "milliseconds without a byte" "$(value pause_ms)" -lt 1000
