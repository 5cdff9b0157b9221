#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: each file that is received goes through a program, and a program that fails is a failure.
. "$(dirname "$0")/common.sh"
mkdir -p sent/deep
head -c 3000000 /dev/urandom >sent/large
echo small >sent/deep/small
: >sent/empty
cat >keep <<'END'
#!/bin/sh
mkdir -p "got/$(dirname "$1")" && cat >"got/$1" && case $1 in bad) exit 3 ;; esac
END
chmod +x keep
receive() {  # receive TO: one transfer into it; its exit status is in $status
  rm -f port
  "$landfall" recv --listen 127.0.0.1:0 --port-file port --once --to "$1" >recv.out 2>recv.err &
  receiver=$!
  for ((i = 0; i < 100; i++)); do [ ! -s port ] || break; sleep 0.1; done
  [ -s port ] || fail "no receiver: $(cat recv.err)"
}
ended() { status=0; wait "$receiver" || status=$?; }

receive exec:./keep
"$landfall" send sent --to "127.0.0.1:$(cat port)" >send.out 2>&1 || fail "$(cat send.out)"
ended
[ "$status" = 0 ] || fail "recv exits with $status: $(cat recv.err)"
diff -r sent got/sent || fail "not the same"

echo x >bad
receive exec:./keep
"$landfall" send bad --to "127.0.0.1:$(cat port)" >send.out 2>&1 || true
ended
[ "$status" = 1 ] || fail "recv exits with $status: $(cat recv.err)"
grep -q 'it exited with 3' recv.err || fail "$(cat recv.err)"

receive exec:true
"$landfall" send sent/large --to "127.0.0.1:$(cat port)" >send.out 2>&1 || true
ended
[ "$status" = 1 ] || fail "recv exits with $status: $(cat recv.err)"
grep -q 'it ended before its input did' recv.err || fail "$(cat recv.err)"

receive exec:./nosuch
"$landfall" send bad --to "127.0.0.1:$(cat port)" >send.out 2>&1 || true
ended
[ "$status" = 1 ] || fail "recv exits with $status: $(cat recv.err)"
grep -q "cannot start './nosuch'" recv.err || fail "$(cat recv.err)"
echo ok
