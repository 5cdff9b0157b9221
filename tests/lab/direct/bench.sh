#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# devmem-tcp (or TRANSPORT=zcrx [MEMORY=host]) against the smallest loop for the same job, pairs in turn
# in one boot: throughput and the receiving thread's CPU. Not a test: figures want a quiet machine.
# AGAINST=plain: against recv() of 64 KiB pieces on an ordinary queue, into one buffer.
# usage: bench.sh NIC_TOOL BENCH_FOLDER [PAIRS [BYTES [MTU [OPTION...]]]]   OPTION: of bench_receive
# Against others' programs, built by hand and never part of landfall (one of these; TRANSPORT to match):
#   NCDEVMEM=FILE       the kernel's ncdevmem, as kernel/lab/selftests has built it in the tree. It writes a
#                       line for each page, and the bytes.
#   LIBURING_ZCRX=FILE  liburing's examples/zcrx, linked statically
#   IOU_ZCRX=FILE       the kernel's iou-zcrx, linked statically. It takes 2 MiB, in 5 s, into an area of 32 MiB, and
#                       fails if it is 1024 completions behind: a copy of it needs larger numbers,
#     sed -i -E 's/5000;/600000;/; s/8192( \* page_size)/16384\1/; s/init\(512/init(8192/' iou-zcrx.c
#                       and one of these: to compare each byte of up to 256 MiB, or to compare nothing
#     sed -i -E 's/(define SEND_SIZE) .*/\1 (1 << 28)/' iou-zcrx.c
#     sed -i 's/i < n;/i < 0;/' iou-zcrx.c
# Their CPU is that of the whole process from when the sender begins; of it and of their time goes what one page
# takes (to wake up, to close and to exit).
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

timed() {  # timed BYTES: runs $other; $seconds until it closes the stream, and $cpu until it has ended
  local job sender began before
  ethtool -N lf0 flow-type tcp4 dst-port 5999 action 3 loc 0 >/dev/null
  taskset -c 1 "$programs/bench_measure" "$work/cpu" "${other[@]}" >/dev/null 2>"$errors" &
  job=$!
  until ss -Htln "sport = :5999" | grep -q .; do
    kill -0 "$job" 2>/dev/null || die "$name: $(cat "$errors")"
    pause 0.05
  done
  mkfifo "$work/go"
  peer "$programs/bench_sender" host="$here" port=5999 bytes="$1" finish=1 pattern=1 <"$work/go" &
  sender=$!
  exec 6>"$work/go"
  rm "$work/go"
  sleep 1  # zcrx of liburing listens before it takes the queue
  read -r before _ <"/proc/$(pgrep -P "$job")/schedstat"
  began=$EPOCHREALTIME
  echo >&6
  wait "$sender"
  seconds=$(awk -v a="$began" -v b="$EPOCHREALTIME" 'BEGIN { print b - a }')
  exec 6>&-
  [ "$name" != liburing ] || kill "$job"  # it would wait for more streams
  wait "$job" || [ "$name" = liburing ] || die "$name: $(cat "$errors")"
  ethtool -N lf0 delete 0
  cpu=$(awk -v before="$before" '{ print $1 - before / 1e9 }' "$work/cpu")
}
one_other() {  # prints "NAME MB/s CPU-ms/GB"
  local seconds cpu start_seconds start_cpu before direct
  timed 4096
  start_seconds=$seconds start_cpu=$cpu
  read -r before _ <<<"$(pool_of)"
  timed "$bytes"
  read -r direct _ <<<"$(pool_of)"
  expect "bytes into the memory of $name" $((direct - before)) -ge "$bytes"
  awk -v name="$name" -v n=$((bytes - 4096)) -v s="$seconds" -v s0="$start_seconds" -v c="$cpu" \
    -v c0="$start_cpu" 'BEGIN { printf "%s %.1f %.1f\n", name, n / (s - s0) / 1e6, (c - c0) / n * 1e12 }'
}

errors=$work/errors
name=${NCDEVMEM:+ncdevmem}${IOU_ZCRX:+iou-zcrx}${LIBURING_ZCRX:+liburing}
case $name in
  ncdevmem)  # the tree's C library is newer than this root's
    root=${NCDEVMEM%%/usr/src/*}
    other=("$root/lib64/ld-linux-x86-64.so.2" --library-path "$root/lib/x86_64-linux-gnu" "$NCDEVMEM"
      -l -n -f lf0 -s "::ffff:$here" -p 5999 -t 3 -q 1)
    errors=/dev/null about="ncdevmem, writing to /dev/null" ;;
  iou-zcrx)
    other=("$IOU_ZCRX" -s -i lf0 -q 3 -p 5999)
    about="iou-zcrx with larger numbers"
    # Without the comparison the compiler leaves its message out.
    grep -q "payload mismatch" "$IOU_ZCRX" && about+=", comparing each byte" || about+=", comparing nothing" ;;
  liburing)
    other=("$LIBURING_ZCRX" -i lf0 -q 3 -p 5999 -S 67108864)  # an area as large as landfall's Region
    about="liburing's examples/zcrx" ;;
esac
if [ -n "$name" ]; then
  echo "$transport ($memory) against $about"
  timed 4096  # reads the program from the disk
fi
one_of_others() {
  if [ -n "$name" ]; then
    one_other
  else
    case ${AGAINST-}$transport in
      plain*) one plain "$programs/bench_loop_hot" any=1 ;;
      zcrx) one loop "$programs/bench_loop_zcrx" interface=lf0 queue=3 ;;
      *) one loop "$programs/bench_loop_devmem" interface=lf0 queue=3 ;;
    esac
  fi
}
one_of_ours() {
  one landfall "$programs/bench_receive" devmem=lf0 queue=3 transport="$transport" memory="$memory" \
    "${options[@]}"
}
# Each is first in every other pair: what drifts is on both sides.
for ((i = 0; i < pairs; i++)); do
  if ((i % 2)); then
    one_of_ours
    one_of_others
  else
    one_of_others
    one_of_ours
  fi
done | tee "$work/all"
awk '$1 == "landfall" { t = $2; c = $3 } $1 != "landfall" { t2 = $2; c2 = $3 }
  NR % 2 == 0 { print t / t2, c / c2 }' "$work/all" >"$work/ratios"
print_ratios other <"$work/ratios"
