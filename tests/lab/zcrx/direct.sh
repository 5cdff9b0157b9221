#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: zcrx receives streams byte for byte into host memory, huge pages and dma-bufs, says truly what
# landed there, and leaves nothing behind. usage: direct.sh NIC_TOOL DIRECT_RECEIVE DIRECT_LEFT
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2 left=$3 transport=zcrx
load queues=4 mtu=4148
ethtool -X lf0 equal 2  # other traffic keeps off the queues that are bound
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"  # windows of whole pages: see nic/devmem.sh

for memory in udmabuf host dma-heap; do
  echo "-- 64 MiB into $memory, all of it direct"
  read -r provider page linear <<<"$(pool_of)"
  stream 5001 67108864 --devmem lf0 --queue 3 --memory $memory --pool 33554432
  expect "direct bytes" "$(value devmem)" -eq 67108864
  read -r provider2 page2 linear2 <<<"$(pool_of)"
  expect "bytes of the NIC in the area" $((provider2 - provider)) -ge 67108864
  expect "bytes elsewhere" "$page $linear" = "$page2 $linear2"
done

echo "-- Buffers held, so that pages come back late and in another order"
stream 5001 20480000 --devmem lf0 --queue 3 --hold 1500
expect "direct bytes" "$(value devmem)" -eq 20480000

echo "-- a refill ring that is much shorter than what comes back at once"
stream 5001 20480000 --devmem lf0 --queue 3 --hold 1500 --option zcrx.refill=64
expect "direct bytes" "$(value devmem)" -eq 20480000

echo "-- more waits than the ring of completions holds: the receive stops, and goes on"
stream 5001 32768000 --devmem lf0 --queue 3 --pool 67108864 --stall 1000
expect "direct bytes" "$(value devmem)" -eq 32768000

echo "-- a window as large as the pool, and most of the pool held: the NIC runs dry, that is told, and it goes on"
stream 5001 20480000 --devmem lf0 --queue 3 --pool 4194304 --hold 800 --option zcrx.window=4MiB
expect "direct bytes" "$(value devmem)" -eq 20480000
expect "times that pressure was told" "$(value pressure)" -ge 1

sysctl -qw vm.nr_hugepages=32
echo "-- pages of 16 KiB"
stream 5001 20480000 --devmem lf0 --queue 3 --page 16384 --pool 33554432
expect "direct bytes" "$(value devmem)" -eq 20480000
stream 5001 20480000 --devmem lf0 --queue 3 --page 16384 --pool 33554432 --memory hugepage
expect "direct bytes" "$(value devmem)" -eq 20480000

echo "-- two queues, a slice and a dma-buf for each"
for memory in udmabuf host; do
  receiver_start 5001 --devmem lf0 --queue 2,3 --flows 2 --ports 2 --memory $memory
  peer timeout "$patience" "$tool" send "$here" 5001 20480000 &
  first=$!
  peer timeout "$patience" "$tool" send "$here" 5002 20480000 || die "sender"
  wait "$first" || die "sender"
  receiver_end || die "receiver: $(cat "$work/errors")"
  expect "direct bytes" "$(value devmem)" -eq 40960000
done

echo "-- two queues of a memory that is one dma-buf: refused by name"
! "$receiver_tool" recv --transport zcrx --devmem lf0 --queue 2,3 --memory dma-heap 5001 2>"$work/errors" ||
  die "one dma-buf for two queues"
grep -q LF1212 "$work/errors" || die "$(cat "$work/errors")"

echo "-- a queue that has other memory: refused by name"
receiver_start 5001 --devmem lf0 --queue 3
! "$receiver_tool" recv --transport zcrx --devmem lf0 --queue 3 5002 2>"$work/errors" || die "bound twice"
grep -q LF1219 "$work/errors" || die "$(cat "$work/errors")"
peer timeout "$patience" "$tool" send "$here" 5001 4096 || die "sender"
receiver_end

echo "-- payload that is left in packet heads: known byte for byte with a dma-buf, found without"
fault linear 10
read -r _ _ linear <<<"$(pool_of)"
stream 5001 40960000 --devmem lf0 --queue 3
read -r _ _ linear2 <<<"$(pool_of)"
expect "linear bytes" "$(value linear)" -gt 0
expect "linear bytes" "$(value linear)" -le $((linear2 - linear))
expect "direct bytes" $(($(value devmem) + $(value linear))) -eq 40960000
stream 5001 204800000 --devmem lf0 --queue 3 --memory host
expect "bytes that are not sure" $(($(value unsure) + $(value linear))) -gt 100000000
fault linear 0

echo "-- nothing is left"
nothing_left || die "left: $state"
