#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: whatever writes bytes to a TCP socket is received byte by byte: bash, nc, socat, iperf 2.
. "$(dirname "$0")/common.sh"
missing=
head -c 3000000 /dev/urandom >data

start_recv "${transport[@]}" --once --to got/
exec 4>"/dev/tcp/127.0.0.1/$port"
cat data >&4
exec 4>&-
end_recv 0
cmp data got/1 || fail "bash: the bytes differ"

if command -v nc >/dev/null; then
  start_recv "${transport[@]}" --once --to got/
  # -N: end at the end of the input; other versions of nc do so by themselves or by -q.
  if nc -h 2>&1 | grep -q -- '-N'; then options=-N; else options='-q 0'; fi
  # shellcheck disable=SC2086
  nc $options 127.0.0.1 "$port" <data
  end_recv 0
  cmp data got/2 || fail "nc: the bytes differ"
else missing+=' nc'; fi

if command -v socat >/dev/null; then
  start_recv "${transport[@]}" --once --to socat.got
  socat -u OPEN:data "TCP:127.0.0.1:$port"
  end_recv 0
  cmp data socat.got || fail "socat: the bytes differ"
else missing+=' socat'; fi

iperf_version=$(iperf --version 2>&1 || true)
if [[ $iperf_version == *"version 2"* ]]; then
  start_recv "${transport[@]}" --once --flows 2 --to /dev/null --json
  iperf -c 127.0.0.1 -p "$port" -n 2M -P 2 >iperf.out
  end_recv 0
  bytes=$(tail -n 1 recv.out | grep -o '"bytes":[0-9]*' | head -n 1)
  [ "${bytes#*:}" -ge 4194304 ] || fail "iperf: $bytes"
else missing+=' iperf(2)'; fi

if [ -n "$missing" ]; then skip "not installed:$missing; the others passed"; fi
echo ok
