# SPDX-License-Identifier: Apache-2.0
# What the command's tests share. Sourced with their arguments: COMMAND PLUGIN.
set -euo pipefail
landfall=$1
plugin=$2
here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
work=$(mktemp -d)
cd "$work"
receiver=
unset "${!LANDFALL_@}"
finish() {
  if [ -n "$receiver" ]; then kill "$receiver" 2>/dev/null || true; fi
  cd /
  chmod -R u+w "$work" 2>/dev/null || true
  rm -rf "$work"
}
trap finish EXIT

fail() {
  echo "FAIL: $*" >&2
  for log in "$work"/*.err "$work"/*.out; do
    [ -s "$log" ] && { echo "--- $(basename "$log")" >&2; head -c 2000 "$log" | tr -cd '[:print:]\n' >&2; }
  done
  exit 1
}
skip() {
  echo "SKIP: $*"
  exit 77
}

# expect STATUS COMMAND...: runs it, output in last.out and last.err.
expect() {
  local want=$1 got=0
  shift
  "$@" >last.out 2>last.err || got=$?
  [ "$got" = "$want" ] || fail "'$*' answered $got, not $want"
}

# start_recv OPTIONS...: a receiver on a free loopback port, in $port, its process in $receiver.
start_recv() {
  rm -f port
  "$landfall" recv --listen 127.0.0.1:0 --port-file port "$@" >recv.out 2>recv.err &
  receiver=$!
  until [ -s port ]; do
    kill -0 "$receiver" 2>/dev/null || fail "the receiver did not start"
    pause
  done
  port=$(cat port)
}
# Between two looks at something that no event tells.
pause() { read -rt 0.02 <> <(:) || true; }

# end_recv STATUS: waits for the receiver.
end_recv() {
  local got=0
  wait "$receiver" || got=$?
  receiver=
  [ "$got" = "$1" ] || fail "the receiver answered $got, not $1"
}

# The transport that the tests use: the first that works, else the model of devmem TCP.
transport=()
if ! "$landfall" info --json | grep -q '"usable":true,"best_placement"'; then
  transport=(--plugin "$plugin")
fi
