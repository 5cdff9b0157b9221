#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a flow ends on the Receiver of the queue by which it arrives, whatever listener took it; what
# arrives elsewhere is copied and said, or the flow's typed error, never a hang.
# usage: queues.sh NIC_TOOL DIRECT_RECEIVE
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2 transport=zcrx
load queues=8 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
steer() { ethtool -N lf0 flow-type tcp4 dst-port "$1" action "$2" loc 0; }

echo "-- each queue of four, and listeners on all of them"
for queue in 4 5 6 7; do
  steer 5001 $queue
  stream 5001 4096000 --devmem lf0 --queue 4,5,6,7 --steer 0 --pool 33554432
  expect "direct bytes" "$(value devmem)" -eq 4096000
  ethtool -N lf0 delete 0
done

echo "-- a connection that is attached to one Receiver and comes by the queue of another: each pair"
for queue in 4 5 6 7; do
  steer 5001 $queue
  for ours in 0 1 2 3; do
    stream 5001 1024000 --devmem lf0 --queue 4,5,6,7 --steer 0 --attach 4096 --receiver $ours --pool 33554432
    expect "direct bytes of queue $queue on Receiver $ours" "$(value devmem)" -eq 1024000
  done
  ethtool -N lf0 delete 0
done

echo "-- a flow that changes its queue in the middle, and back: the other Receiver's area is its area too"
for memory in udmabuf host; do
  fault move 500
  stream 5001 102400000 --devmem lf0 --queue 4,5 --pool 33554432 --memory $memory
  expect "packets that were moved" "$(hits move)" -gt 100
  fault move 0
  expect "bytes not copied" $(($(value devmem) + $(value unsure))) -eq 102400000
done

echo "-- a queue that is nobody's: copied, and it says so"
for memory in udmabuf host; do
  stream 5001 4096000 --devmem lf0 --queue 7 --steer 0 --memory $memory
  expect "direct bytes" "$(value devmem)" -eq 0
  expect "bytes with the reason" "$(value wrong_queue)" -eq 4096000
done

echo "-- another program's queue: the flow's own error, and the other loses nothing"
receiver_start 5005 --devmem lf0 --queue 7 --pool 33554432
other=$receiver
exec 9<&8 8<&-
peer timeout "$patience" "$tool" send "$here" 5005 204800000 &
steer 5004 7
receiver_start 5004 --devmem lf0 --queue 6 --steer 0
peer timeout "$patience" "$tool" send "$here" 5004 4096000 2>/dev/null || true
receiver_end || die "receiver: $(cat "$work/errors")"
expect "bytes of the stray flow" "$(value bytes)" -eq 0
expect "failed flows" "$(value failed)" -eq 1
grep -q LF1342 "$work/errors" || die "$(cat "$work/errors")"
result=$(cat <&9)
exec 9<&-
echo "$result"
wait "$other" || die "the other program's receiver"
expect "bytes of the other" "$(value devmem)" -eq 204800000
wait
ethtool -N lf0 delete 0

echo "-- queue restart and other rings in the middle: the memory stays"
receiver_start 5006 --devmem lf0 --queue 7 --pool 33554432
peer timeout "$patience" "$tool" send "$here" 5006 204800000 &
until read -r provider _ <<<"$(pool_of)" && ((provider > 8000000)); do pause 0.05; done
ethtool -G lf0 rx 512
receiver_end || die "receiver: $(cat "$work/errors")"
expect "direct bytes" "$(value devmem)" -eq 204800000
wait
