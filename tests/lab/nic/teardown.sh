#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: nothing that is done to a port under traffic, with memory bound, harms the kernel or a byte:
# ring and channel changes, down and up, a killed owner, a namespace or the module that goes away.
# usage: teardown.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load queues=5 mtu=4148
bound() {  # a stream into a dma-buf that goes on while the test does something
  "$tool" hds lf0 on
  ethtool -X lf0 equal 2
  ethtool -N lf0 flow-type tcp4 dst-port 5001 action 3 loc 0
  receiver_start 5001 --devmem lf0 --queue 3
  ip netns exec peer "$tool" send $here 5001 "$1" 2>/dev/null &
  sender=$!
  until [ "$(awk '/provider/ { print $2 }' $debug/lf0/payload)" -gt "${2:-1000000}" ]; do :; done
}

echo "-- rings and channels, down and up, while 100 MB go through"
bound 100000000
for size in 64 1024 16 256; do
  ethtool -G lf0 rx $size
  ethtool -L lf0 combined 16
  ethtool -L lf0 combined 5
done
! ethtool -L lf0 combined 3 2>/dev/null || die "a bound queue was removed"
ip link set lf0 down
ip link set lf0 up
ethtool -G lf0 tx 64
peer ethtool -G lf1 rx 1024 tx 1024
wait $sender || die "sender"
receiver_end
expect bytes "$(value bytes)" -eq 100000000
expect wrong "$(value wrong)" -eq 0
expect copied "$(value copied)" -eq 0

echo "-- the owner is killed: the queue is back on pages, the next binding works"
seen() { awk '/provider/ { print $2 }' $debug/lf0/payload; }
bound 4000000000 $(($(seen) + 5000000))
kill -9 "$receiver"
wait "$receiver" || true
wait $sender || true  # it got a reset
expect "provider at queue 3" "$(awk '$2 == 3 { print $10 }' $debug/lf0/rings)" -eq 0
stream 5001 4096000 --devmem lf0 --queue 3
expect devmem "$(value devmem)" -eq 4096000

echo "-- the peer's namespace is deleted under traffic, both ways: its port comes back here"
bound 4000000000 $(($(seen) + 5000000))
socat -u /dev/zero UDP-DATAGRAM:$there:9 2>/dev/null &
flood=$!
ip netns del peer
kill -9 $sender "$receiver"
wait $sender || true
wait "$receiver" || true
until ip link show lf1 >/dev/null 2>&1; do :; done
kill $flood 2>/dev/null || true
wait $flood || true
ip netns add peer
join lf1

echo "-- the module goes away under traffic"
bound 4000000000 $(($(seen) + 5000000))
rmmod landfall_nic
kill -9 $sender "$receiver"
wait $sender || true
wait "$receiver" || true
ip netns del peer
load
stream 5002 1000000
