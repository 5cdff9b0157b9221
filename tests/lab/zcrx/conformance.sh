#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: zcrx passes the suite that every transport passes, over a dma-buf, over host memory and
# without an interface. usage: conformance.sh NIC_TOOL LANDFALL_CONFORMANCE [ARGUMENT...]
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
suite=$2
shift 2
load queues=8 mtu=4148
ethtool -X lf0 equal 2  # the others are free for Groups
"$tool" hds lf0 on
fault linear 64  # real NICs leave some payload in packet heads
timeout 2400 "$suite" --zcrx lf0 "$@"
