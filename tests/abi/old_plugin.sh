#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a plug-in of an earlier minor of the ABI, as a binary, passes the suite of today.
# usage: old_plugin.sh LANDFALL_CONFORMANCE PLUGIN
set -euo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
# A copy that nobody else may write: where others may, a process with privileges loads none.
install -m 0644 "$2" "$work/plugin.so"
"$1" --backend "$work/plugin.so" --gtest_brief=1 | tee "$work/report"
passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests*\.$/\1/p' "$work/report")
[ "${passed:-0}" -ge 5 ] || { echo "the suite ran ${passed:-0} cases on $2"; exit 1; }
