#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# verbs against ib_send_bw (perftest) over soft-RoCE: pairs in turn in one boot, one connection by rdma_cm,
# MESSAGE bytes each; throughput and CPU of the receiver's process. Both are measured alike, from outside,
# between the first and the last tenth of the stream: messages by the device's counter, CPU by /proc. So
# neither what a program does before and after it nor its own clock counts.
# usage: bench.sh NIC_TOOL MESSAGE_STREAM [PAIRS [MESSAGE [BYTES]]]
# EVENTS=1: both sleep until something comes; else both look all the time.
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
stream=$2 pairs=${3:-20} message=${4:-65536} bytes=${5:-268435456}
count=$((bytes / message))
load
rdma_up
port=18600
busy=busy events=
[ -z "${EVENTS:-}" ] || busy='' events=-e

moment() {  # $messages that have come, $us of now, $ns that $receiver's threads have run; no program is started
  local file ran
  read -r messages </sys/class/infiniband/rxe0/ports/1/hw_counters/rdma_recvs
  us=${EPOCHREALTIME/./}
  ns=0
  for file in "/proc/$receiver/task/"*/schedstat; do
    read -r ran _ <"$file" || return
    ns=$((ns + ran))
  done
}
measure() {  # of the stream that $receiver receives: $rate in MB/s, $cpu in seconds per GB
  local messages us ns before seen=0 idle=0 first='' last=''
  moment
  before=$messages
  while moment 2>/dev/null; do
    # A receiver whose sender never came, or went.
    idle=$((messages == seen ? idle + 1 : 0)) seen=$messages
    ((idle < 200)) || { kill "$receiver"; return 1; }
    if ((messages - before > count / 10)) && [ -z "$first" ]; then first="$messages $us $ns"; fi
    ((messages - before <= count * 9 / 10)) || break
    last="$messages $us $ns"
    pause 0.05
  done
  [ "${first:-$last}" != "$last" ] || return 1
  read -r rate cpu < <(awk -v m="$message" '
    { bytes = ($4 - $1) * m; print bytes / ($5 - $2), ($6 - $3) / bytes }' <<<"$first $last")
}

perftest() {
  local i sender
  for i in {1..5}; do  # now and then its clock is not what it wants
    port=$((port + 1))
    ib_send_bw -d rxe0 -R -p $port -n $count -s "$message" $events >"$work/near" 2>&1 &
    receiver=$!
    if ! (rdma_listening $port rdma $receiver); then
      kill $receiver || true
      wait $receiver || true
      continue
    fi
    peer timeout "$patience" ib_send_bw -d rxe1 -R -p $port -n $count -s "$message" $events \
      "$here" >"$work/far" 2>&1 &
    sender=$!
    if measure && wait $receiver; then
      wait $sender || true
      return 0
    fi
    pkill -x ib_send_bw || true  # the other one would wait
    wait $receiver $sender || true
  done
  die "ib_send_bw: $(cat "$work/near" "$work/far")"
}
landfall() {
  local sender
  port=$((port + 1))
  # shellcheck disable=SC2086
  "$stream" recv verbs "$here" $port "$message" $busy >"$work/near" 2>"$work/errors" &
  receiver=$!
  until grep -q ready "$work/near"; do
    kill -0 $receiver 2>/dev/null || die "$(cat "$work/errors")"
    pause 0.05
  done
  # shellcheck disable=SC2086
  peer timeout "$patience" "$stream" send verbs "$here" $port "$message" $count $busy &
  sender=$!
  measure || die "landfall was not seen to receive"
  wait $sender || die "the sender"
  wait $receiver || die "the receiver: $(cat "$work/errors")"
}

for ((i = 0; i < pairs; i++)); do
  for side in $((i % 2)) $((1 - i % 2)); do
    if [ "$side" = 0 ]; then
      perftest
      other="$rate $cpu"
    else
      landfall
      ours="$rate $cpu"
    fi
  done
  echo "$other $ours"
done | tee "$work/all" | awk '{ print "ib_send_bw", $1, "MB/s", $2, "s/GB; landfall", $3, "MB/s", $4, "s/GB"; fflush() }'
awk '{ print $3 / $1, $4 / $2 }' "$work/all" >"$work/ratios"
print_ratios ib_send_bw <"$work/ratios"
expect "receivers that were not ready" "$(rdma_counter rxe1 rcvd_rnr_err)" -eq 0
rdma_down
rmmod landfall_nic
