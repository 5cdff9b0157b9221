#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: payload lands in a dma-buf that is bound to a queue; at MTU 4148 each one is a whole page; the
# NIC's own counters agree with the receiver; an empty pool drops and counts. usage: devmem.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load queues=4 mtu=4148

steer() { ethtool -N lf0 flow-type tcp4 dst-port "$1" action "$2" loc 0; }
ethtool -X lf0 equal 2  # other traffic keeps off the queues that are bound

echo "-- the kernel's refusals"
! "$tool" recv --devmem lf0 --queue 3 5000 2>"$work/e" || die "bound without header split"
grep -q "tcp-data-split is disabled" "$work/e" || [[ $LANDFALL_LAB_KREL == 6.* ]] || die "$(cat "$work/e")"
"$tool" hds lf0 on

# A sender whose buffer is full sends up to the very end of the receiver's window, corked or not, so
# a window that ends within a page cuts one. With a scale of 12 every window is whole pages, and the
# scale follows from the largest buffer that a receiver may have.
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"

echo "-- whole pages"
steer 5001 3
read -r provider page _ <<<"$(pool_of)"
again=$(resent)
stream 5001 40960000 --devmem lf0 --queue 3
expect "bytes in the dma-buf" "$(value devmem)" -eq 40960000
expect "whole pages" "$(value whole)" -eq 10000
expect pieces "$(value frags)" -eq 10000
read -r provider2 page2 _ <<<"$(pool_of)"
landed "provider bytes of the NIC" $((provider2 - provider)) 40960000 "$again"
expect "page bytes of the NIC" $((page2 - page)) -le 1000

echo "-- segment by segment as well; and packed, at the usual MTU"
ethtool -K lf0 rx-gro-hw off
steer 5002 3
stream 5002 20480000 --devmem lf0 --queue 3
expect "whole pages" "$(value whole)" -eq 5000
ip link set lf0 mtu 1500
peer ip link set lf1 mtu 1500
stream 5002 10000000 --devmem lf0 --queue 3
expect "bytes in the dma-buf" "$(value devmem)" -eq 10000000
ethtool -K lf0 rx-gro-hw on
stream 5002 10000000 --devmem lf0 --queue 3
expect "bytes in the dma-buf" "$(value devmem)" -eq 10000000

if [[ $LANDFALL_LAB_KREL != 6.* ]]; then
  echo "-- buffers of 16 KiB"
  steer 5003 2
  stream 5003 20000000 --devmem lf0 --queue 2 --page 16384 --pool 33554432
  expect "bytes in the dma-buf" "$(value devmem)" -eq 20000000
fi

echo "-- not steered: copied, and no page of the provider used"
read -r provider page _ <<<"$(pool_of)"
ethtool -N lf0 delete 0
stream 5004 5000000 --devmem lf0 --queue 3
expect "bytes in the dma-buf" "$(value devmem)" -eq 0
read -r provider2 page2 _ <<<"$(pool_of)"
expect "provider bytes of the NIC" "$provider2" -eq "$provider"

echo "-- a pool that is smaller than the ring and the window runs dry: loss, no corruption"
steer 5005 3
before=$(counter rx_drop_no_buffer)
stream 5005 10240000 --devmem lf0 --queue 3 --pool 524288
expect "bytes in the dma-buf" "$(value devmem)" -eq 10240000
expect "allocations that failed" "$(counter rx3_alloc_fail)" -gt 0
echo "drops: $(($(counter rx_drop_no_buffer) - before))"
