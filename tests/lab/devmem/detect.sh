#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: what the kernel does not report is noticed, named and held against the contract; nobody ever
# reads another binding's memory; windows keep below the pool. usage: detect.sh NIC_TOOL DIRECT_RECEIVE
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2
load queues=4 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"
steer() { ethtool -N lf0 flow-type tcp4 dst-port "$1" action "$2" loc 0; }
sum() { echo $(($(value devmem) + $(value linear) + $(value copied))); }
wait_until_received() {  # wait_until_received BYTES: of payload, by the provider's pages
  local first now
  read -r first _ <<<"$(pool_of)"
  for ((i = 0; i < 600; i++)); do
    read -r now _ <<<"$(pool_of)"
    ((now - first < $1)) || return 0
    pause 0.05
  done
  die "nothing comes"
}

echo "-- attached with 1 MiB queued in ordinary pages, then steered"
stream 5001 40960000 --devmem lf0 --queue 3 --attach 1048576
expect "bytes from before" "$(value before_steering)" -ge 1048576
expect "bytes from before" "$(value before_steering)" -le 8388608
expect "other copies" $(($(value copied) - $(value before_steering))) -le 65536
expect "direct bytes" "$(value devmem)" -ge 32000000

echo "-- moved to another queue in the middle"
steer 5002 3
receiver_start 5002 --devmem lf0 --queue 3 --steer 0
peer timeout "$patience" "$tool" send "$here" 5002 204800000 &
wait_until_received 4000000
steer 5002 1
receiver_end || die "receiver: $(cat "$work/errors")"
expect bytes "$(sum)" -eq 204800000
expect "direct bytes" "$(value devmem)" -ge 4000000
expect "bytes of another queue" "$(value wrong_queue)" -gt 0
wait

echo "-- the same under require_direct: a typed error"
steer 5002 3
receiver_start 5002 --devmem lf0 --queue 3 --steer 0 --contract require_direct
peer timeout "$patience" "$tool" send "$here" 5002 204800000 2>/dev/null &
wait_until_received 4000000
steer 5002 1
receiver_end || die "receiver: $(cat "$work/errors")"
expect "failed flows" "$(value failed)" -eq 1
grep -q LF1317 "$work/errors" || die "$(cat "$work/errors")"
wait
ethtool -N lf0 delete 0

echo "-- all flows move to and fro"
fault move 500
stream 5003 40960000 --devmem lf0 --queue 3
fault move 0
expect "bytes of another queue" "$(value wrong_queue)" -gt 0
expect "direct bytes" "$(value devmem)" -gt 0

echo "-- steered to the queue of another program: its error, and nobody else's"
steer 5004 3
receiver_start 5005 --devmem lf0 --queue 3 --pool 33554432
a=$receiver
exec 9<&8 8<&-
peer timeout "$patience" "$tool" send "$here" 5005 204800000 &
receiver_start 5004 --devmem lf0 --queue 2 --steer 0
peer timeout "$patience" "$tool" send "$here" 5004 4096000 2>/dev/null || true
receiver_end || die "receiver: $(cat "$work/errors")"
expect "bytes of the stray flow" "$(value bytes)" -eq 0
expect "failed flows" "$(value failed)" -eq 1
grep -q LF1344 "$work/errors" || die "$(cat "$work/errors")"
result=$(cat <&9)
exec 9<&-
echo "$result"
wait "$a" || die "the other program's receiver"
expect "bytes of the other" "$(value devmem)" -eq 204800000
expect "wrong pieces of the other" "$(value wrong)" -eq 0
wait
ethtool -N lf0 delete 0

echo "-- the queue is restarted in the middle: its memory stays"
receiver_start 5006 --devmem lf0 --queue 3
peer timeout "$patience" "$tool" send "$here" 5006 204800000 &
wait_until_received 4000000
ethtool -G lf0 rx 512
receiver_end || die "receiver: $(cat "$work/errors")"
expect "direct bytes" "$(value devmem)" -eq 204800000
wait

echo "-- who does not read fills its window, not the pool: the NIC always finds a page"
ethtool -G lf0 rx 128
never_dry() {  # never_dry POOL_BYTES
  dry=$(counter rx3_alloc_fail) dropped=$(counter rx3_drop_no_buffer)
  stream 5007 40960000 --devmem lf0 --queue 3 --pool "$1" --stall 2000
  expect "direct bytes" "$(value devmem)" -eq 40960000
  dry=$(($(counter rx3_alloc_fail) - dry)) dropped=$(($(counter rx3_drop_no_buffer) - dropped))
  echo "the pool was empty for a moment: $dry times; packets without a page: $dropped"
  # A busy host that is late with refilling the ring drops, too: then with pages in the pool.
  [ "$dropped" -eq 0 ] || expect "times that the pool was empty, and packets dropped" "$dry" -eq 0
}
# A processor whose packets another one has freed keeps up to half of skb_defer_max of them, each
# with up to 17 pages, until it receives again: 4.25 MiB. The sender's processor is the NIC's here,
# and it changes.
never_dry 16777216
deferred=$(sysctl -n net.core.skb_defer_max)
sysctl -qw net.core.skb_defer_max=0
never_dry 4194304
sysctl -qw net.core.skb_defer_max="$deferred"
