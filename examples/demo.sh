#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on real input: a receiver on loopback takes a file, lands it through the receive API,
# writes it out; then the copy is compared. usage: demo.sh LANDFALL WORK_FOLDER [FILE]
# Without FILE it takes a large file of this machine, or packs one from its folders.
set -euo pipefail
landfall=$1 work=$2
say() { printf 'demo: %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }
file=$("$(dirname "$0")/demo_file.sh" "$work" 256 1024 ${3+"$3"})

received=$work/received
rm -rf "$received" "$work/port"
mkdir "$received"
receiver=
finish() {
  [ -z "$receiver" ] || kill "$receiver" 2>/dev/null || true
  rm -rf "$received" "$work/port"
}
trap finish EXIT

say "the file: $file, $(stat -c %s "$file") bytes"
say "receiver: landfall recv --listen 127.0.0.1:0 --once --to $received/"
"$landfall" recv --listen 127.0.0.1:0 --once --port-file "$work/port" --to "$received/" &
receiver=$!
for _ in $(seq 600); do
  [ ! -e "$work/port" ] || break
  kill -0 "$receiver" 2>/dev/null || { receiver=; die "the receiver ended before it listened"; }
  sleep 0.05
done
[ -e "$work/port" ] || die "the receiver did not listen within 30 seconds"

say "sender:   landfall send --to 127.0.0.1:$(cat "$work/port") $file"
"$landfall" send --to "127.0.0.1:$(cat "$work/port")" "$file" >"$work/sent" ||
  die "the sender failed"
wait "$receiver" || { receiver=; die "the receiver failed"; }
receiver=
cmp "$file" "$received/$(basename "$file")" || die "the copy differs from $file"
say "verified: the copy is byte for byte the file"
