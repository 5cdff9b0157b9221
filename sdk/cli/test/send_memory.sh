#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: what is sent from memory arrives as it is, by each method that works on loopback, and the
# sender says by which, why not by the others, and what was copied.
. "$(dirname "$0")/common.sh"
mkdir -p source/a
head -c 5000001 /dev/urandom >source/big
: >source/empty
printf x >source/a/one_byte
truncate -s 8M source/sparse
printf end >>source/sparse
for i in $(seq 40); do head -c $((i * 997)) /dev/urandom >"source/a/$i"; done
has() { grep -q "$1" last.out || fail "no '$1' in the output"; }

for options in "" "--flows 3" "--method copy" "--method zerocopy --size 2MiB" "--flows 3 --size 6MiB"; do
  start_recv "${transport[@]}" --once --to got/
  # shellcheck disable=SC2086
  expect 0 "$landfall" send source --to "127.0.0.1:$port" --memory host $options
  end_recv 0
  diff -r source got/source || fail "it differs with '$options'"
  rm -rf got
  has '^memory     host, '
  has '^verdict '
  has 'the memory is no dma-buf\|the list of methods does not name it'
done
has 'zerocopy: chosen, at best direct'

# The same by sendfile, and what is no file.
start_recv "${transport[@]}" --once --to got/
expect 0 "$landfall" send source/big --to "127.0.0.1:$port" --json
end_recv 0
has '"chosen":"sendfile"'
has '"direct_bytes":5000001,"linear_bytes":0,"copied_bytes":0'
start_recv "${transport[@]}" --once --to piped
head -c 3000000 source/big | expect 0 "$landfall" send - --to "127.0.0.1:$port" --json
end_recv 0
has '"copied_bytes":3000000'
head -c 3000000 source/big | cmp - piped || fail "the pipe differs"

# Raw bytes, of a file and of a pipe.
start_recv "${transport[@]}" --once --to raw
expect 0 "$landfall" send source/big --raw --memory host --to "127.0.0.1:$port" --json
end_recv 0
cmp source/big raw || fail "the raw file differs"
has '"chosen":"zerocopy"'
has '"name":"needs_dmabuf"'
has '"memory":{"source":"host","size_bytes":16777216}'
start_recv "${transport[@]}" --once --to raw
head -c 3000000 source/big | expect 0 "$landfall" send - --raw --memory host --to "127.0.0.1:$port"
end_recv 0
head -c 3000000 source/big | cmp - raw || fail "the raw pipe differs"
start_recv "${transport[@]}" --once --to got/
head -c 3000000 source/big | expect 0 "$landfall" send - --memory host --to "127.0.0.1:$port" --interface lo
end_recv 0
head -c 3000000 source/big | cmp - got/stdin || fail "the pipe differs"

# Refusals, each by name.
expect 64 "$landfall" send source --to 127.0.0.1:1 --size 4MiB
grep -q -- '--memory' last.err || fail "--size without --memory"
expect 64 "$landfall" send source --to 127.0.0.1:1 --memory nothing
grep -q LF1115 last.err || fail "an unknown memory source"
expect 64 "$landfall" send source --to 127.0.0.1:1 --memory host --size 4MiB --flows 3
grep -q LF1204 last.err || fail "too little memory"
expect 64 "$landfall" send source --to 127.0.0.1:1 --memory host --method post
expect 64 "$landfall" send source --to 127.0.0.1:1 --interface no-such0
grep -q LF1209 last.err || fail "an unknown interface"
start_recv "${transport[@]}" --to got/
expect 69 "$landfall" send source --to "127.0.0.1:$port" --memory host --method devmem
grep -q LF1202 last.err || fail "devmem from memory without a dma-buf"
expect 69 "$landfall" send source --to "127.0.0.1:$port" --memory host --contract require-direct
grep -q LF1317 last.err || fail "a broken contract"
kill -INT "$receiver"
wait "$receiver" || true
receiver=
echo ok
