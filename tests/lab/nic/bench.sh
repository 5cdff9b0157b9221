#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: plain TCP between the ports is at least 0.9 times as fast as over veth in the same boot:
# the median ratio of interleaved pairs. usage: bench.sh NIC_TOOL [PAIRS]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
pairs=${2:-15}
load
ip link add v0 type veth peer name v1 netns peer
ip addr add 10.78.0.1/24 dev v0
ip link set v0 up
peer ip addr add 10.78.0.2/24 dev v1
peer ip link set v1 up
seconds() { stream "$1" 60000000 >/dev/null && value seconds; }
for ((i = 0; i < pairs; i++)); do
  nic=$(seconds 5001)
  veth=$(to=10.78.0.1 seconds 5001)
  awk -v n="$nic" -v v="$veth" 'BEGIN { printf "%.3f nic %.1f veth %.1f MB/s\n", v / n, 60 / n, 60 / v }'
done | sort -n | tee "$work/ratios"
median=$(awk -v n=$((pairs / 2 + 1)) 'NR == n { print $1 }' "$work/ratios")
echo "median of NIC to veth: $median"
awk -v m="$median" 'BEGIN { exit !(m >= 0.9) }' || die "slower than 0.9 times veth"
