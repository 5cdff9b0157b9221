#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Names the real file that a demo sends: FILE, or a large one of this machine, or one packed from its
# folders. usage: demo_file.sh WORK_FOLDER LEAST_MIB MOST_MIB [FILE]
set -euo pipefail
work=$1 least_mib=$2 most_mib=$3 file=${4-}
say() { printf 'demo: %s\n' "$*" >&2; }
die() { say "$*"; exit 1; }

mkdir -p "$work"
if [ -z "$file" ]; then
  file=$(find /usr /opt -xdev -type f -readable -size +$((least_mib * 1024))k \
    -size -$((most_mib * 1024))k -print -quit 2>/dev/null || true)
  if [ -z "$file" ]; then
    file=$work/packed_$most_mib.tar
    if [ ! -e "$file" ]; then
      say "packing /usr/lib and /usr/share into $file (at most $most_mib MiB)"
      # head closes the pipe at the limit, which tar takes for an error.
      { tar -C / -cf - usr/lib usr/share 2>/dev/null || true; } |
        head -c "${most_mib}M" >"$file.part"
      mv "$file.part" "$file"
    fi
    [ "$(stat -c %s "$file")" -ge $((least_mib * 1024 * 1024)) ] ||
      die "/usr/lib and /usr/share hold less than $least_mib MiB: name a file, FILE=PATH"
  fi
fi
[ -f "$file" ] && [ -r "$file" ] || die "cannot read '$file'"
realpath "$file"
