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
"$suite" --verbs --gtest_brief=1 --gtest_filter="-*Memories*" "${@:3}" || die "the suite failed"
! grep lf "$work/modules" || die "modprobe was run for interfaces"
sysctl -qw kernel.modprobe=/sbin/modprobe
rdma_check_clean
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
rdma_down
rmmod landfall_nic
