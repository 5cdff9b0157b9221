# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of the software NIC share: the module loaded, port lf0 here and lf1 in namespace
# "peer", each with an address; helpers that say what went wrong.
set -euo pipefail
# shellcheck source-path=SCRIPTDIR/../../bench source=../../bench/ratios.sh
. "$(dirname "${BASH_SOURCE[0]}")/../../bench/ratios.sh"
tool=$1
here=10.77.0.1 there=10.77.0.2 here6=fd77::1 there6=fd77::2
readonly debug=/sys/kernel/debug/landfall_nic
folder=$(cd "$(dirname "${BASH_SOURCE[0]}")/../../.." && pwd)/build/lab/nic-$LANDFALL_LAB_KREL
work=$(mktemp -d)
patience=100  # seconds that a stream may take
[[ $LANDFALL_LAB_KREL != *-debug ]] || patience=600

# Starting a program takes a twentieth of a second in emulation, so that what is done often is done
# without: pipes are made here once, and pause is a sleep.
mkfifo "$work"/pipe{0..7}
pipes=0
exec {never}<> <(:)
pause() { read -rt "$1" -u "$never" || true; }  # pause SECONDS

die() { echo "FAIL: $*" >&2; exit 1; }
peer() { ip netns exec peer "$@"; }

cleanup() {
  local job
  # A function in the background is a shell of its own, with the program as its child.
  for job in $(jobs -p); do
    pkill -P "$job" 2>/dev/null || true
    kill "$job" 2>/dev/null || true
  done
  # What does not end by that is what is being tested.
  for ((job = 0; job < 100; job++)); do
    [ -n "$(jobs -pr)" ] || break
    pause 0.1
  done
  for job in $(jobs -pr); do
    pkill -9 -P "$job" 2>/dev/null || true
    kill -9 "$job" 2>/dev/null || true
  done
  wait 2>/dev/null || true
  ip netns del peer 2>/dev/null || true
  rmmod landfall_nic 2>/dev/null || true
  rm -rf "$work"
}
trap cleanup EXIT

join() {  # join PORT: gives lf0 or lf1 its place and addresses
  if [ "$1" = lf0 ]; then
    ip addr add "$here/24" dev lf0
    ip -6 addr add "$here6/64" dev lf0 nodad
    ip link set lf0 up
  else
    ip link set lf1 netns peer
    peer ip addr add "$there/24" dev lf1
    peer ip -6 addr add "$there6/64" dev lf1 nodad
    peer ip link set lf1 up
  fi
}

load() {  # load [PARAMETER...]
  # Of a test that was killed for time.
  [ ! -e /sys/module/landfall_nic ] || { ip netns del peer; rmmod landfall_nic; }
  insmod "$folder/landfall_nic.ko" "$@" || die "the module does not load"
  ip netns add peer
  join lf0
  join lf1
}

reload() {
  ip netns del peer
  rmmod landfall_nic
  load "$@"
}

counter() {  # counter NAME: of ethtool -S lf0
  ethtool -S lf0 | awk -v name="$1:" '$1 == name { print $2; found = 1 } END { exit !found }' ||
    die "lf0 has no counter $1"
}
fault() { echo "$2" >"$debug/lf0/fault/$1"; }
hits() { awk -v name="$1" '$1 == name { print $2 }' "$debug/lf0/fault/counters"; }
pool_of() {  # pool_of: where payload went, as "provider page linear"
  awk '{ printf "%s ", $2 }' "$debug/lf0/payload"
}
# What the peer's TCP has sent again so far, in bytes at most: it lands as well.
# shellcheck disable=SC2016  # awk's
resent() { peer awk '/^Tcp:/ { n = $13 } END { print n * 4096 }' /proc/net/snmp; }
landed() {  # landed WHAT BYTES LEAST AGAIN: what was sent again since `resent` said AGAIN may be there twice
  expect "$1" "$2" -ge "$3"
  expect "$1" "$2" -le $(($3 + $(resent) - $4))
}

refused() {  # refused REASON RULE...: ethtool 6.1 ends with 0 all the same
  local reason=$1
  shift
  ethtool -N lf0 "$@" >/dev/null 2>"$work/refusal" || true
  grep -q "$reason" "$work/refusal" || die "ethtool -N $*: not refused with '$reason'"
}

expect() {  # expect WHAT VALUE OPERATOR VALUE
  test "$2" "$3" "$4" || die "$1: $2 is not $3 $4"
}

# One stream from the peer, to receiver_tool, which is told of a transport ($transport) if it is set. Its receiver's line is in $result, values of it by the function value.
receiver_start() {  # receiver_start PORT [OPTION...]
  local port=$1
  shift
  local pipe=$work/pipe$((pipes++ % 8))
  "${receiver_tool:-$tool}" recv ${transport:+--transport "$transport"} "$@" "$port" >"$pipe" 2>"$work/errors" &
  receiver=$!
  exec 8<"$pipe"
  read -r line <&8 || true
  [ "${line-}" = ready ] || die "receiver: $(cat "$work/errors")"
}
receiver_end() {  # (without a program: they start slowly in an emulation)
  local status=0
  read -r -d '' -t "$patience" result <&8 || status=$?
  exec 8<&-
  ((status <= 128)) || { kill -9 "$receiver"; die "the receiver does not end: $result"; }
  status=0
  wait "$receiver" || status=$?
  echo "$result"
  return "$status"
}
stream() {  # [piece=BYTES] stream PORT BYTES [OPTION...]
  local port=$1 bytes=$2
  shift 2
  receiver_start "$port" "$@"
  peer timeout "$patience" "$tool" send "${to:-$here}" "$port" "$bytes" ${piece:+"$piece"} || die "sender"
  receiver_end || die "receiver: $(cat "$work/errors")"
  expect bytes "$(value bytes)" -eq "$bytes"
  expect "wrong pieces" "$(value wrong)" -eq 0
}
value() { sed -nE "s/.*(^| )$1=([^ ]*).*/\2/p" <<<"$result"; }

# nothing_left: within five seconds no binding, rule or page of a receiver is left on lf0, by the
# program $left; otherwise $state is what is.
nothing_left() {
  state=$("$left" lf0)
  [ "$state" = "bindings=0 rules=0 inflight=0" ]
}
