#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a directory with odd names, empty files, a sparse file and modes comes over as it is.
. "$(dirname "$0")/common.sh"

mkdir -p source/a/b/c "source/with space" source/empty_directory source/read_only
head -c 5000000 /dev/urandom >source/big
: >source/a/empty
printf x >source/a/b/c/one_byte
printf 'y' >"source/with space/new
line"
printf 'z' >"source/$(printf 'byte\377')" 2>/dev/null || true # a file system may want UTF-8
printf -- '-' >"source/-rf"
printf 'e' >"source/ünïcödé"
printf 'l' >"source/$(printf 'x%.0s' $(seq 255))"
truncate -s 64M source/sparse
printf 'in the middle' | dd of=source/sparse bs=1 seek=33554432 conv=notrunc 2>/dev/null
printf 'end' >>source/sparse
chmod 700 source/a/b
chmod 640 source/a/empty
printf r >source/read_only/file
chmod 555 source/read_only

for flows in 1 3; do
  start_recv "${transport[@]}" --once --to got/
  expect 0 "$landfall" send source --to "127.0.0.1:$port" --flows "$flows"
  end_recv 0
  diff -r source got/source || fail "it differs"
  [ "$(stat -c %a got/source/a/empty)" = 640 ] || fail "the mode of a file"
  [ "$(stat -c %a got/source/a/b)" = 700 ] || fail "the mode of a directory"
  [ "$(stat -c %a got/source/read_only)" = 555 ] || fail "the mode of a directory"
  [ "$(stat -c %b got/source/sparse)" -lt 32768 ] || fail "the holes are filled"
  find got -name '*.part' | grep . && fail "something was left over"
  grep -q '^verdict ' recv.out || fail "no verdict"
  grep -q '^decision ' recv.out || fail "no decision"
  chmod -R u+w got && rm -rf got
done

# One file to one name; standard input on both sides.
start_recv "${transport[@]}" --once --to single
expect 0 "$landfall" send source/big --to "127.0.0.1:$port"
end_recv 0
cmp source/big single || fail "the single file differs"
start_recv "${transport[@]}" --once --to -
"$landfall" send - --to "127.0.0.1:$port" <source/big >/dev/null
end_recv 0
cmp source/big recv.out || fail "standard output differs"
grep -q '^verdict' recv.err || fail "the summary is not on standard error"
start_recv "${transport[@]}" --once --to piped
head -c 700000 source/big | "$landfall" send - --raw --to "127.0.0.1:$port" >/dev/null
end_recv 0
head -c 700000 source/big | cmp - piped || fail "the raw pipe differs"
chmod -R u+w source
echo ok
