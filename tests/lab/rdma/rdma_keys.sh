#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a peer that reaches for our memory (by keys that it has guessed, and by the right one), or sends what no
# landfall sends, writes nothing, reads nothing, and ends its own connection only, with the reason; and so does
# a wrong key of ours. Nothing is left. usage: rdma_keys.sh NIC_TOOL MANY STRANGER
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
many=$2 stranger=$3
load
rdma_up

echo "-- strangers that connect as a sender does, beside senders at work"
rounds=3
many_receive $((4 + 8)) --slot 4096
address=$(figure region "$work/near")
right=$(rdma -d resource show mr dev rxe0 | sed -nE 's/.*rkey (0x[0-9a-f]+).*/\1/p' | head -n 1)
[ -n "$right" ] || die "no key of the receiver's memory: $(rdma -d resource show mr)"
peer "$many" send "$here" "$port" 4 4 $rounds 1048576 >"$work/far" 2>&1 &
sender=$!
declare -A reaching
for key in 0x12345678 "$right"; do
  for what in write write_imm read add long bare; do
    [ "$key" = "$right" ] || [[ $what = write || $what = read ]] || continue
    peer "$stranger" connect "$here" "$port" $what "$address" "$key" >"$work/$what.$key" 2>&1 &
    reaching[$what.$key]=$!
  done
done
for one in "${!reaching[@]}"; do
  wait "${reaching[$one]}" || die "$one: $(cat "$work/$one" "$work/near")"
  echo "$one: $(cat "$work/$one")"
  ! grep -q success "$work/$one" || [[ $one = bare.* ]] || die "it went through"
done
wait $sender || die "the sender: $(cat "$work/far" "$work/near")"
wait $receiver || die "the receiver: $(cat "$work/near")"
sed 's/^/receiver: /' "$work/near"
expect "bytes" "$(figure bytes "$work/near")" -eq $((4 * (8 + rounds * 1048576)))
expect "wrong Buffers" "$(figure wrong "$work/near")" -eq 0
expect "flows that failed" "$(grep -c '^failed: ' "$work/near")" -eq 8
expect "flows that failed for that reason" "$(grep -c '^failed: .*LF1329' "$work/near")" -eq 8
expect "flows that finished" "$(figure finished "$work/near")" -eq 4
expect "bytes of strangers in the Region" "$(figure marks "$work/near")" -eq 0
rdma_check_clean

echo "-- and strangers that connect as a receiver does"
for what in write bare; do
  ip netns exec peer "$stranger" listen "$there" "$what" 0x10000 0x12345678 >"$work/stranger" 2>&1 &
  waiting=$!
  until grep -q port= "$work/stranger"; do
    kill -0 $waiting 2>/dev/null || die "the stranger ended: $(cat "$work/stranger")"
    pause 0.05
  done
  status=0
  "$many" send "$there" "$(figure port "$work/stranger")" 1 1 1 1048576 >"$work/far" 2>&1 || status=$?
  expect "exit status of the sender" $status -ne 0
  # Where messages of its own were under way it cannot know.
  grep -qE 'LF1329|LF1333' "$work/far" || die "$what: the sender says: $(cat "$work/far")"
  wait $waiting || die "$what: $(cat "$work/stranger")"
done
rdma_check_clean

echo "-- a wrong key of ours"
many_receive 4 --fault 'key of a slot#3'
peer "$many" send "$here" "$port" 4 4 1 1048576 >"$work/far" 2>&1 && die "the sender of a flow that failed ends well"
wait $receiver || die "the receiver: $(cat "$work/near")"
sed 's/^/receiver: /' "$work/near"
# Soft-RoCE says the same of a slot that it cannot use as of a message that is too long, and nothing of why it
# could not send.
expect "flows that failed for that reason" "$(grep -cE '^failed: .*(LF1269|LF1329)' "$work/near")" -ge 1
rdma_check_clean
many_receive 1
peer "$many" send "$here" "$port" 1 1 1 1048576 --fault 'key of a message#9' >"$work/far" 2>&1 &&
  die "a sender with a wrong key ends well"
grep -qE 'LF1269|LF1333' "$work/far" || die "the sender says: $(cat "$work/far")"
wait $receiver || die "the receiver: $(cat "$work/near")"
rdma_check_clean
rdma_down
rmmod landfall_nic
