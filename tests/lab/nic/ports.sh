#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: two ports carry TCP byte-exact in both families; ring size, pause frames, checksums and
# counters do what they say. usage: ports.sh NIC_TOOL
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
load ring=128 queues=3

expect channels "$(ethtool -l lf0 | awk '/Combined/ { n = $2 } END { print n }')" -eq 3
stream 5001 20000000
before=$(counter rx_payload_page)
to=$here6 stream 5002 20000000
expect "payload in pages" "$(($(counter rx_payload_page) - before))" -ge 19999000
expect "GRO in hardware" "$(counter rx_gro_packets)" -gt 100

echo "-- segment by segment, software GRO; checksums computed"
ethtool -K lf0 rx-gro-hw off
stream 5003 10000000
ethtool -K lf0 rx off
stream 5004 5000000
ethtool -K lf0 rx on
peer ethtool -K lf1 tx off >/dev/null
stream 5005 5000000
expect "checksums verified" "$(counter rx_csum_unnecessary)" -gt 100
expect "bad checksums" "$(counter rx_csum_bad)" -eq 0
peer ethtool -K lf1 tx on tso on >/dev/null
ethtool -K lf0 rx-gro-hw on

echo "-- header split: payload at offset 0, short packets under the threshold stay linear"
"$tool" hds lf0 on
stream 5006 5000000
if [[ $LANDFALL_LAB_KREL != 6.* ]]; then
  "$tool" hds lf0 on 4000
  before=$(counter rx_payload_linear)
  stream 5007 3000000
  expect "payload in the linear part" "$(($(counter rx_payload_linear) - before))" -ge 2900000
  "$tool" hds lf0 on 0
fi

echo "-- each frame size"
for mtu in 1280 4148 9000; do
  ip link set lf0 mtu $mtu
  peer ip link set lf1 mtu $mtu
  stream $((6000 + mtu)) 5000000
done

echo "-- a ring without pause frames loses what does not fit, one with them nothing"
expect overruns "$(counter rx_drop_overrun)" -eq 0
ip link set lf0 mtu 1500
peer ip link set lf1 mtu 1500
ethtool -A lf0 tx off
ethtool -G lf0 rx 16
expect ring "$(awk '/queue 0/ { print $4 }' $debug/lf0/rings)" -eq 16
stream 5010 2000000
expect overruns "$(counter rx_drop_overrun)" -gt 0
ethtool -A lf0 tx on
ethtool -G lf0 rx 256
lost=$(counter rx_drop_overrun)
stream 5011 5000000
expect overruns "$(counter rx_drop_overrun)" -eq "$lost"

rmmod landfall_nic
