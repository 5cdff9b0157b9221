#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a receiver or a sender that is killed at any moment leaves nothing on the device, and the next run
# works. usage: rdma_kill.sh NIC_TOOL LANDFALL [KILLS [SEED]]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2 kills=${3:-25}
[ -z "${LANDFALL_SOAK-}" ] || kills=200
RANDOM=${4:-7}
load
rdma_up
head -c 200000000 /dev/zero >"$work/file"

declare -A hits
for ((i = 0; i < kills; i++)); do
  rm -f "$work/port"
  "$landfall" recv --transport verbs --size 8MiB --listen "$here:0" --once --to /dev/null \
    --port-file "$work/port" >/dev/null 2>&1 &
  receiver=$!
  until [ -e "$work/port" ]; do pause 0.02; done
  before=$(rdma_counter rxe0 rdma_recvs)
  peer "$landfall" send --transport verbs --to "$here:$(cat "$work/port")" "$work/file" >/dev/null 2>&1 &
  sender=$!
  # Every fourth at once, while they connect.
  until ((i % 4 == 3)) || [ "$(rdma_counter rxe0 rdma_recvs)" != "$before" ]; do pause 0.02; done
  pause "0.$((RANDOM % 5))$((RANDOM % 10))"
  phase=connecting
  [ "$(rdma_counter rxe0 rdma_recvs)" = "$before" ] || phase=receiving
  kill -0 $receiver 2>/dev/null || phase=ended
  hits[$phase]=$((${hits[$phase]:-0} + 1))
  if ((i % 3 == 2)); then
    pkill -9 -P $sender || true  # the program, below the shell that runs it there
    # A receiver that had a connection ends with it; one that had none waits for the next.
    for _ in {1..50}; do
      kill -0 $receiver 2>/dev/null || break
      pause 0.1
    done
    [ $phase = connecting ] || ! kill -0 $receiver 2>/dev/null || die "kill $i: the receiver goes on"
  fi
  kill -9 $receiver 2>/dev/null || true
  for process in $receiver $sender; do wait "$process" 2>/dev/null || true; done
  rdma_check_clean
done
for phase in "${!hits[@]}"; do echo "killed while $phase: ${hits[$phase]}"; done
expect "kills under traffic, in percent" $((${hits[receiving]:-0} * 100 / kills)) -ge 40

echo "-- the next run works"
rm -f "$work/port"
head -c 3000000 /dev/urandom >"$work/small"
"$landfall" recv --transport verbs --size 8MiB --listen "$here:0" --once --to "$work/copy" \
  --port-file "$work/port" >/dev/null &
receiver=$!
until [ -e "$work/port" ]; do pause 0.02; done
peer "$landfall" send --transport verbs --to "$here:$(cat "$work/port")" "$work/small" >/dev/null
wait $receiver
cmp "$work/small" "$work/copy"
rdma_check_clean
rdma_down
rmmod landfall_nic
