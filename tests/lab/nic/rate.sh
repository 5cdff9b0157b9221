#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a port limited to half of what it carries without a limit carries at least 0.985 of what that
# rate allows, framing of 38 bytes a packet counted, and never more. usage: rate.sh NIC_TOOL
# The lower bound may take three tries: a host that is busy with something else takes the emulated
# CPUs away for longer than any NIC's memory bridges.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load mtu=4148
ethtool -C lf0 rx-usecs 1000  # each interrupt is dear under emulation
# Cubic takes the wire's first queue for congestion and then needs half a second to fill it.
peer sysctl -qw net.ipv4.tcp_congestion_control=reno

carry() {  # carry PORT PACKETS: the Mbit/s on the wire
  stream "$1" $(($2 * 4096)) >/dev/null
  awk -v n="$2" -v s="$(value seconds)" 'BEGIN { printf "%.1f", n * (4148 + 38) * 8 / s / 1e6 }'
}
try() {
  local free rate limited
  echo 0 >$debug/lf1/rate_mbit
  free=$(carry 5000 7500)
  rate=$(awk -v free="$free" 'BEGIN { printf "%d", free / 2 + 1 }')
  echo "$rate" >$debug/lf1/rate_mbit
  limited=$(carry 5001 $((2 * rate * 1000000 / 8 / 4186)))  # about two seconds
  awk -v free="$free" -v rate="$rate" -v limited="$limited" 'BEGIN {
    printf "Mbit/s: %.0f without a limit, %d allowed, %.1f carried: %.4f\n", free, rate, limited, limited / rate
    exit limited / rate > 1.005 ? 2 : limited / rate < 0.985 }'
}
for ((tries = 0; tries < 3; tries++)); do
  status=0
  try || status=$?
  [ $status != 0 ] || exit 0
  [ $status = 1 ] || die "more than its rate"
done
die "less than 0.985 of its rate"
