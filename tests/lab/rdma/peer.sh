#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: soft-RoCE on the ports of the software NIC carries messages of a foreign program between the
# namespaces, all of them and through the NIC, whether sockets or rdma_cm connect the two, with and
# without a shared receive queue; and nothing is left of it. usage: peer.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load
rdma_up

port=18514
near() {  # near [OPTION...]: a receiver, whose process is $receiver
  local connect=ss
  [[ " $* " != *" -R "* ]] || connect=rdma
  port=$((port + 1))
  timeout "$patience" ib_send_bw -d rxe0 -p $port "$@" >"$work/near" 2>&1 &
  receiver=$!
  rdma_listening $port $connect $receiver
}
transfer() {  # transfer OPTION...: fails if one of the two does, and then ends the other
  local sender ended other
  near "$@"
  ip netns exec peer timeout "$patience" ib_send_bw -d rxe1 -p $port "$@" "$here" \
    >"$work/far" 2>&1 &
  sender=$!
  if wait -n -p ended $receiver $sender; then
    wait $((receiver + sender - ended)) && return
  else
    other=$((receiver + sender - ended))
    kill $other 2>/dev/null || true
    wait $other || true
  fi
  return 1
}
messages() {  # messages COUNT BYTES [OPTION...]
  local count=$1 bytes=$2 options=(-n "$1" -s "$2" "${@:3}") before nic tries=5
  while true; do
    before=$(rdma_counter rxe0 rdma_recvs)
    nic=$(cat /sys/class/net/lf0/statistics/rx_bytes)
    ! transfer "${options[@]}" || break
    # At its end it compares two clocks, which disagree now and then on a busy machine's emulation.
    if ! grep -q "Can't produce a report" "$work/near" "$work/far" || ! ((--tries)); then
      die "${options[*]}: $(cat "$work/near" "$work/far")"
    fi
  done
  awk -v b="$bytes" -v what="${options[*]}" '$1 == b { print what ": " $4 " MB/s" }' "$work/near"
  grep -q 'Mtu *: 4096' "$work/near" || die "the RoCE MTU is not 4096: $(cat "$work/near")"
  expect "messages received" $(($(rdma_counter rxe0 rdma_recvs) - before)) -ge "$count"
  expect "bytes through the NIC" \
    $(($(cat /sys/class/net/lf0/statistics/rx_bytes) - nic)) -ge $((count * bytes))
  rdma_check_clean
}
messages 200 65536
messages 20 1048576
messages 20 65536 --ipv6
messages 200 65536 -R
messages 20 1048576 -R
messages 200 65536 -R --use-srq
expect "times the sender gave up" "$(rdma_counter rxe1 retry_exceeded_err)" -eq 0

echo "-- nothing is left of a receiver that was killed"
near -R
kill -9 "$(pgrep -P $receiver)"
wait $receiver 2>/dev/null || true
rdma_check_clean

echo "-- the devices go and come back"
rdma_down
expect devices "$(rdma link | wc -l)" -eq 0
rdma_up
messages 20 65536 -R
rdma_down
rmmod landfall_nic
