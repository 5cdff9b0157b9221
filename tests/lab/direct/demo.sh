#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the command receives a real file into a dma-buf: byte for byte, all of it direct, and the
# NIC's own counters say the same; steered wrongly in the middle, its verdict drops by just as much.
# usage: [LANDFALL_LAB_TRANSPORT=devmem-tcp|zcrx] demo.sh NIC_TOOL LANDFALL [FILE]
# In the lab's VM; without FILE it makes one.
# shellcheck source-path=SCRIPTDIR/../nic source=../nic/lib.sh
. "$(dirname "$0")/../nic/lib.sh"
landfall=$2 file=${3-} transport=${LANDFALL_LAB_TRANSPORT:-devmem-tcp}
say() { printf 'demo: %s\n' "$*"; }
export TERM=${LANDFALL_LAB_TERM:-dumb}
if [ -z "$file" ]; then
  file=$work/packed
  until [ -e "$file" ] && [ "$(stat -c %s "$file")" -ge 50000000 ]; do cat "$landfall" >>"$file"; done
fi
load queues=4 mtu=4148
ethtool -X lf0 equal 3  # other traffic keeps off the last queue
"$tool" hds lf0 on
sysctl -qw net.ipv4.tcp_rmem="4096 131072 134217728"

payload() {  # payload provider|page|linear: bytes that lf0 has put there, over all queues
  ethtool -S lf0 | awk -v name="payload_$1:" '$1 ~ "^rx[0-9]+_" name "$" { sum += $2; found = 1 }
    END { if (!found) exit 1; printf "%d\n", sum }' || die "lf0 has no counter of payload_$1"
}
verdict() { sed -nE "s/.*\"verdict\":\{[^]]*\"$1\":([0-9]+).*/\1/p" "$work/report"; }

# transfer OPTION...: the file from the other port. While it comes, WHILE is run. The small Region
# keeps the sender from being far ahead of the receiver.
transfer() {
  local status=0
  rm -rf "$work"/{port,report,received}
  mkdir "$work/received"
  provider=$(payload provider) page=$(payload page) linear=$(payload linear) again=$(resent)
  set -- --transport "$transport" "$@"
  say "receiver: landfall recv --interface lf0 --memory udmabuf $* --listen $here:0 --once --to ..."
  "$landfall" recv --interface lf0 --memory udmabuf --size 16MiB "$@" --listen "$here:0" --once \
    --to "$work/received/" --port-file "$work/port" --report "$work/report" &
  receiver=$!
  until [ -e "$work/port" ]; do
    kill -0 "$receiver" 2>/dev/null || die "the receiver ended before it listened"
    pause 0.05
  done
  say "sender:   landfall send --to $here:$(cat "$work/port") $file"
  peer "$landfall" send --to "$here:$(cat "$work/port")" "$file" >"$work/sent" 2>&1 &
  local sender=$!
  "${WHILE:-true}"
  wait "$receiver" || status=$?
  wait "$sender" || [ "$status" != 0 ] || die "sender: $(cat "$work/sent")"
  direct=$(verdict direct_bytes) copied=$(verdict copied_bytes)
  provider=$(($(payload provider) - provider)) page=$(($(payload page) - page))
  linear=$(($(payload linear) - linear)) again=$(($(resent) - again))
  say "the NIC:  $provider bytes into the dma-buf, $page into ordinary pages, $linear left in heads"
  say "verdict:  $direct bytes direct, $copied copied"
  return "$status"
}
same() {
  [ "$(sha256sum <"$file")" = "$(sha256sum <"$work/received/$(basename "$file")")" ] ||
    die "the copy differs from $file"
  say "verified: the SHA-256 of the copy is that of the file, $(sha256sum <"$file" | cut -c 1-16)..."
}

# agree: each byte of the verdict, and what was sent twice once more.
agree() {
  expect "bytes of the NIC in the dma-buf" "$provider" -ge "$direct"
  expect "bytes of the NIC in ordinary pages" "$page" -ge "$copied"
  expect "bytes of the NIC that nobody got" $((provider + page - direct - copied)) -le "$again"
}

size=$(stat -c %s "$file")
say "the file: $file, $size bytes"
transfer --contract require-direct || die "the receiver failed"
same
agree
expect "bytes that are not direct" "$((copied + page + linear))" -eq 0
expect "direct bytes" "$direct" -ge "$size"
say "verified: all bytes are direct, and the NIC has counted as many ($((provider - direct)) more were sent twice)"

say "again, and in the middle somebody removes the rule that steers the stream"
unsteer() {
  local now rule
  until now=$(payload provider) && ((now - provider > size / 8)); do pause 0.05; done
  rule=$(ethtool -n lf0 | sed -nE 's/^Filter: ([0-9]+)/\1/p')
  ethtool -N lf0 delete "$rule"
  say "removed:  ethtool -N lf0 delete $rule"
}
WHILE=unsteer transfer || die "the receiver failed"
same
agree
expect "direct bytes" "$direct" -ge $((size / 8))
expect "copied bytes" "$copied" -gt 0
grep -q '"name":"wrong_queue"' "$work/report" || die "no reason: $(cat "$work/report")"
say "verified: the verdict has dropped to $((direct * 100 / (direct + copied))) % direct, as the NIC counts"

say "the same under --contract require-direct"
! WHILE=unsteer transfer --contract require-direct || die "the contract was not kept"
grep -q '"errc":"contract_broken"' "$work/report" || die "another error: $(cat "$work/report")"
[ -z "$(ls "$work/received")" ] || die "half a file was left"
say "verified: it failed, said why, and left no half file"
