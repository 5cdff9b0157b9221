#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: at MTU 4148 and on a port that is limited to a rate, 1, 4 and 16 flows over 4 queues of one
# binding carry at least 0.966 of that rate as payload (0.9785 is all that framing leaves), all of it
# direct, in whole pages. usage: goodput.sh NIC_TOOL DIRECT_RECEIVE
# Five tries, for the reason that nic/rate.sh gives: what such a moment held back comes afterwards,
# faster than the rate, so that too much is no better than too little.
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2
load queues=8 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"
ethtool -C lf0 rx-usecs 1000  # each interrupt is dear under emulation
peer sysctl -qw net.ipv4.tcp_congestion_control=reno  # see nic/rate.sh

# carry FLOWS PAGES: so many pages in all. Payload in Mbit/s is in $goodput.
carry() {
  local flows=$1 each=$(($2 / $1 * 4096)) ports=$(($1 < 4 ? $1 : 4)) senders=() i
  receiver_start 5001 --devmem lf0 --queue 4,5,6,7 --flows "$flows" --ports "$ports" \
    --pool 67108864 --warmup $((flows * each / 2))  # until all windows are open
  for ((i = 0; i < flows; i++)); do
    peer timeout "$patience" "$tool" send "$here" $((5001 + i % ports)) "$each" &
    senders+=($!)
  done
  for i in "${senders[@]}"; do wait "$i" || die "sender"; done
  receiver_end >"$work/line" || die "receiver: $(cat "$work/errors")"
  expect "direct bytes" "$(value devmem)" -eq $((flows * each))
  expect "whole pages" "$(value whole)" -eq $((flows * each / 4096))
  expect "wrong pieces" "$(value wrong)" -eq 0
  goodput=$(awk -v bytes="$(value timed)" -v s="$(value seconds)" 'BEGIN { printf "%.1f", bytes * 8 / s / 1e6 }')
}
try() {  # try FLOWS
  local rate
  echo 0 >$debug/lf1/rate_mbit
  carry "$1" 8192
  rate=$(awk -v free="$goodput" 'BEGIN { printf "%d", free / 2 + 1 }')
  echo "$rate" >$debug/lf1/rate_mbit
  carry "$1" $((3 * rate * 1000000 / 8 / 4186 / 16 * 16))  # about three seconds
  awk -v flows="$1" -v rate="$rate" -v got="$goodput" 'BEGIN {
    printf "%d flows: %.1f Mbit/s of payload at %d Mbit/s: %.4f\n", flows, got, rate, got / rate
    exit got / rate > 0.9785 * 1.005 || got / rate < 0.966 }'
}
for flows in 1 4 16; do
  tries=1
  until try "$flows"; do
    ((++tries <= 5)) || die "$flows flows: not 0.966 of the rate"
  done
done
