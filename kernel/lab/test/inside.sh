#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a lab test is skipped outside the VM; inside, a skip that tests/lab/skips does not list for
# this kernel is a failure, be it the program's or one GoogleTest's. usage: inside.sh INSIDE
set -uo pipefail
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir -p "$work/kernel/lab" "$work/tests/lab"
cp "$1" "$(dirname "$1")/common.sh" "$work/kernel/lab"
cat >"$work/tests/lab/skips" <<'EOF'
# kernel test why
6.12.* Zcrx.* no zcrx before 6.15
* listed.sh it may
* Bad.NoReason
EOF
expect() {  # expect STATUS KERNEL PROGRAM
  local want=$1 kernel=$2 got=0
  LANDFALL_LAB_KREL=$kernel "$work/kernel/lab/inside" "$work/$3" >"$work/out" 2>&1 || got=$?
  [ $got = "$want" ] || { echo "FAIL: $3 with '$kernel': $got, not $want"; cat "$work/out"; exit 1; }
}
program() { printf '#!/bin/sh\n%s\n' "$2" >"$work/$1"; chmod +x "$work/$1"; }
program good.sh 'echo good'
program bad.sh 'exit 3'
program unlisted.sh 'exit 77'
program listed.sh 'exit 77'
program zcrx.sh 'echo "[  SKIPPED ] Zcrx.Large (0 ms)"; echo "[  SKIPPED ] Zcrx.Large"'
program reasonless.sh 'echo "[  SKIPPED ] Bad.NoReason"'
# shellcheck disable=SC2016  # expanded in there
program brief.sh '[ "$GTEST_BRIEF" = 1 ] || echo "[  SKIPPED ] Zcrx.Large"'
program both.sh 'echo "[  SKIPPED ] Zcrx.Large"; exit 1'

expect 77 "" good.sh
expect 0 7.3.4 good.sh
expect 3 7.3.4 bad.sh
expect 1 7.3.4 unlisted.sh
expect 77 7.3.4 listed.sh
expect 1 7.3.4 zcrx.sh
expect 0 6.12.107 zcrx.sh
expect 1 7.3.4 reasonless.sh
GTEST_BRIEF=1 expect 1 7.3.4 brief.sh
expect 1 6.12.107 both.sh
