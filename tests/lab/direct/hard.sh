#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: whatever a peer or the way to it does to a stream, its bytes come right or it ends with a typed
# error, and the verdict says where they lay.
# usage: [LANDFALL_LAB_TRANSPORT=NAME] hard.sh NIC_TOOL DIRECT_RECEIVE DIRECT_LEFT
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2 left=$3
transport=${LANDFALL_LAB_TRANSPORT:-devmem-tcp}
load queues=4 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"
all_direct() { expect "direct bytes" "$(value devmem)" -eq "$1"; }
all_told() {  # what is not in the memory is said to be elsewhere
  expect "bytes told of" $(($(value devmem) + $(value linear) + $(value copied))) -eq "$1"
}

echo "-- messages of so many bytes"
for piece in 1 2 63 4095 4097 8192; do
  piece=$piece stream 5001 $((piece < 100 ? piece * 3000 : 2000000)) --devmem lf0 --queue 3
  all_direct $((piece < 100 ? piece * 3000 : 2000000))
done
echo "-- and Buffers of them held until 1,000 pages are out"
piece=1 stream 5001 4000 --devmem lf0 --queue 3 --hold 1000
all_direct 4000

if [[ $LANDFALL_LAB_KREL != 6.* ]]; then
  echo "-- one byte in each page of 16 KiB"
  sysctl -qw vm.nr_hugepages=32
  piece=1 stream 5001 6000 --devmem lf0 --queue 3 --page 16384 --pool 33554432
  all_direct 6000
  piece=1 stream 5001 6000 --devmem lf0 --queue 3 --page 16384 --pool 33554432 --hold 1000
  all_direct 6000
fi

echo "-- loss, delay, duplicates, another order, broken bytes"
peer tc qdisc add dev lf1 root netem delay 1ms 1ms loss 1% duplicate 1% reorder 10% corrupt 0.5%
stream 5001 8192000 --devmem lf0 --queue 3
all_told 8192000
echo "-- the same with payload that is left in packet heads"
fault linear 16
stream 5001 8192000 --devmem lf0 --queue 3
all_told 8192000
expect "linear bytes" "$(value linear)" -gt 0
fault linear 0
peer tc qdisc del dev lf1 root

echo "-- the peer resets the connection in the middle of a page"
receiver_start 5001 --devmem lf0 --queue 3
peer timeout "$patience" "$tool" send "$here" 5001 1000003 0 reset || die "sender"
receiver_end || die "receiver: $(cat "$work/errors")"
expect "flows that failed" "$(value failed)" -eq 1
expect "wrong pieces" "$(value wrong)" -eq 0
expect "bytes" "$(value bytes)" -le 1000003
grep -q LF1312 "$work/errors" || die "$(cat "$work/errors")"

echo "-- nothing is left"
nothing_left || die "left: $state"
