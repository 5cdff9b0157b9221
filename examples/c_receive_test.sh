#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the C example receives what a plain sender sends, byte by byte, and prints the verdict.
# usage: c_receive_test.sh C_RECEIVE [PLUGIN]
set -euo pipefail
program=$1
plugin=${2:-}
work=$(mktemp -d)
receiver=
trap '[ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true; rm -rf "$work"' EXIT

head -c 1000000 /dev/zero | tr '\0' '\001' >"$work/input" # the sum of its bytes is its length
mkfifo "$work/out"
"$program" 0 ${plugin:+"$plugin"} >"$work/out" &
receiver=$!
exec 3<"$work/out"
read -r line <&3
port=$(sed -n 's/^listening on 127\.0\.0\.1:\([0-9]*\) by .*/\1/p' <<<"$line")
exec 4>"/dev/tcp/127.0.0.1/$port"
cat "$work/input" >&4
exec 4>&-
rest=$(cat <&3)
wait "$receiver"
receiver=
echo "$line"
echo "$rest"
grep -qx 'sum of all bytes: 1000000' <<<"$rest"
[ "$(awk '/ bytes$/ { n += $2 } END { print n }' <<<"$rest")" = 1000000 ]
