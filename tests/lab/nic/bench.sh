#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: plain TCP between the ports is at least 0.9 times as fast as over veth in the same boot:
# the median ratio of interleaved runs. Twice: as the module is loaded, where the receiving NIC works
# on the sender's processor, and with NAPI in threads, where it works beside it as hardware does.
# The goal is of the second. usage: bench.sh NIC_TOOL [RUNS]
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
runs=${2:-15}
load
ip link add v0 type veth peer name v1 netns peer
ip addr add 10.78.0.1/24 dev v0
ip link set v0 up
peer ip addr add 10.78.0.2/24 dev v1
peer ip link set v1 up
seconds() { stream "$1" 60000000 >/dev/null && value seconds; }
threaded() {
  echo "$1" >/sys/class/net/lf0/threaded
  peer sh -c "echo $1 >/sys/class/net/lf1/threaded"
}
for ((i = 0; i < runs; i++)); do
  inline=$(seconds 5001)
  veth=$(to=10.78.0.1 seconds 5001)
  threaded 1
  beside=$(seconds 5001)
  threaded 0
  echo "$inline $beside $veth"
done >"$work/seconds"
awk '{ printf "as loaded %.1f, in threads %.1f, veth %.1f MB/s\n", 60 / $1, 60 / $2, 60 / $3 }' \
  "$work/seconds"
ratio() {  # ratio COLUMN: of veth's seconds to it: lower quartile, median, upper quartile
  awk -v c="$1" '{ print $3 / $c }' "$work/seconds" | sort -n |
    awk '{ r[NR] = $1 } END { printf "%.3f %.3f %.3f\n", r[int(NR / 4) + 1], r[int(NR / 2) + 1], r[int(NR * 3 / 4) + 1] }'
}
read -r low median high < <(ratio 1)
echo "as loaded:  $median [$low, $high] of veth, $runs runs"
read -r low median high < <(ratio 2)
echo "in threads: $median [$low, $high] of veth, $runs runs"
awk -v m="$median" 'BEGIN { exit !(m >= 0.9) }' || die "slower than 0.9 times veth"
