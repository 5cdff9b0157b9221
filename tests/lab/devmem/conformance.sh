#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: devmem-tcp passes the suite that every transport passes, with senders behind the other port.
# usage: conformance.sh NIC_TOOL LANDFALL_CONFORMANCE [ARGUMENT...]
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
suite=$2
shift 2
load queues=8 mtu=4148
ethtool -X lf0 equal 2  # the others are free for Groups
"$tool" hds lf0 on
fault linear 64  # real NICs leave some payload in packet heads
timeout 2400 "$suite" --devmem-tcp lf0 "$@"
