#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the NIC goes under a binding and under traffic, and who receives hears of it at once, ends in
# order and leaves nothing.
# usage: [LANDFALL_LAB_TRANSPORT=NAME] gone.sh NIC_TOOL DIRECT_RECEIVE DIRECT_LEFT
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2 left=$3
transport=${LANDFALL_LAB_TRANSPORT:-devmem-tcp}
prepare() {
  ethtool -X lf0 equal 2
  "$tool" hds lf0 on
}
load queues=4 mtu=4148
prepare
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"

echo "-- the module goes in the middle of a stream"
receiver_start 5001 --devmem lf0 --queue 3 --hold 1000
ip netns exec peer "$tool" send "$here" 5001 4096000000 2>/dev/null &
sender=$!
until read -r provider _ <<<"$(pool_of)" && ((provider > 8000000)); do pause 0.05; done
before=$SECONDS
rmmod landfall_nic
receiver_end || die "receiver: $(cat "$work/errors")"
expect "seconds until it had ended" $((SECONDS - before)) -le 5
expect "times that it heard of it" "$(value revoked)" -eq 1
expect "wrong pieces" "$(value wrong)" -eq 0
grep -q LF1326 "$work/errors" || die "$(cat "$work/errors")"
kill "$sender"
wait "$sender" || true

echo "-- the next one works"
ip netns del peer
load queues=4 mtu=4148
prepare
stream 5001 20480000 --devmem lf0 --queue 3
expect "direct bytes" "$(value devmem)" -eq 20480000
nothing_left || die "left: $state"
