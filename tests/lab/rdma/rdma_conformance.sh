#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the transport verbs passes the suite that all transports pass, its senders in the other
# namespace, and leaves nothing on the device. usage: rdma_conformance.sh NIC_TOOL CONFORMANCE [OPTION...]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
suite=$2
load
rdma_up
# Nothing asks the kernel for an interface that this namespace lacks: it would run modprobe, each time.
printf '#!/bin/sh\necho "$*" >>%s\nexec /sbin/modprobe "$@"\n' "$work/modules" >"$work/modprobe"
chmod +x "$work/modprobe"
: >"$work/modules"
sysctl -qw kernel.modprobe="$work/modprobe"
status=0
"$suite" --verbs --gtest_brief=1 --gtest_filter="-*Memories*" "${@:3}" || status=$?
sysctl -qw kernel.modprobe=/sbin/modprobe
expect "exit status of the suite" $status -eq 0
! grep lf "$work/modules" || die "modprobe was run for interfaces"
rdma_check_clean
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
rdma_down
rmmod landfall_nic
