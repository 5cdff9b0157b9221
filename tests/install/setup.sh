#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: sdk/cmake/setup installs exactly what is missing, fetches package lists only when it must,
# touches nothing when all is there, and explains itself without apt. usage: setup.sh SETUP
set -euo pipefail
setup=$1
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/bin"
for tool in bash env grep printf cat; do ln -s "$(command -v $tool)" "$work/bin/$tool"; done
fake() { printf '#!%s/bin/bash\n%s\n' "$work" "$2" >"$work/bin/$1"; chmod +x "$work/bin/$1"; }
run() { PATH=$work/bin "$work/bin/bash" "$setup" "$@" >"$work/out" 2>&1; }
fail() { echo "$1"; cat "$work/out"; [ ! -e "$work/calls" ] || cat "$work/calls"; exit 1; }
fake id 'echo 0'
fake apt-get "echo \"\$*\" >>$work/calls"

fake dpkg-query 'echo installed'
run build test ci || fail "all is there, and setup failed"
[ ! -e "$work/calls" ] && [ ! -s "$work/out" ] || fail "all is there, and setup did something"

fake dpkg-query '[ "${@: -1}" != scdoc ] && echo installed'
run build || fail "scdoc is missing, and setup failed"
grep -qE '^install .*no-install-recommends scdoc$' "$work/calls" || fail "scdoc was not installed"
! grep -q update "$work/calls" || fail "package lists were fetched without need"
grep -q 'scdoc .*man pages' "$work/out" || fail "setup did not say why"
if run --check build; then fail "--check found nothing missing"; fi

rm "$work/calls"
fake apt-get "echo \"\$*\" >>$work/calls; case \$* in install*-s*) [ -e $work/lists ];; update*) echo >$work/lists;; esac"
run build || fail "no package lists, and setup failed"
[ "$(grep -c '^update' "$work/calls")" = 1 ] || fail "package lists were not fetched once"

fake id 'echo 1000'
if run build; then fail "neither root nor sudo, and setup succeeded"; fi
grep -q 'As root: apt-get install scdoc' "$work/out" || fail "setup did not say what root should do"
rm "$work/calls"
fake sudo "echo sudo >>$work/calls; exec \"\$@\""
run build || fail "with sudo, and setup failed"
grep -q sudo "$work/calls" || fail "sudo was not used"

rm "$work/bin/apt-get"
if run build; then fail "no apt-get, and setup succeeded"; fi
grep -q 'no apt-get' "$work/out" || fail "setup did not say that there is no apt-get"
if run nonsense; then fail "an unknown job was accepted"; fi
