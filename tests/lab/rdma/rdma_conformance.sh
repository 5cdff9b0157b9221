#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the transport verbs passes the suite that all transports pass, its senders in the other
# namespace, and leaves nothing on the device. usage: rdma_conformance.sh NIC_TOOL CONFORMANCE [OPTION...]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
suite=$2
# These take minutes in emulation: a soak has them, and verbs' model and ofi run them on any machine.
long='*Trickles*:*ADropOnAnotherThread*:*ClosingLeaks*:*DroppedOnManyThreads*:*EveryOutsideCall*'
filter=("--gtest_filter=-*Memories*:$long")
[ -z "${LANDFALL_SOAK-}" ] || filter=("--gtest_filter=-*Memories*")
load
rdma_up
"$suite" --verbs --gtest_brief=1 "${filter[@]}" "${@:3}" || die "the suite failed"
rdma_check_clean
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
rdma_down
rmmod landfall_nic
