#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: a file is sent from a dma-buf that the NIC reads itself, to any receiver and into another
# dma-buf; what is printed about it is what the NIC counted; a refusal has its reason; and whoever is
# killed leaves nothing. usage: send.sh NIC_TOOL LANDFALL
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
landfall=$2
load queues=4 mtu=4148
cd "$work"
head -c 33554432 /dev/urandom >data

said() {  # said FILE FIELD: of the summary; the first of that name
  tail -n 1 "$1" | grep -oE "\"$2\":\"?[^\",}]*" | head -n 1 | sed 's/^[^:]*:"\{0,1\}//'
}
recv_start() {  # recv_start PORT [OPTION...]: at the other port, into the file got
  local port=$1
  shift
  rm -f got port
  peer timeout "$patience" "$landfall" recv --listen "$there:$port" --port-file port --once --to got \
    --json "$@" >recv.json 2>recv.err &
  receiver=$!
  until [ -s port ]; do
    kill -0 "$receiver" 2>/dev/null || die "receiver: $(cat recv.err)"
    pause 0.05
  done
}
recv_end() {
  wait "$receiver" || die "receiver: $(cat recv.err)"
  cmp data got || die "the file differs"
}
send() {  # send PORT OPTION...
  local port=$1
  shift
  timeout "$patience" "$landfall" send data --to "$there:$port" --json "$@" >send.json 2>send.err
}
dmabufs() { sed -n 's/^Total \([0-9]*\) objects.*/\1/p' /sys/kernel/debug/dma_buf/bufinfo; }

if [[ $LANDFALL_LAB_KREL == 6.* ]]; then
  echo "-- Linux 6.12 cannot: refused by name, and by zerocopy where that is allowed"
  recv_start 6001 --transport tcp
  ! send 6001 --memory udmabuf --method devmem || die "sent"
  grep -q LF1001 send.err || die "$(cat send.err)"
  wait "$receiver" || true  # of the connection that brought nothing
  recv_start 6002 --transport tcp
  send 6002 --memory udmabuf || die "$(cat send.err)"
  recv_end
  [ "$(said send.json chosen)" = zerocopy ] || die "$(cat send.json)"
  [ "$(said send.json code)" = LF1001 ] || die "$(cat send.json)"
  echo "direct by zerocopy: $(said send.json direct_bytes)"
  exit 0
fi

for ((k = 0; k < 50; k++)); do  # of the test before this one
  [ "$(dmabufs)" -gt 0 ] || break
  "$tool" free-deferred
  pause 0.1
done
left=$(dmabufs)

echo "-- from memory of each kind, to a plain receiver"
for memory in udmabuf dma-heap; do
  before=$(counter tx_netmem_bytes)
  recv_start 6001 --transport tcp
  send 6001 --memory "$memory" --interface lf0 || die "$(cat send.err)"
  recv_end
  [ "$(said send.json chosen)" = devmem ] || die "$(cat send.json)"
  expect "direct bytes by $memory" "$(said send.json direct_bytes)" -eq 33554432
  expect "copied bytes by $memory" "$(said send.json copied_bytes)" -eq 0
  # Sent again where a packet was lost: never less.
  expect "bytes that the NIC read" $(($(counter tx_netmem_bytes) - before)) -ge 33554432
  expect "bytes that the NIC read" $(($(counter tx_netmem_bytes) - before)) -lt 35000000
done

echo "-- the bytes alone, to a receiver that is not landfall; the interface found by the address"
peer timeout "$patience" socat -u TCP-LISTEN:6004,bind="$there" CREATE:plain &
receiver=$!
send 6004 --raw --memory udmabuf || die "$(cat send.err)"
wait "$receiver" || die "socat"
cmp data plain || die "the raw file differs"
[ "$(said send.json chosen)" = devmem ] || die "$(cat send.json)"

echo "-- dma-buf to dma-buf"
peer ethtool -X lf1 equal 2
peer "$tool" hds lf1 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"
recv_start 6005 --transport devmem-tcp --interface lf1 --memory udmabuf
send 6005 --memory udmabuf --contract require-direct || die "$(cat send.err)"
recv_end
expect "direct bytes sent" "$(said send.json direct_bytes)" -eq 33554432
echo "received direct: $(said recv.json direct_bytes) of $(said recv.json bytes)"
expect "bytes received direct" "$(said recv.json direct_bytes)" -ge 33000000

echo "-- connections that stay on this host: refused by name, by trial"
timeout "$patience" socat -u TCP-LISTEN:6006,fork,reuseaddr OPEN:/dev/null &
sink=$!
until ss -ltn | grep -q :6006; do pause 0.05; done
for case in "127.0.0.1 LF1250" "$here LF1251"; do
  read -r to code <<<"$case"
  ! "$landfall" send data --raw --memory udmabuf --method devmem --to "$to:6006" 2>send.err || die "sent to $to"
  grep -q "$code" send.err || die "$to: $(cat send.err)"
  "$landfall" send data --raw --memory udmabuf --to "$to:6006" --json >send.json || die "to $to"
  [ "$(said send.json chosen)" = zerocopy ] || die "$(cat send.json)"
  expect "copied bytes to $to" "$(said send.json copied_bytes)" -eq 33554432
done
kill "$sink"

echo "-- processor time of the sender for 32 MiB"
ip netns exec peer timeout 600 socat -u TCP-LISTEN:6007,fork,reuseaddr OPEN:/dev/null &
sink=$!
until peer ss -ltn | grep -q :6007; do pause 0.05; done
TIMEFORMAT='%U %S'
for method in copy zerocopy devmem; do
  { time "$landfall" send data --raw --memory udmabuf --method $method --to "$there:6007" >/dev/null 2>&1; } 2>cost
  echo "$method: $(awk 'END { print int(($1 + $2) * 1000) }' cost) ms"
done
kill "$sink"

echo "-- killed under traffic"
for i in 1 2 3 4 5; do
  recv_start $((6010 + i)) --transport tcp
  before=$(counter tx_netmem_bytes)
  "$landfall" send - --raw --memory udmabuf --to "$there:$((6010 + i))" </dev/zero >/dev/null 2>&1 &
  sender=$!
  until [ $(($(counter tx_netmem_bytes) - before)) -gt 1000000 ]; do pause 0.05; done
  expect "dma-bufs while it sends" "$(dmabufs)" -gt "$left"
  kill -9 "$sender"
  wait "$sender" || true
  wait "$receiver" || true
done
for ((k = 0; k < 50; k++)); do
  [ "$(dmabufs)" -gt "$left" ] || break
  pause 0.1
done
expect "dma-bufs left" "$(dmabufs)" -eq "$left"
