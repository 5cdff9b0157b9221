#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: with all faults at once every byte that arrives is right and the kernel stays well; each fault
# happens more than 100 times. usage: chaos.sh NIC_TOOL [SECONDS [BYTES [STREAM]]]
# It ends after SECONDS (60, in a soak 600) when also BYTES (1 GiB) were delivered, in streams of
# STREAM bytes (128 MiB).
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
quota=60
[ -z "${LANDFALL_SOAK-}" ] || quota=600
seconds=${2:-$quota} bytes=${3:-1073741824} stream_bytes=${4:-134217728}
load pairs=2 queues=4 mtu=4148 ring=512
"$tool" hds lf0 on
ethtool -X lf0 equal 2
ethtool -N lf0 flow-type tcp4 dst-port 5001 action 3 loc 0
ethtool -N lf0 flow-type tcp4 dst-port 5002 action 3 loc 1

# What a flow does not survive is done to another pair, with traffic on it.
unplug() {
  ip link set lf3 netns peer
  peer ip addr add 10.79.0.2/24 dev lf3
  peer ip link set lf3 up
  while :; do
    ip addr add 10.79.0.1/24 dev lf2
    ip link set lf2 up
    peer timeout 0.03 socat -u /dev/zero UDP-DATAGRAM:10.79.0.1:9 2>/dev/null || true
    echo 1 >$debug/lf2/fault/unplug
    echo 0 >$debug/lf2/fault/unplug
  done
}
# Settings that are refused, and some that are not, while data flows.
settings() {
  local size=512
  while :; do
    for _ in 1 2 3; do
      ethtool -N lf0 flow-type tcp4 dst-port 9 action 1 2>/dev/null >&2 || true
      "$tool" bind --devmem lf0 --queue 2 --pool 1048576 4 >/dev/null
    done
    size=$((768 - size))
    ethtool -G lf0 rx $size 2>/dev/null >&2 || true
    ethtool -L lf0 combined $((size / 64 + 1)) 2>/dev/null >&2 || true
  done
}

counts() { cat $debug/lf0/fault/counters; grep unplug $debug/lf2/fault/counters; }
rarest() {  # the fault that happened least often, as "times name"
  counts | awk '{ n[$1] += $2 } END { for (id in n) print n[id], id }' | sort -n | head -n 1
}

fault linear 300
fault corrupt 1000
fault alloc 50
fault move 5000
fault restart 1
fault rules_full 1
unplug &
settings &
started=$SECONDS delivered=0 in_dmabuf=0
until [ $((SECONDS - started)) -ge "$seconds" ] && [ "$delivered" -ge "$bytes" ] &&
  [ "$(rarest | cut -d' ' -f1)" -gt 100 ]; do
  [ $((SECONDS - started)) -lt $((4 * seconds)) ] || die "$delivered bytes; hardly ever: $(rarest)"
  for how in "--devmem lf0 --queue 3" ""; do
    fault restart 0
    # shellcheck disable=SC2086  # several words
    receiver_start 5001 $how
    fault restart 1
    timeout "$patience" ip netns exec peer "$tool" send $here 5001 "$stream_bytes" || die "sender"
    receiver_end >/dev/null || die "receiver: $result $(cat "$work/errors")"
    expect wrong "$(value wrong)" -eq 0
    expect bytes "$(value bytes)" -eq "$stream_bytes"
    delivered=$((delivered + $(value bytes)))
    in_dmabuf=$((in_dmabuf + $(value devmem)))
  done
done
echo "$delivered bytes in $((SECONDS - started)) s, $in_dmabuf of them in the dma-buf; faults:"
counts
