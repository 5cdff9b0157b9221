#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the transport ofi works over libfabric's providers verbs, with connections, and verbs;ofi_rxm, without:
# files go either way, byte for byte, over IPv4 and IPv6, one connection or several; streams, flows and demands are as
# with every transport; and nothing stays on the devices. All of it with the machine's libfabric, and transfers with
# that of the lab's newer root, too. usage: rdma_ofi.sh NIC_TOOL LANDFALL CONFORMANCE
# shellcheck source-path=SCRIPTDIR source=lib.sh
. "$(dirname "$0")/lib.sh"
landfall=$2 suite=$3
load
rdma_up
# shellcheck source=../../../kernel/lab/common.sh
tree=$(. "$(dirname "$0")/../../../kernel/lab/common.sh" && echo "$tree")
checkout=$(cd "$(dirname "$0")/../../.." && pwd)
# For so many peers ofi_rxm makes its completion queue, and 32767 places are all that soft-RoCE has.
export FI_UNIVERSE_SIZE=64
# Without it ofi_rxm crashes now and then when it closes a connection (README of the transport).
export FI_OFI_RXM_USE_SRX=1
mkdir "$work/tree"
for i in 1 2 3; do head -c $((i * 700000)) /dev/urandom >"$work/tree/file$i"; done

near() { "$@"; }

# newer COMMAND...: in the root of the Debian 13 tree, with what this test and the checkout have.
newer() {
  # shellcheck disable=SC2016  # expanded by the inner shell
  unshare --mount sh -ec '
    tree=$1; shift
    for folder in /proc /sys /dev /tmp "$1"; do
      mkdir -p "$tree$folder"
      mount --rbind "$folder" "$tree$folder"
    done
    cp /etc/hosts "$tree/etc"  # libfabric looks up the name of the machine
    shift
    exec chroot "$tree" "$@"' sh "$tree" "$checkout" "$@"
}
newer_near() { newer "$@"; }
newer_peer() { peer env "tree=$tree" "checkout=$checkout" bash -c "$(declare -f newer); newer \"\$@\"" bash "$@"; }

# transfer PROVIDER RECEIVER SENDER ADDRESS PATH [OPTION...]: near or peer; options are the sender's. What a provider
# with connections brings is direct; of the other nobody knows.
transfer() {
  local provider=$1 receives=$2 sends=$3 address=$4 path=$5 contract=require-direct
  local by=(--transport ofi --option "ofi.provider=$provider" --memory host)
  [ "$provider" = verbs ] || contract=prefer-direct
  echo "-- $provider, $sends to $receives at $address: $(basename "$path")"
  rm -rf "$work"/{received,port,report}
  mkdir "$work/received"
  # Without connections nobody knows yet where a sender will send to.
  # shellcheck disable=SC2034  # by name
  local near=() peer=()
  # shellcheck disable=SC2034
  [ "$provider" = verbs ] || { near=(--option ofi.device=rxe0) peer=(--option ofi.device=rxe1); }
  local -n of_receiver=${receives#newer_} of_sender=${sends#newer_}
  $receives "$landfall" recv "${by[@]}" "${of_receiver[@]}" --size 16MiB --once --contract "$contract" --listen "$address:0" \
    --to "$work/received/" --port-file "$work/port" --report "$work/report" 2>"$work/errors" &
  local receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 $receiver 2>/dev/null || die "the receiver ended: $(cat "$work/errors")"
    pause 0.05
  done
  $sends "$landfall" send "${by[@]}" "${of_sender[@]}" "${@:6}" --to "$address:$(cat "$work/port")" "$path" >/dev/null ||
    die "the sender"
  wait $receiver || die "the receiver: $(cat "$work/errors")"
  diff -r "$path" "$work/received/$(basename "$path")" || die "the copy differs"
  grep -q '"chosen":"ofi"' "$work/report" || die "another transport: $(cat "$work/report")"
  grep -q '"copied_bytes":0' "$work/report" || die "some of it was copied: $(cat "$work/report")"
  [ "$provider" = verbs ] || ! grep -q '"unsure_bytes":0' "$work/report" || die "it claims to know: $(cat "$work/report")"
}

for provider in verbs 'verbs;ofi_rxm'; do
  transfer "$provider" near peer "$here" "$work/tree/file3"
  transfer "$provider" peer near "[$there6]" "$work/tree" --flows 4
done

"$suite" --ofi-verbs --gtest_brief=1 --gtest_filter='Streams.*:Flows.*:Demands.*' || die "the suite failed"
"$suite" --ofi-verbs-rdm --gtest_brief=1 --gtest_filter='Flows.*:Demands.*' || die "the suite failed without connections"

# Of the machine's libraries the newer root lacks one.
mkdir "$work/beside"
cp "$(ldd "$landfall" | awk '/libyaml-cpp/ { print $3 }')" "$work/beside"
export LD_LIBRARY_PATH=$work/beside
version=$(newer sh -c 'ls /usr/lib/x86_64-linux-gnu/libfabric.so.1.*')
echo "-- the newer root has $version"
for provider in verbs 'verbs;ofi_rxm'; do
  transfer "$provider" newer_near newer_peer "$here" "$work/tree/file3"
  transfer "$provider" newer_peer newer_near "[$there6]" "$work/tree" --flows 4
  transfer "$provider" near newer_peer "$here" "$work/tree/file1"  # one version to another
done
unset LD_LIBRARY_PATH

echo "-- the link goes down, where there are no connections: both sides hear of it"
mkfifo "$work/slow"
exec 7<>"$work/slow"
silent=(--transport ofi --option 'ofi.provider=verbs;ofi_rxm' --option ofi.keepalive=2 --memory host)
rm -f "$work/port"
"$landfall" recv "${silent[@]}" --option ofi.device=rxe0 --size 16MiB --once --listen "$here:0" --to "$work/slow" \
  --port-file "$work/port" >"$work/near" 2>&1 &
# shellcheck disable=SC2034  # by name
receiver=$!
until [ -e "$work/port" ]; do
  kill -0 $receiver 2>/dev/null || die "the receiver ended: $(cat "$work/near")"
  pause 0.05
done
peer "$landfall" send "${silent[@]}" --option ofi.device=rxe1 --to "$here:$(cat "$work/port")" - </dev/zero >"$work/far" 2>&1 &
# shellcheck disable=SC2034  # by name
sender=$!
before=$(rdma_counter rxe0 rcvd_pkts)
for ((i = 0; i < patience * 10; i++)); do
  [ "$(rdma_counter rxe0 rcvd_pkts)" -le $((before + 10)) ] || break
  pause 0.1
done
pause 3  # until nothing of it moves any more
rdma_lose_link

for device in rxe0 rxe1; do
  expect "packets that came to $device" "$(rdma_counter $device rcvd_pkts)" -gt 0
  expect "receivers that were not ready" "$(rdma_counter $device rcvd_rnr_err)" -eq 0
done
rdma_check_clean
rdma_down
rmmod landfall_nic
