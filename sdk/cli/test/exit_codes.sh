#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: each exit status of the table is what its case answers, and messages go to standard error.
. "$(dirname "$0")/common.sh"

expect 0 "$landfall" --version
expect 0 "$landfall" --help
expect 0 "$landfall" help recv
expect 0 "$landfall" explain
expect 0 "$landfall" explain LF1103
expect 0 "$landfall" explain no_hugepages --json
expect 0 "$landfall" completion bash
[ ! -s last.err ] || fail "a good run says something on standard error"

for wrong in "" "rcev" "--versoin" "recv" "recv --to" "recv --lisen x --to y" "recv --to - --json" \
  "recv --to x --size 3x" "recv --to x --listen nowhere" "recv --to x --flows 0" \
  "recv --to x --contract maybe" "recv --to x --memory nosuch" \
  "send" "send x" "send . --to 127.0.0.1:0" "send . --raw --to 127.0.0.1:1" \
  "explain LF9" "completion tcsh" "completion bash --json" "help nosuch" "doctor extra"; do
  # shellcheck disable=SC2086
  expect 64 "$landfall" $wrong
  [ ! -s last.out ] || fail "'$wrong' prints on standard output"
  [ -s last.err ] || fail "'$wrong' is refused without a word"
done

expect 1 "$landfall" send nosuchfile --to 127.0.0.1:1
# Nobody listens: refused at once, and given up when the time is over.
expect 1 "$landfall" send "$here/exit_codes.sh" --to 127.0.0.1:1 --connect-timeout 0
grep -q 'LF1313' last.err || fail "the refused connection is not named"
expect 69 "$landfall" recv --to x --transport nosuch
grep -q LF1205 last.err || fail "the unknown transport is not named"
# A contract that no transport of this host can keep, or no transport at all.
expect 69 "$landfall" recv --to x --contract require-direct --transport tcp,devmem-model \
  --plugin "$plugin" --option devmem-model.unsteered=1
grep -q 'devmem-model: not usable' last.err || fail "the decision is not shown"

case $("$landfall" doctor --json | grep -o '"ok":[a-z]*') in
  '"ok":true') expect 0 "$landfall" doctor ;;
  *) expect 69 "$landfall" doctor ;;
esac
if [ "$EUID" != 0 ]; then
  expect 77 "$landfall" recv --to /root/landfall/
fi
echo 'LANDFALL_MEMRY is warned of'
LANDFALL_MEMRY=1 expect 0 "$landfall" explain LF1103
grep -q 'did you mean LANDFALL_MEMORY?' last.err || fail "no hint"
echo ok
