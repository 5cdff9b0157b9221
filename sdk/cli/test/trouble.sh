#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: hostile streams, cut streams, a full disk, a refused name and Ctrl-C are clear errors with
# their exit status, and leave nothing behind.
. "$(dirname "$0")/common.sh"

none_left() {
  [ -z "$(find got out -mindepth 1 2>/dev/null)" ] || fail "something was left: $(find got out)"
}
mkdir got out
head -c 3000000 /dev/urandom >data

for file in "$here"/../corpus/object_stream/*; do
  case $(basename "$file") in
    dotdot | absolute) code=LF1504 ;;
    huge | wrap | version | count) code=LF1501 ;;
    cut) code=LF1502 ;;
    badcrc) code=LF1503 ;;
    *) continue ;;
  esac
  start_recv "${transport[@]}" --once --to got/
  exec 4>"/dev/tcp/127.0.0.1/$port"
  tail -c +2 "$file" >&4 || true
  exec 4>&-
  end_recv 65
  grep -q "$code" recv.err || fail "$(basename "$file") is not named $code"
  none_left
done

# A sender that dies in the middle of a file.
start_recv "${transport[@]}" --once --to got/
mkfifo endless
sleep 600 >endless &
writer=$!
"$landfall" send - --to "127.0.0.1:$port" <endless >/dev/null 2>&1 &
sender=$!
head -c 1500000 data >endless
disown "$sender"
kill -KILL "$sender"
kill "$writer"
got=0
wait "$receiver" || got=$?
receiver=
[ "$got" = 65 ] || [ "$got" = 1 ] || fail "a dead sender: $got"
none_left

# A device that is always full, then a real file system that is.
start_recv "${transport[@]}" --once --to /dev/full
expect 1 "$landfall" send data --to "127.0.0.1:$port"
grep -q 'LF1312' last.err || fail "the sender does not say that the receiver gave up"
end_recv 1
grep -q 'No space left on device' recv.err || fail "the full device is not named"
if mkdir full && mount -t tmpfs -o size=1m none full 2>/dev/null; then
  start_recv "${transport[@]}" --once --to full/
  expect 1 "$landfall" send data --to "127.0.0.1:$port"
  end_recv 1
  grep -q 'No space left on device' recv.err || fail "the full disk is not named"
  left=$(find full -mindepth 1)
  umount full
  [ -z "$left" ] || fail "something was left on the full disk: $left"
fi

# A second object has no place in a file; a directory has none either.
mkdir two && cp data two/a && cp data two/b
start_recv "${transport[@]}" --once --to out/one
expect 1 "$landfall" send two --to "127.0.0.1:$port"
end_recv 65
grep -q LF1505 recv.err || fail "LF1505 is not named"
none_left

# Links below the destination are not followed.
mkdir outside got/two && ln -s "$work/outside" got/two/link && mkdir -p evil/two/link
printf x >evil/two/link/file
start_recv "${transport[@]}" --once --to got/
expect 1 "$landfall" send evil/two --to "127.0.0.1:$port"
end_recv 1
[ -z "$(ls outside)" ] || fail "a link was followed"
rm -rf got/two

# Ctrl-C in the middle: 130 and no half file; the receiver goes on while nobody asks it to stop.
start_recv "${transport[@]}" --to got/ --json
exec 4>"/dev/tcp/127.0.0.1/$port"
head -c 100000 data >&4
until grep -q '"type":"progress"' recv.out; do pause; done
kill -INT "$receiver"
end_recv 130
exec 4>&-
none_left
grep -q '"type":"summary"' recv.out || fail "no summary at the end"

# Nor does it wait for a pipe that nobody empties, a program that does not read, or one that does not end.
mkfifo stuck
exec 5<>stuck
printf '#!/bin/sh\nexec sleep 1000\n' >deaf
printf '#!/bin/sh\ncat >/dev/null\nexec sleep 1000\n' >lingers
chmod +x deaf lingers
for to in stuck - exec:./deaf exec:./lingers; do
  rm -f port
  output=stuck
  [ "$to" = - ] || output=recv.out
  "$landfall" recv --listen 127.0.0.1:0 --port-file port "${transport[@]}" --once --to "$to" >$output 2>recv.err &
  receiver=$!
  until [ -s port ]; do pause; done
  "$landfall" send data --to "127.0.0.1:$(cat port)" >/dev/null 2>&1 &
  sender=$!
  read -rt 0.5 <> <(:) || true  # until it waits
  kill -TERM "$receiver"
  for ((i = 0; i < 500; i++)); do kill -0 "$receiver" 2>/dev/null || break; pause; done
  ! kill -0 "$receiver" 2>/dev/null || { kill -KILL "$receiver"; fail "$to: Ctrl-C does not end it"; }
  end_recv 130
  wait "$sender" || true
done
exec 5>&-

# A receiver that does not finish in time.
start_recv "${transport[@]}" --once --to got/
kill -STOP "$receiver"
expect 75 "$landfall" send data --to "127.0.0.1:$port" --finish-timeout 1
kill -CONT "$receiver"
kill -INT "$receiver"
wait "$receiver" || true
receiver=
echo ok
