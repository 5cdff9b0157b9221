# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What the tests of RDMA share, on top of ../nic/lib.sh: soft-RoCE, device rxe0 on port lf0 here and
# rxe1 on lf1 in namespace "peer". Devices and their sysfs are seen from every namespace (the mode
# "shared"; in "exclusive" rdma_cm does not work on a device that was moved), addresses are not: by
# them rdma_cm finds the device.
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../nic/lib.sh"

rdma_up() {  # rdma_up: an RDMA device on each port, once load has made them
  # Linux 6.12 listens at UDP port 4791 of the first namespace only (rxe_net_init, rxe_net.c).
  [[ $LANDFALL_LAB_KREL != 6.* ]] || { echo "SKIP: soft-RoCE for one network namespace"; exit 77; }
  modprobe -q rdma_ucm || { echo "SKIP: a kernel without RDMA"; exit 77; }
  # A payload of 4096 bytes, the most in RoCE, and 80 of headers (RXE_MAX_HDR_LENGTH).
  ip link set lf0 mtu 4200
  peer ip link set lf1 mtu 4200
  rdma link add rxe0 type rxe netdev lf0
  peer rdma link add rxe1 type rxe netdev lf1
  rdma_resources >"$work/rdma_up"
}

rdma_down() {  # also of a test that took one away itself
  local device
  for device in rxe0 rxe1; do
    [ ! -e /sys/class/infiniband/$device ] || rdma link delete $device
  done
}

# How much is in use of each device, as "rxe0: pd 1 cq 1 qp 1 ..."; of a fresh one by the kernel.
rdma_resources() { rdma resource show | sed 's/^[0-9]*: //'; }

rdma_state() {  # what is there, and what has come and gone: of a test that stands still
  local kind device
  for kind in qp srq cq cm_id; do rdma resource show $kind; done
  for device in rxe0 rxe1; do
    (cd /sys/class/infiniband/$device/ports/1/hw_counters && grep -v ':0$' <(grep '' ./*)) || true
  done
}

rdma_check_clean() {  # within five seconds nothing is in use that rdma_up did not leave in use
  local left kind
  for _ in {1..50}; do
    left=$(rdma_resources | grep -vxFf "$work/rdma_up") || return 0
    pause 0.1
  done
  for kind in qp srq cq mr pd cm_id ctx; do rdma resource show $kind; done >&2
  die "left of RDMA: $left"
}

rdma_counter() {  # rdma_counter DEVICE NAME
  cat "/sys/class/infiniband/$1/ports/1/hw_counters/$2"
}

# rdma_ends WHO REASON: the process $receiver or $sender, whose errors are in near or far, fails and says this.
rdma_ends() {
  local process=${!1} log=near status=0 i
  [ "$1" = receiver ] || log=far
  for ((i = 0; i < patience * 10; i++)); do
    kill -0 "$process" 2>/dev/null || break
    pause 0.1
  done
  if kill -0 "$process" 2>/dev/null; then
    rdma_state >&2
    die "the $1 does not end: $(cat "$work/$log")"
  fi
  wait "$process" || status=$?
  expect "exit status of the $1" "$status" -ne 0
  grep -qE "$2" "$work/$log" || die "the $1 says: $(cat "$work/$log")"
}

# The link goes down and, when $sender and $receiver have said so, up again. The receiver writes to a pipe that is
# descriptor 7 here, and may be waiting for it.
rdma_lose_link() {
  local reader reason='LF13(12|13|33)'
  peer ip link set lf1 down
  rdma_ends sender "$reason"
  cat <&7 >/dev/null &
  reader=$!
  rdma_ends receiver "$reason"
  kill $reader 2>/dev/null || true
  peer ip link set lf1 up
}

# rdma_listening PORT PROGRAM PROCESS: the process listens at that port, by rdma or ss (sockets).
rdma_listening() {
  local tries
  for ((tries = 0; tries < 300; tries++)); do
    case $2 in
      rdma) ! rdma resource show cm_id | grep -qE "state LISTEN .*:$1 " || return 0 ;;
      ss) ! ss -lntH "sport = :$1" | grep -q . || return 0 ;;
    esac
    kill -0 "$3" 2>/dev/null || die "what was to listen at $1 has ended"
    pause 0.1
  done
  die "nobody listens at $1"
}

# Of the program rdma_many, $many: what it prints, and one that receives.
figure() { sed -nE "s/.*(^| )$1=([0-9a-fx]+).*/\2/p" "$2" | tail -n 1; }  # figure NAME FILE
many_receive() {  # many_receive FLOWS [OPTION...]: $receiver and $port
  "${many:?}" recv "$here" "$@" >"$work/near" 2>&1 &
  receiver=$!
  until grep -q port= "$work/near"; do
    kill -0 $receiver 2>/dev/null || die "the receiver ended: $(cat "$work/near")"
    pause 0.05
  done
  port=$(figure port "$work/near")
}
