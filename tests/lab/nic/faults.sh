#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: each fault of the software NIC does what its name says, is counted, and corrupts nothing
# that an application sees. usage: faults.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load queues=4 mtu=4148
"$tool" hds lf0 on
ethtool -X lf0 equal 2
ethtool -N lf0 flow-type tcp4 dst-port 5001 action 3 loc 0
devmem=(--devmem lf0 --queue 3)

echo "-- linear: every 50th payload"
fault linear 50
stream 5001 10240000 "${devmem[@]}"
expect "bytes copied" "$(($(value linear) + $(value copied)))" -ge $((40 * 4096))
expect "bytes in the dma-buf" "$(value devmem)" -ge $((2400 * 4096))
expect counter "$(hits linear)" -ge 40
fault linear 0

echo "-- corrupt: dropped by the NIC where nobody can look, by the kernel elsewhere"
fault corrupt 100
stream 5001 10240000 "${devmem[@]}"
expect counter "$(hits corrupt)" -ge 20
expect "dropped by the NIC" "$(counter rx_drop_csum)" -ge 20
bad() { awk '/^Tcp:/ && $NF != "InCsumErrors" { print $NF }' /proc/net/snmp; }
before=$(bad)
stream 5002 10240000
expect "found by the kernel" $(($(bad) - before)) -ge 20
fault corrupt 0

echo "-- alloc: every second request to the pool, then all of them"
fault alloc 2
stream 5001 10240000 "${devmem[@]}"
stream 5002 10240000
expect counter "$(hits alloc)" -ge 100
fault alloc 1
before=$(counter rx_drop_no_buffer)
receiver_start 5002
! peer timeout 5 "$tool" send $here 5002 5000000 2>/dev/null || die "5 MB arrived without a buffer"
expect "dropped for want of buffers" $(($(counter rx_drop_no_buffer) - before)) -gt 0
kill "$receiver"
wait "$receiver" || true
fault alloc 0
stream 5003 1000000

echo "-- restart: no binding; and an existing one can still end"
receiver_start 5001 "${devmem[@]}"
fault restart 1
! "$tool" recv --devmem lf0 --queue 2 5004 2>"$work/e" || die "bound while restarts are refused"
grep -q "Cannot allocate memory" "$work/e" || die "$(cat "$work/e")"
expect counter "$(hits restart)" -ge 1
peer "$tool" send $here 5001 4096000 || die sender
receiver_end
fault restart 0
stream 5001 1024000 "${devmem[@]}"

echo "-- move: the flow leaves its queue in the middle and comes back"
fault move 200
stream 5001 40960000 "${devmem[@]}"
fault move 0
expect counter "$(hits move)" -ge 100
expect "bytes in the dma-buf" "$(value devmem)" -gt 0
expect "bytes copied" "$(value copied)" -gt 0

echo "-- rules_full"
fault rules_full 1
refused "No space" flow-type tcp4 dst-port 9 action 1
fault rules_full 0
ethtool -N lf0 flow-type tcp4 dst-port 9 action 1 >/dev/null
expect counter "$(hits rules_full)" -ge 1

echo "-- unplug, with a binding and traffic; and back"
read -r before _ <<<"$(pool_of)"
receiver_start 5001 "${devmem[@]}"
ip netns exec peer "$tool" send $here 5001 4000000000 2>/dev/null &
sender=$!
until [ "$(awk '/provider/ { print $2 }' $debug/lf0/payload)" -gt $((before + 5000000)) ]; do :; done
echo 1 >$debug/lf0/fault/unplug
! ip link show lf0 2>/dev/null || die "lf0 is still there"
expect state "$(cat $debug/lf0/fault/unplug)" -eq 1
kill "$receiver" $sender
wait "$receiver" || true
wait $sender || true
echo 0 >$debug/lf0/fault/unplug
expect counter "$(hits unplug)" -eq 1
join lf0
stream 5005 1000000
