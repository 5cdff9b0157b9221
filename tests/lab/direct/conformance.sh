#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the transports whose bytes a NIC places pass the suite that every transport passes, with
# senders behind the other port: devmem-tcp over a dma-buf, zcrx over a dma-buf, over host memory and
# without an interface. They run beside each other, as programs that share a NIC do; zcrx in halves.
# usage: conformance.sh NIC_TOOL LANDFALL_CONFORMANCE [devmem-tcp|zcrx...] [-- ARGUMENT...]
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
suite=$2
shift 2
transports=()
while [ $# -gt 0 ] && [ "$1" != -- ]; do
  transports+=("$1")
  shift
done
shift $(($# > 0))
load queues=14 mtu=4148
ethtool -X lf0 equal 2  # the others are free for Groups
"$tool" hds lf0 on
fault linear 64  # real NICs leave some payload in packet heads

names=() runs=()
run() {  # run NAME ARGUMENT...
  names+=("$1")
  timeout 2400 "$suite" "${@:2}" >"$work/$1" 2>&1 &
  runs+=($!)
}
for transport in "${transports[@]:-devmem-tcp}"; do
  if [ "$transport" = zcrx ]; then
    for half in 0 1; do
      GTEST_TOTAL_SHARDS=2 GTEST_SHARD_INDEX=$half run "$transport-$half" "--$transport" lf0 "$@"
    done
  else
    run "$transport" "--$transport" lf0 "$@"
  fi
done
status=0
for k in "${!runs[@]}"; do
  wait "${runs[k]}" || status=1
  echo "-- ${names[k]}"
  cat "$work/${names[k]}"
done
exit "$status"
