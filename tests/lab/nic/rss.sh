#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the hash is Toeplitz, as Microsoft's published verification suite has it; tables, keys and
# contexts choose the queue and never one that does not exist. usage: rss.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load queues=8

# https://learn.microsoft.com/windows-hardware/drivers/network/verifying-the-rss-hash-calculation
key=6d:5a:56:da:25:5b:0e:c2:41:67:25:3d:43:a3:8f:b0:d0:ca:2b:cb:ae:7b:30:b4
key=$key:77:cb:2d:a3:80:30:f2:0c:6a:42:b7:3b:be:ac:01:fa
ethtool -X lf0 hkey $key

classify() { echo "$*" >$debug/lf0/classify && cat $debug/lf0/classify; }
hash() {  # hash WANTED PROTO SRC SPORT DST DPORT
  local wanted=$1 got
  shift
  got=$(classify "$@" | cut -d' ' -f2)
  [ "$got" = "$wanted" ] || die "hash of $*: $got, not $wanted"
}
hash 0x51ccc178 tcp 66.9.149.187 2794 161.142.100.80 1766
hash 0xc626b0ea tcp 199.92.111.2 14230 65.69.140.83 4739
hash 0x5c2b394a tcp 24.19.198.95 12898 12.22.207.184 38024
hash 0xafc7327f tcp 38.27.205.30 48228 209.142.163.6 2217
hash 0x10e828a2 tcp 153.39.163.191 44251 202.188.127.2 1303
hash 0x323e8fc2 ip 66.9.149.187 0 161.142.100.80 0
hash 0xd718262a ip 199.92.111.2 0 65.69.140.83 0
hash 0xd2d0a5de ip 24.19.198.95 0 12.22.207.184 0
hash 0x82989176 ip 38.27.205.30 0 209.142.163.6 0
hash 0x5d1809c5 ip 153.39.163.191 0 202.188.127.2 0
hash 0x40207d3d tcp 3ffe:2501:200:1fff::7 2794 3ffe:2501:200:3::1 1766
hash 0xdde51bbf tcp 3ffe:501:8::260:97ff:fe40:efab 14230 ff02::1 4739
hash 0x02d1feef tcp 3ffe:1900:4545:3:200:f8ff:fe21:67cf 44251 fe80::200:f8ff:fe21:67cf 38024
hash 0x2cc18cd5 ip 3ffe:2501:200:1fff::7 0 3ffe:2501:200:3::1 0
hash 0x0f0c461c ip 3ffe:501:8::260:97ff:fe40:efab 0 ff02::1 0
hash 0x4b61e985 ip 3ffe:1900:4545:3:200:f8ff:fe21:67cf 0 fe80::200:f8ff:fe21:67cf 0

queue_of() { classify "$@" | cut -d' ' -f4; }
one=(tcp 66.9.149.187 2794 161.142.100.80 1766)
echo "-- the table: entry hash mod 128"
expect queue "$(queue_of "${one[@]}")" -eq $((0x51ccc178 % 128 % 8))
ethtool -X lf0 weight 0 0 0 1
expect queue "$(queue_of "${one[@]}")" -eq 3
! ethtool -L lf0 combined 3 2>/dev/null || die "a channel that the table uses was removed"
ethtool -L lf0 combined 4
! ethtool -X lf0 weight 0 0 0 0 1 2>/dev/null || die "the table points behind the channels"
ethtool -X lf0 default
ethtool -L lf0 combined 2
expect queue "$(queue_of "${one[@]}")" -lt 2
ethtool -L lf0 combined 8

echo "-- a context with its own table, reached by a rule"
ethtool -X lf0 context new start 5 equal 1 >/dev/null
ethtool -N lf0 flow-type tcp4 dst-port 1766 context 1 >/dev/null
expect queue "$(queue_of "${one[@]}")" -eq 5
expect queue "$(queue_of tcp 66.9.149.187 2794 161.142.100.80 1767)" -ne 5
! ethtool -X lf0 context 1 delete 2>/dev/null || die "a context that a rule uses was removed"
! ethtool -L lf0 combined 5 2>/dev/null || die "a channel that a context uses was removed"

echo "-- fields"
ethtool -N lf0 rx-flow-hash udp4 sd
expect queue "$(queue_of udp 66.9.149.187 2794 161.142.100.80 1)" -eq $((0x323e8fc2 % 128 % 8))

echo "-- what the classifier says is where packets arrive"
for port in 7001 7002 7003; do
  sport=$((port + 1000))
  queue=$(queue_of tcp $there $sport $here $port)
  before=$(counter "rx${queue}_bytes")
  receiver_start $port
  peer bash -c "head -c 300000 /dev/zero | nc -N -p $sport $here $port"
  receiver_end || true  # zeros are not the stream that it knows
  expect "bytes on queue $queue" $(($(counter "rx${queue}_bytes") - before)) -ge 300000
done
