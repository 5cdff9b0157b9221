#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: what sdk/nic reads of the software NIC, binds and steers there is so.
# usage: sdk.sh NIC_TOOL TEST_PROGRAM [ARGUMENT...]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load queues=4 mtu=4148 rules=32
export NIC_TOOL=$tool
"${@:2}"
