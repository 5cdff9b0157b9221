#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# The main job on real input: a receiver on loopback takes a file, lands it through the receive API,
# writes it out; then the copy is compared. usage: demo.sh LANDFALL WORK_FOLDER [FILE]
# Without FILE it takes a large file of this machine, or packs one from its folders.
set -euo pipefail
landfall=$1 work=$2 file=${3-}
readonly least_mib=256 most_mib=1024
say() { printf 'demo: %s\n' "$*"; }
die() { printf 'demo: %s\n' "$*" >&2; exit 1; }

mkdir -p "$work"
if [ -z "$file" ]; then
  file=$(find /usr /opt -xdev -type f -readable -size +$((least_mib * 1024))k \
    -size -$((most_mib * 1024))k -print -quit 2>/dev/null || true)
  if [ -z "$file" ]; then
    file=$work/packed.tar
    if [ ! -e "$file" ]; then
      say "packing /usr/lib and /usr/share into $file (at most $most_mib MiB)"
      # head closes the pipe at the limit, which tar takes for an error.
      { tar -C / -cf - usr/lib usr/share 2>/dev/null || true; } |
        head -c "${most_mib}M" >"$file.part"
      mv "$file.part" "$file"
    fi
    [ "$(stat -c %s "$file")" -ge $((least_mib * 1024 * 1024)) ] ||
      die "/usr/lib and /usr/share hold less than $least_mib MiB: name a file, make demo FILE=PATH"
  fi
fi
[ -f "$file" ] && [ -r "$file" ] || die "cannot read '$file'"

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
