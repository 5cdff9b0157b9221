#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: 1,000 flows on one shared receive queue, 100 of them bursting at once: every byte is the one that
# belongs there, no sender meets a receiver that is not ready, and an idle flow costs the receiving process at
# most 8 KiB, with the slots that are kept for it. usage: rdma_many.sh NIC_TOOL MANY
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
many=$2 flows=1000 bursting=100 rounds=1 burst=1048576 slot=2048
[ -z "${LANDFALL_SOAK-}" ] || rounds=20
load
rdma_up

many_receive $flows --slot $slot
peer "$many" send "$here" "$port" $flows $bursting $rounds $burst >"$work/far" 2>&1 ||
  die "the sender: $(cat "$work/far" "$work/near")"
wait $receiver || die "the receiver: $(cat "$work/near")"
sed 's/^/receiver: /' "$work/near"
sed 's/^/sender: /' "$work/far"

expect "bytes" "$(figure bytes "$work/near")" -eq $((flows * 8 + bursting * rounds * burst))
expect "wrong Buffers" "$(figure wrong "$work/near")" -eq 0
expect "flows that failed" "$(figure failed "$work/near")" -eq 0
expect "bytes of an idle flow, beside its slots" "$(figure per_flow "$work/near")" -le $((8192 - 2 * slot))
for device in rxe0 rxe1; do
  for name in rcvd_rnr_err send_rnr_err retry_rnr_exceeded_err; do
    expect "$device: $name" "$(rdma_counter $device $name)" -eq 0
  done
done
rdma_check_clean
rdma_down
rmmod landfall_nic
