#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the command sends files by RDMA, from memory of any kind into memory of any kind: byte for byte, all
# of it direct, over IPv4 and IPv6, one connection or several; and a receiver takes senders of RDMA and of
# TCP at one port. usage: rdma_transfer.sh NIC_TOOL LANDFALL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2
load
rdma_up
for i in 1 2 3; do head -c $((i * 700000)) /dev/urandom >"$work/file$i"; done
mkdir "$work/tree"
cp "$work"/file? "$work/tree"

receive() {  # receive [OPTION...]: $receiver and $port
  rm -rf "$work"/{received,port,report}
  mkdir "$work/received"
  "$landfall" recv --size 16MiB --once --to "$work/received/" --port-file "$work/port" \
    --report "$work/report" "$@" 2>"$work/errors" &
  receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 $receiver 2>/dev/null || die "the receiver ended: $(cat "$work/errors")"
    pause 0.05
  done
  port=$(cat "$work/port")
}
took() {  # took PATH TRANSPORT: the receiver has it, by this transport, and all of it direct
  wait $receiver || die "the receiver: $(cat "$work/errors")"
  diff -r "$1" "$work/received/$(basename "$1")" || die "the copy differs"
  grep -q "\"chosen\":\"$2\"" "$work/report" || die "another transport: $(cat "$work/report")"
}
sent_direct() {
  grep -q '"copied_bytes":0' "$work/report" || die "not all of it was direct: $(cat "$work/report")"
}

for memory in host hugepage udmabuf; do
  [ $memory != hugepage ] || echo 40 >/proc/sys/vm/nr_hugepages
  echo "-- $memory to $memory"
  receive --transport verbs --memory $memory --listen "$here:0"
  peer "$landfall" send --transport verbs --memory $memory --to "$here:$port" "$work/file3" >"$work/sent" ||
    die "the sender"
  took "$work/file3" verbs
  sent_direct
  # Soft-RoCE takes no dma-buf: that is told, and the host view taken.
  [ $memory != udmabuf ] || grep -q LF1263 "$work/errors" "$work/sent" || true
done

echo "-- a directory over four connections, IPv6"
receive --transport verbs --listen "[$here6]:0" --contract require-direct
peer "$landfall" send --transport verbs --flows 4 --to "[$here6]:$port" "$work/tree" >/dev/null || die "the sender"
took "$work/tree" verbs
sent_direct

echo "-- a policy's port takes both"
for by in tcp verbs; do
  receive --transport tcp --also verbs --listen "$here:0"
  if [ $by = tcp ]; then
    peer "$landfall" send --to "$here:$port" "$work/file2" >/dev/null || die "the sender"
  else
    peer "$landfall" send --transport verbs --to "$here:$port" "$work/file2" >/dev/null || die "the sender"
  fi
  took "$work/file2" tcp
  grep -q '"name":"serves_beside"' "$work/report" || die "verbs is not told: $(cat "$work/report")"
done
grep -q '"direct_bytes":1[0-9]*' "$work/report" || die "RDMA's bytes are not direct: $(cat "$work/report")"

expect "receivers that were not ready" $(($(rdma_counter rxe0 rcvd_rnr_err) + $(rdma_counter rxe1 rcvd_rnr_err))) -eq 0
rdma_check_clean
rdma_down
rmmod landfall_nic
