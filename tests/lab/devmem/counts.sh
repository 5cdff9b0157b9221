#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: of a backlog each call takes many pages and gives many back, counted on a real kernel: at most
# one recvmsg for 64 pages, one return for 512, and no byte is copied.
# usage: counts.sh NIC_TOOL DIRECT_RECEIVE
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
receiver_tool=$2
load queues=4 mtu=4148
ethtool -X lf0 equal 2
"$tool" hds lf0 on
# A window that holds all of it, before anybody has read.
sysctl -qw net.ipv4.tcp_rmem="4096 33554432 134217728"

backlog() {  # backlog PAGES
  local before now page linear
  read -r before page linear <<<"$(pool_of)"
  receiver_start 5001 --devmem lf0 --queue 3 --pool 67108864 --stall 1500
  peer timeout "$patience" "$tool" send "$here" 5001 $(($1 * 4096)) || die "sender"
  receiver_end || die "receiver: $(cat "$work/errors")"
  expect "direct bytes" "$(value devmem)" -eq $(($1 * 4096))
  expect "wrong pieces" "$(value wrong)" -eq 0
  read -r now _ <<<"$(pool_of)"
  expect "bytes of the NIC in the dma-buf" $((now - before)) -ge $(($1 * 4096))
  expect "bytes elsewhere" "$(pool_of | cut -d' ' -f2-3)" = "$page $linear"
  local pages receives returns
  pages=$(value backlog_pages) receives=$(value backlog_receives) returns=$(value backlog_returns)
  expect "pages that waited" "$pages" -ge 512
  expect "recvmsg, of one for 64 pages" "$receives" -le $(((pages + 63) / 64))
  expect "returns, of one for 512 pages" "$returns" -le $(((pages + 511) / 512))
}
for pages in 700 1024 2048 4000; do backlog $pages; done
