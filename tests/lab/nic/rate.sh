#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a port limited to a rate carries at least 0.985 of what that rate allows, framing of 38 bytes
# a packet counted, and never more. usage: rate.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load mtu=4148
ethtool -C lf0 rx-usecs 1000  # each interrupt is dear under emulation

receiver_start 5000
peer "$tool" send $here 5000 60000000
receiver_end
free=$(awk -v s="$(value seconds)" 'BEGIN { printf "%d", 60000000 * 8 / s / 1e6 }')
echo "unlimited: $free Mbit/s"
rate=$((free * 55 / 100))
echo $rate >$debug/lf1/rate_mbit
stream 5001 102400000
awk -v rate=$rate -v s="$(value seconds)" 'BEGIN {
  wire = 102400000 / 4096 * (4148 + 38) * 8 / s / 1e6
  printf "limit %d Mbit/s, on the wire %.1f, ratio %.4f\n", rate, wire, wire / rate
  exit !(wire / rate >= 0.985 && wire / rate <= 1.005) }'
