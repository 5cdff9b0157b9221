#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: whatever is lost, both sides say what, in time, and nothing of RDMA is left: the peer killed, the
# link down, the device removed, memory that may not be pinned; a slow application only stalls its sender.
# usage: rdma_survive.sh NIC_TOOL LANDFALL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2
load
rdma_up
mkdir "$work/copies"

receive() {  # receive TO [OPTION...]: $receiver and $port
  local to=$1
  shift
  rm -f "$work/port"
  "$landfall" recv --transport verbs --size 8MiB --listen "$here:0" --once --to "$to" \
    --port-file "$work/port" "$@" >"$work/near" 2>&1 &
  receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 $receiver 2>/dev/null || die "the receiver ended: $(cat "$work/near")"
    pause 0.05
  done
  port=$(cat "$work/port")
}
send() {  # send [OPTION...]: $sender, of a file that takes for ever
  peer "$landfall" send --transport verbs --finish-timeout 20 --to "$here:$port" "$@" - </dev/zero >"$work/far" 2>&1 &
  sender=$!
}
under_way() {  # under_way MESSAGES [MORE]: so many more than these have come
  local i
  for ((i = 0; i < patience * 10; i++)); do
    [ "$(rdma_counter rxe0 rdma_recvs)" -le $(($1 + ${2-20})) ] || return 0
    kill -0 $sender 2>/dev/null || die "the sender ended: $(cat "$work/far" "$work/near")"
    pause 0.1
  done
  rdma_state >&2
  die "nothing comes: $(cat "$work/far" "$work/near")"
}
echo "-- the sender is killed"
before=$(rdma_counter rxe0 rdma_recvs)
receive /dev/null
send
under_way "$before"
pkill -9 -P $sender  # the program, below the shell that runs it there
rdma_ends receiver LF1312
wait $sender 2>/dev/null || true
rdma_check_clean

echo "-- more senders than there are slots are killed in the middle of a message: none is lost for good"
rm -f "$work/port"
"$landfall" recv --transport verbs --option verbs.slot=1MiB --size 8MiB --listen "$here:0" --to "$work/copies/" \
  --port-file "$work/port" >"$work/near" 2>&1 &
receiver=$!
until [ -e "$work/port" ]; do pause 0.05; done
port=$(cat "$work/port")
for _ in {1..12}; do
  before=$(rdma_counter rxe0 rdma_recvs)
  send
  under_way "$before" 2
  pkill -9 -P $sender
  wait $sender 2>/dev/null || true
done
head -c 30000000 /dev/urandom >"$work/file"
peer "$landfall" send --transport verbs --to "$here:$port" "$work/file" >"$work/far" 2>&1 ||
  die "after them: $(cat "$work/far" "$work/near")"
cmp "$work/file" "$work/copies/file"
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
kill -INT $receiver
wait $receiver || true
rdma_check_clean

echo "-- the receiver is killed"
before=$(rdma_counter rxe0 rdma_recvs)
receive /dev/null
send
under_way "$before"
kill -9 $receiver || die "the receiver has ended: $(cat "$work/near" "$work/far")"
rdma_ends sender 'ended the connection|LF1312'
rdma_check_clean

echo "-- a slow receiver: the sender waits, nothing overruns, nothing is lost"
before=$(rdma_counter rxe0 rdma_recvs)
mkfifo "$work/slow"
exec 7<>"$work/slow"
receive "$work/slow"
peer "$landfall" send --transport verbs --to "$here:$port" "$work/file" >"$work/far" 2>&1 &
sender=$!
pause 3
if ! timeout "$patience" head -c 30000000 <&7 | cmp - "$work/file"; then
  rdma_state >&2
  die "what came differs, or does not come: $(cat "$work/far" "$work/near")"
fi
wait $sender || die "the sender: $(cat "$work/far")"
wait $receiver || die "the receiver: $(cat "$work/near")"
exec 7<&-
rdma_check_clean

# Nobody may depend on having something to say: one side waits for bytes, or the other one for credits.
for to in /dev/null "$work/slow"; do
  echo "-- the link goes down, and bytes go to $(basename "$to")"
  before=$(rdma_counter rxe0 rdma_recvs)
  exec 7<>"$work/slow"
  receive "$to" --option verbs.keepalive=1
  send --option verbs.keepalive=1
  under_way "$before"
  [ "$to" = /dev/null ] || pause 3  # until nothing moves any more
  rdma_lose_link
  exec 7<&-
  rdma_check_clean

  # After that no connection was made over these devices any more (seen on Linux 7.3; why was not found out).
  rdma_down
  rdma_up
done

echo "-- the receiver's device is removed"
before=$(rdma_counter rxe0 rdma_recvs)
receive /dev/null
send
under_way "$before"
rdma link delete rxe0
rdma_ends receiver LF1265
rdma_ends sender 'LF131[23]|ended the connection'
rdma link add rxe0 type rxe netdev lf0

echo "-- memory that may not be pinned"
status=0
setpriv --bounding-set -ipc_lock bash -c "ulimit -l 64; exec '$landfall' recv --transport verbs --size 8MiB --to /dev/null" \
  >"$work/near" 2>&1 || status=$?
expect "exit status" $status -eq 69
grep -q LF1004 "$work/near" || die "it says: $(cat "$work/near")"

echo "-- and after all that it works"
before=$(rdma_counter rxe0 rdma_recvs)
receive "$work/copy"
peer "$landfall" send --transport verbs --to "$here:$port" "$work/file" >"$work/far" 2>&1 || die "$(cat "$work/far")"
wait $receiver || die "$(cat "$work/near")"
cmp "$work/file" "$work/copy"
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
rdma_down
rmmod landfall_nic
