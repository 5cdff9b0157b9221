#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the transport ofi works over libfabric's provider verbs: files go either way, byte for byte and all of it
# direct, over IPv4 and IPv6, one connection or several; streams, flows and demands are as with every transport;
# and nothing stays on the devices. usage: rdma_ofi.sh NIC_TOOL LANDFALL CONFORMANCE
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2 suite=$3
load
rdma_up
by=(--transport ofi --option ofi.provider=verbs --memory host)
mkdir "$work/tree"
for i in 1 2 3; do head -c $((i * 700000)) /dev/urandom >"$work/tree/file$i"; done

near() { "$@"; }

transfer() {  # transfer RECEIVER SENDER ADDRESS PATH [OPTION...]: near or peer; options are the sender's
  local receives=$1 sends=$2 address=$3 path=$4
  echo "-- $sends to $receives at $address: $(basename "$path")"
  rm -rf "$work"/{received,port,report}
  mkdir "$work/received"
  $receives "$landfall" recv "${by[@]}" --size 16MiB --once --contract require-direct --listen "$address:0" \
    --to "$work/received/" --port-file "$work/port" --report "$work/report" 2>"$work/errors" &
  local receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 $receiver 2>/dev/null || die "the receiver ended: $(cat "$work/errors")"
    pause 0.05
  done
  $sends "$landfall" send "${by[@]}" "${@:5}" --to "$address:$(cat "$work/port")" "$path" >/dev/null ||
    die "the sender"
  wait $receiver || die "the receiver: $(cat "$work/errors")"
  diff -r "$path" "$work/received/$(basename "$path")" || die "the copy differs"
  grep -q '"chosen":"ofi"' "$work/report" || die "another transport: $(cat "$work/report")"
  grep -q '"copied_bytes":0' "$work/report" || die "not all of it was direct: $(cat "$work/report")"
}

transfer near peer "$here" "$work/tree/file3"
transfer peer near "$there" "$work/tree/file3"
transfer near peer "[$here6]" "$work/tree" --flows 4
transfer peer near "[$there6]" "$work/tree" --flows 4

"$suite" --ofi-verbs --gtest_brief=1 --gtest_filter='Streams.*:Flows.*:Demands.*' || die "the suite failed"

for device in rxe0 rxe1; do
  expect "packets that came to $device" "$(rdma_counter $device rcvd_pkts)" -gt 0
  expect "receivers that were not ready" "$(rdma_counter $device rcvd_rnr_err)" -eq 0
done
rdma_check_clean
rdma_down
rmmod landfall_nic
