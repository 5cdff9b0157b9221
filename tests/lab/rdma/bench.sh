#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs against ib_send_bw (perftest) over soft-RoCE: pairs in turn in one boot, one connection by rdma_cm,
# MESSAGE bytes each; throughput and the receiver's CPU. Of ib_send_bw that of its process, less what one
# of ten messages takes. usage: bench.sh NIC_TOOL MESSAGE_STREAM [PAIRS [MESSAGE [BYTES]]]
# EVENTS=1: ib_send_bw sleeps until something comes, as landfall does; else it looks all the time.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
stream=$2 pairs=${3:-20} message=${4:-65536} bytes=${5:-67108864}
count=$((bytes / message))
load
rdma_up
port=18600

perftest() {  # perftest COUNT: $rate in MB/s, $cpu in seconds

  for _ in 1 2 3 4 5; do  # now and then its clock is not what it wants
    port=$((port + 1))
    # shellcheck disable=SC2086  # one word or none
    bash -c 'ib_send_bw "${@:2}"; s=$?; times >"$1"; exit $s' - "$work/times" \
      -d rxe0 -R -p $port -n "$1" -s "$message" ${EVENTS:+-e} >"$work/near" 2>&1 &
    receiver=$!
    rdma_listening $port rdma $receiver
    # shellcheck disable=SC2086
    peer timeout "$patience" ib_send_bw -d rxe1 -R -p $port -n "$1" -s "$message" ${EVENTS:+-e} "$here" >"$work/far" 2>&1 || true
    if wait $receiver; then
      rate=$(awk -v b="$message" '$1 == b { print $4 * 1.048576 }' "$work/near")
      cpu=$(awk -F '[ms ]+' 'NR == 2 { print $1 * 60 + $2 + $3 * 60 + $4 }' "$work/times")
      [ -z "$rate" ] || return 0
    fi
  done
  die "ib_send_bw: $(cat "$work/near" "$work/far")"
}
landfall() {
  port=$((port + 1))
  "$stream" recv verbs "$here" $port "$message" >"$work/near" 2>"$work/errors" &
  receiver=$!
  until grep -q ready "$work/near"; do
    kill -0 $receiver 2>/dev/null || die "$(cat "$work/errors")"
    pause 0.05
  done
  peer "$stream" send verbs "$here" $port "$message" $count || die "the sender"
  wait $receiver || die "the receiver: $(cat "$work/errors")"
  rate=$(sed -nE 's/bytes=([0-9]+) seconds=([0-9.]+).*/\1 \2/p' "$work/near" | awk '{ print $1 / $2 / 1e6 }')
  cpu=$(sed -nE 's/.*cpu=([0-9.]+)/\1/p' "$work/near")
}
perftest 10
idle=$cpu
for ((i = 0; i < pairs; i++)); do
  for side in $((i % 2)) $((1 - i % 2)); do
    if [ "$side" = 0 ]; then
      perftest $count
      other="$rate $(awk -v c="$cpu" -v idle="$idle" 'BEGIN { print c - idle }')"
    else
      landfall
      ours="$rate $cpu"
    fi
  done
  echo "$other $ours"
done | tee "$work/all" | awk '{ print "ib_send_bw", $1, "MB/s", $2, "s; landfall", $3, "MB/s", $4, "s" }'
awk '{ print $3 / $1, $4 / $2 }' "$work/all" >"$work/ratios"
print_ratios ib_send_bw <"$work/ratios"
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
rdma_down
rmmod landfall_nic
