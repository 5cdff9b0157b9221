#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: of a backlog each call into the kernel brings hundreds of pieces, and giving them back costs
# none: at most one call for 512, counted by the kernel. usage: counts.sh NIC_TOOL DIRECT_RECEIVE
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2 transport=zcrx
load queues=4 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
# A window that holds all of it, before anybody has read.
sysctl -qw net.ipv4.tcp_rmem="4096 33554432 134217728"
mount -t tracefs none /sys/kernel/tracing 2>/dev/null || true
calls=/sys/kernel/tracing/events/syscalls
for call in io_uring_enter io_uring_register; do
  echo 'hist:keys=common_pid' >"$calls/sys_enter_$call/trigger"
done
count() {  # count CALL: of the receiver
  awk -v pid="$receiver" '$2 == "common_pid:" && $3 == pid { n = $NF } END { print n + 0 }' \
    "$calls/sys_enter_$1/hist"
}

backlog() {  # backlog PAGES MEMORY
  receiver_start 5001 --devmem lf0 --queue 3 --pool 67108864 --stall 1500 --memory "$2"
  peer timeout "$patience" "$tool" send "$here" 5001 $(($1 * 4096)) || die "sender"
  receiver_end || die "receiver: $(cat "$work/errors")"
  expect "direct bytes" "$(value devmem)" -eq $(($1 * 4096))
  expect "wrong pieces" "$(value wrong)" -eq 0
  enters=$(count io_uring_enter) registers=$(count io_uring_register)
  echo "$1 pages of $2: $enters calls of io_uring_enter, $registers of io_uring_register"
}
for memory in udmabuf host; do
  backlog 1024 $memory  # what setting up, the first packets and the end of a stream take
  few=$enters few_registers=$registers
  expect "calls at least" "$few" -ge 1
  for pages in 2048 4000; do
    backlog $pages $memory
    expect "calls for $pages pages, of one for 512" $((enters - few)) -le $(((pages - 1024) / 512))
    expect "calls to give back" $((registers - few_registers)) -le 0
  done
done
