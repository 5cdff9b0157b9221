#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: an application that takes nothing for long overruns nothing: all slots fill, the senders wait, and then
# it gets every byte. Where a completion queue overruns all the same (it is made too small), the flows fail with
# the reason, and nothing is left. usage: rdma_overrun.sh NIC_TOOL MANY
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
many=$2 stall=2000
[ -z "${LANDFALL_SOAK-}" ] || stall=60000
load
rdma_up

echo "-- an application that takes nothing for $stall ms while 40 senders push"
flows=40 burst=524288 slot=4096 region=4194304
many_receive $flows --slot $slot --region $region --stall $stall
peer "$many" send "$here" "$port" $flows $flows 1 $burst >"$work/far" 2>&1 ||
  die "the sender: $(cat "$work/far" "$work/near")"
wait $receiver || die "the receiver: $(cat "$work/near")"
sed 's/^/receiver: /' "$work/near"
expect "bytes" "$(figure bytes "$work/near")" -eq $((flows * (8 + burst)))
expect "wrong Buffers" "$(figure wrong "$work/near")" -eq 0
expect "flows that failed" "$(figure failed "$work/near")" -eq 0
expect "Buffers that waited" "$(figure waited "$work/near")" -ge $((region / slot / 2))
rdma_check_clean

echo "-- a completion queue that is too small"
many_receive 8 --slot $slot --region $region --stall 2000 --fault completion_queue_places
status=0
peer "$many" send "$here" "$port" 8 8 1 $burst >"$work/far" 2>&1 || status=$?
expect "exit status of the sender" $status -ne 0
wait $receiver || die "the receiver: $(cat "$work/near")"
sed 's/^/receiver: /' "$work/near"
sed 's/^/sender: /' "$work/far"
expect "flows that failed" "$(figure failed "$work/near")" -eq 8
expect "flows that failed for that reason" "$(grep -c '^failed: .*LF1268' "$work/near")" -eq 8
grep -qE 'LF13(12|13)' "$work/far" || die "the sender says: $(cat "$work/far")"
rdma_check_clean

for device in rxe0 rxe1; do
  expect "$device: receivers that were not ready" "$(rdma_counter $device rcvd_rnr_err)" -eq 0
done

echo "-- and after that it works"
many_receive 8 --slot $slot
peer "$many" send "$here" "$port" 8 8 1 $burst >"$work/far" 2>&1 || die "the sender: $(cat "$work/far")"
wait $receiver || die "the receiver: $(cat "$work/near")"
expect "bytes" "$(figure bytes "$work/near")" -eq $((8 * (8 + burst)))
rdma_check_clean
rdma_down
rmmod landfall_nic
