#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: n-tuple rules of 3 and 5 fields, both families and protocols, steer what they match and
# nothing else; locations, replacement, a full table and refusals are as documented. usage: rules.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load queues=8 rules=4

classify() { echo "$*" >$debug/lf0/classify && cat $debug/lf0/classify; }
goes() {  # goes QUEUE RULE PROTO SRC SPORT DST DPORT
  local queue=$1 rule=$2 got
  shift 2
  got=$(classify "$@")
  [ "$(cut -d' ' -f6 <<<"$got")" = "$rule" ] || die "$*: $got, not by rule $rule"
  [ "$queue" = any ] || [ "$(cut -d' ' -f4 <<<"$got")" = "$queue" ] || die "$*: $got, not to $queue"
}
rule() { ethtool -N lf0 "$@" | sed -nE 's/.*ID ([0-9]+).*/\1/p'; }

expect location "$(rule flow-type tcp4 dst-ip 10.0.0.1 dst-port 80 action 3)" -eq 0
rule flow-type udp6 src-ip fd00::5 dst-ip fd00::1 src-port 9 dst-port 53 action 4 loc 2
expect location "$(rule flow-type ip4 src-ip 10.0.0.9 action 5)" -eq 1
goes 3 0 tcp 10.9.9.9 1 10.0.0.1 80
goes any -1 udp 10.9.9.9 1 10.0.0.1 80
goes any -1 tcp 10.9.9.9 1 10.0.0.1 81
goes 4 2 udp fd00::5 9 fd00::1 53
goes any -1 udp fd00::5 8 fd00::1 53
goes 5 1 udp 10.0.0.9 1 10.0.0.2 2
echo "-- the lower location decides; the same rule again replaces the first"
goes 3 0 tcp 10.0.0.9 1 10.0.0.1 80
expect location "$(rule flow-type tcp4 dst-ip 10.0.0.1 dst-port 80 action 6)" -eq 0
goes 6 0 tcp 10.9.9.9 1 10.0.0.1 80

echo "-- full, refused, removed"
expect location "$(rule flow-type tcp6 dst-port 7 action 1)" -eq 3
refused "No space" flow-type tcp6 dst-port 8 action 1
refused "Invalid" flow-type tcp4 dst-port 9 action 8 loc 0
refused "not supported" flow-type tcp4 dst-port 9 tos 4 action 1 loc 0
! ethtool -L lf0 combined 4 2>/dev/null || die "a channel that a rule uses was removed"
ethtool -N lf0 delete 0
goes any 1 tcp 10.0.0.9 1 10.0.0.1 80
refused "No such" delete 0

echo "-- packets follow"
rule flow-type tcp4 dst-port 5001 action 7 >/dev/null
before=$(counter rx7_bytes)
stream 5001 2000000
expect "bytes on queue 7" $(($(counter rx7_bytes) - before)) -ge 2000000
ethtool -N lf0 delete 0
rule flow-type tcp4 dst-port 5002 action -1 >/dev/null
receiver_start 5002
! peer timeout 3 "$tool" send $here 5002 100 2>/dev/null || die "a rule said drop"
kill "$receiver"
expect "dropped by rule" "$(counter rx_drop_rule)" -gt 0
ethtool -K lf0 ntuple off
goes any -1 tcp 10.0.0.9 1 10.0.0.1 5002
