#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# devmem-tcp (or TRANSPORT=zcrx [MEMORY=host]) against the smallest loop for the same job, pairs in turn
# in one boot: throughput and the receiving thread's CPU. Not a test: figures want a quiet machine.
# AGAINST=plain: against recv() of 64 KiB pieces on an ordinary queue, into one buffer.
# usage: bench.sh NIC_TOOL BENCH_FOLDER [PAIRS [BYTES [MTU [OPTION...]]]]   OPTION: of bench_receive
# NCDEVMEM=FILE: against the kernel's ncdevmem instead, as kernel/lab/selftests has built it in the tree. Its
# CPU is that of the whole process, less what it takes for one page. It writes a line for each page, and the bytes.
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
transport=${TRANSPORT:-devmem-tcp} memory=${MEMORY:-udmabuf}
programs=$2 pairs=${3:-20} bytes=${4:-268435456} mtu=${5:-4148} options=("${@:6}")
load queues=4 mtu="$mtu"
ethtool -X lf0 equal 2
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 33554432"
# The NIC's work in threads of its own on the sender's processor: the receiving thread is charged with
# what it does itself, and with nothing else that happens to interrupt it.
echo 1 >/sys/class/net/lf0/threaded
peer sh -c 'echo 1 >/sys/class/net/lf1/threaded'
for thread in $(pgrep '^napi/lf'); do taskset -pc 0 "$thread" >/dev/null; done

one() {  # one NAME COMMAND...: prints "NAME MB/s CPU-ms/GB"
  local name=$1 port line
  shift
  mkfifo "$work/out" "$work/go"
  "$@" bytes="$bytes" >"$work/out" &
  exec 7<"$work/out"
  rm "$work/out"
  read -r _ port <&7
  [ "$name" != loop ] || ethtool -N lf0 flow-type tcp4 dst-port "$port" action 3 loc 0 >/dev/null
  peer "$programs/bench_sender" host="$here" port="$port" bytes="$bytes" <"$work/go" &
  exec 6>"$work/go"
  rm "$work/go"
  read -r line <&7
  echo >&6
  read -r line <&7
  exec 6>&- 7<&-
  wait
  [ "$name" != loop ] || ethtool -N lf0 delete 0
  sed -nE 's/.*"bytes": ([0-9]+), "seconds": ([0-9.]+), "cpu_seconds": ([0-9.]+).*/\1 \2 \3/p' <<<"$line" |
    awk -v name="$name" '{ printf "%s %.1f %.1f\n", name, $1 / $2 / 1e6, $3 / $1 * 1e12 }'
}

ncdevmem() {  # ncdevmem BYTES: "seconds CPU-seconds"; the tree's C library is newer than this root's
  local root=${NCDEVMEM%%/usr/src/*} job began
  "$programs/bench_measure" "$work/cpu" "$root/lib64/ld-linux-x86-64.so.2" --library-path \
    "$root/lib/x86_64-linux-gnu" "$NCDEVMEM" -l -n -f lf0 -s "::ffff:$here" -p 5999 -t 3 -q 1 >/dev/null 2>&1 &
  job=$!
  until ss -Htln "sport = :5999" | grep -q .; do sleep 0.05; done
  mkfifo "$work/go"
  peer "$programs/bench_sender" host="$here" port=5999 bytes="$1" finish=1 <"$work/go" &
  exec 6>"$work/go"
  rm "$work/go"
  sleep 0.5
  began=$EPOCHREALTIME
  echo >&6
  wait "$job"
  awk -v a="$began" -v b="$EPOCHREALTIME" '{ print b - a, $1 }' "$work/cpu"
  exec 6>&-
  wait
}
one_ncdevmem() {  # prints "loop MB/s CPU-ms/GB"
  local seconds cpu start
  ethtool -N lf0 flow-type tcp4 dst-port 5999 action 3 loc 0 >/dev/null
  read -r _ start < <(ncdevmem 4096)
  read -r seconds cpu < <(ncdevmem "$bytes")
  ethtool -N lf0 delete 0
  awk -v n="$bytes" -v s="$seconds" -v c="$cpu" -v c0="$start" \
    'BEGIN { printf "loop %.1f %.1f\n", n / s / 1e6, (c - c0) / n * 1e12 }'
}

for ((i = 0; i < pairs; i++)); do
  if [ -n "${NCDEVMEM-}" ]; then
    one_ncdevmem
  else
    case ${AGAINST-}$transport in
      plain*) one plain "$programs/bench_loop_hot" any=1 ;;
      zcrx) one loop "$programs/bench_loop_zcrx" interface=lf0 queue=3 ;;
      *) one loop "$programs/bench_loop_devmem" interface=lf0 queue=3 ;;
    esac
  fi
  one landfall "$programs/bench_receive" devmem=lf0 queue=3 transport="$transport" memory="$memory" \
    "${options[@]}"
done | tee "$work/all"
# Ratios of the pairs, their median and its 95 % interval by order statistics.
awk '$1 != "landfall" { t = $2; c = $3 } $1 == "landfall" { print $2 / t, $3 / c }' "$work/all" >"$work/ratios"
for column in 1 2; do
  sort -g -k "$column,$column" "$work/ratios" | awk -v column="$column" '{ x[NR] = $column } END {
    k = int(NR / 2 - 0.98 * sqrt(NR)); if (k < 1) k = 1
    m = NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2
    printf "%s landfall/other: median %.3f [%.3f, %.3f] of %d pairs\n",
      column == 1 ? "throughput" : "CPU per byte", m, x[k], x[NR + 1 - k], NR }'
done
