#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: devmem-tcp receives streams into a dma-buf byte for byte, says truly what landed there, and
# leaves nothing behind. usage: direct.sh NIC_TOOL DIRECT_RECEIVE
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2
load queues=4 mtu=4148
ethtool -X lf0 equal 2  # other traffic keeps off the queues that are bound
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"  # windows of whole pages: see nic/devmem.sh
rules() { ethtool -n lf0 | sed -nE 's/^Total ([0-9]+) rules?/\1/p'; }

echo "-- 64 MiB, all of it direct"
read -r provider _ <<<"$(pool_of)"
again=$(resent)
stream 5001 67108864 --devmem lf0 --queue 3
expect "direct bytes" "$(value devmem)" -eq 67108864
expect "whole pages" "$(value whole)" -eq 16384
read -r provider2 _ <<<"$(pool_of)"
landed "provider bytes of the NIC" $((provider2 - provider)) 67108864 "$again"

echo "-- Buffers held, so that tokens come back late and pages elsewhere"
stream 5001 20480000 --devmem lf0 --queue 3 --hold 1500
expect "direct bytes" "$(value devmem)" -eq 20480000

echo "-- who made the dma-buf has closed it: the binding and the Region hold it"
stream 5001 20480000 --devmem lf0 --queue 3 --adopted 1
expect "direct bytes" "$(value devmem)" -eq 20480000

echo "-- packed pages, at the usual MTU"
ip link set lf0 mtu 1500
peer ip link set lf1 mtu 1500
stream 5001 20000000 --devmem lf0 --queue 3
expect "direct bytes" "$(value devmem)" -eq 20000000
ip link set lf0 mtu 4148
peer ip link set lf1 mtu 4148

echo "-- memory of a dma-heap"
stream 5001 20480000 --devmem lf0 --queue 3 --memory dma-heap
expect "direct bytes" "$(value devmem)" -eq 20480000

if [[ $LANDFALL_LAB_KREL != 6.* ]]; then
  echo "-- pages of 16 KiB"
  stream 5001 20480000 --devmem lf0 --queue 3 --page 16384 --pool 33554432
  expect "direct bytes" "$(value devmem)" -eq 20480000
fi

echo "-- one binding of two queues, two flows"
receiver_start 5001 --devmem lf0 --queue 2,3 --flows 2
peer timeout "$patience" "$tool" send "$here" 5001 20480000 &
first=$!
peer timeout "$patience" "$tool" send "$here" 5001 20480000 || die "sender"
wait "$first" || die "sender"
receiver_end || die "receiver: $(cat "$work/errors")"
expect "direct bytes" "$(value devmem)" -eq 40960000

echo "-- another program's rule takes the port elsewhere: refused by name"
ethtool -N lf0 flow-type tcp4 dst-port 5002 action 0
! "$receiver_tool" recv --devmem lf0 --queue 3 5002 2>"$work/errors" || die "listens although nothing can be direct"
grep -q LF1230 "$work/errors" || die "$(cat "$work/errors")"
ethtool -N lf0 delete "$(ethtool -n lf0 | sed -nE 's/^Filter: ([0-9]+)/\1/p')"

echo "-- not steered: copied, and it says so"
stream 5001 5000000 --devmem lf0 --queue 3 --steer 0
expect "direct bytes" "$(value devmem)" -eq 0
expect "bytes with the reason" "$(value wrong_queue)" -eq 5000000

echo "-- nothing is left"
expect "rules" "$(rules)" -eq 0
