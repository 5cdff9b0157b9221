#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the command receives a real file by RDMA: byte for byte, all of it direct, counted by the device
# as well; and a sender of plain TCP is served at the same port. usage: demo.sh NIC_TOOL LANDFALL [FILE]
# In the lab's VM; without FILE it makes one.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2 file=${3-}
say() { printf 'demo: %s\n' "$*"; }
export TERM=${LANDFALL_LAB_TERM:-dumb}
if [ -z "$file" ]; then
  file=$work/packed
  until [ -e "$file" ] && [ "$(stat -c %s "$file")" -ge 50000000 ]; do cat "$landfall" >>"$file"; done
fi
load
rdma_up
say "the devices: $(rdma link | sed 's/ *$//' | paste -sd ';')"
say "the file: $file, $(stat -c %s "$file") bytes"

transfer() {  # transfer WHAT [SEND_OPTION...]
  local what=$1
  shift
  rm -rf "$work"/{port,received}
  mkdir "$work/received"
  messages=$(rdma_counter rxe0 rdma_recvs)
  say "receiver: landfall recv --transport tcp --also verbs --listen $here:0 --once --to ..."
  "$landfall" recv --transport tcp --also verbs --size 64MiB --listen "$here:0" --once \
    --to "$work/received/" --port-file "$work/port" --report "$work/report" &
  receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 "$receiver" 2>/dev/null || die "the receiver ended before it listened"
    pause 0.05
  done
  say "sender:   landfall send $* --to $here:$(cat "$work/port") $file"
  peer "$landfall" send "$@" --to "$here:$(cat "$work/port")" "$file" >/dev/null || die "the sender"
  wait "$receiver" || die "the receiver"
  [ "$(sha256sum <"$file")" = "$(sha256sum <"$work/received/$(basename "$file")")" ] ||
    die "the copy differs from $file"
  messages=$(($(rdma_counter rxe0 rdma_recvs) - messages))
  say "$what: $messages messages by the device, SHA-256 $(sha256sum <"$file" | cut -c 1-16)... as that of the file"
}
verdict() { sed -nE "s/.*\"verdict\":\{[^]]*\"$1\":([0-9]+).*/\1/p" "$work/report"; }

transfer RDMA --transport verbs
expect "bytes that are not direct" "$(verdict copied_bytes)" -eq 0
expect "direct bytes" "$(verdict direct_bytes)" -ge "$(stat -c %s "$file")"
expect "messages" "$messages" -gt 0
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
say "verified: all bytes are direct, and no sender met a receiver that was not ready"

say "the same port takes a sender of plain TCP"
transfer TCP
expect "messages" "$messages" -eq 0
expect "copied bytes" "$(verdict copied_bytes)" -ge "$(stat -c %s "$file")"
rdma_check_clean
say "verified: by TCP each byte was copied once, and the verdict says so"
