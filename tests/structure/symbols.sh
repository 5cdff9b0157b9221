#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: liblandfall.so exports the C API and landfall:: and nothing else, all under a version, and
# does not itself print, exit or abort. usage: symbols.sh LIBLANDFALL_SO
set -euo pipefail
library=$1
exported=$(nm -D -C --defined-only "$library" | sed 's/^[0-9a-f]* [A-Za-z] //')
imported=$(nm -D --undefined-only "$library" | sed -e 's/^ *[A-Za-z] //' -e 's/@.*//')
faults=0

# The file was opened and is the library: both APIs name its version; it uses libc.
grep -qx 'landfall::version()@@LANDFALL_0' <<<"$exported" || { echo "no landfall::version()"; exit 1; }
grep -qx 'landfall_version@@LANDFALL_0' <<<"$exported" || { echo "no landfall_version"; exit 1; }
grep -qx 'close' <<<"$imported" || { echo "no import of close(2): is this the library?"; exit 1; }

# Buffer's destructor is inline and calls detail::drop; the rest of detail stays inside.
while IFS= read -r symbol; do
  echo "exported and should not be: $symbol"
  faults=$((faults + 1))
done < <(grep -vE '^LANDFALL_0$' <<<"$exported" |
  grep -vE '^(landfall_[a-z0-9_]+|((typeinfo|typeinfo name|vtable) for )?landfall::.*)@@LANDFALL_0$')
while IFS= read -r symbol; do
  echo "private and exported: $symbol"
  faults=$((faults + 1))
done < <(grep 'landfall::detail::' <<<"$exported" | grep -E '^((typeinfo|typeinfo name|vtable) for )?landfall::detail::' |
  grep -vE '^landfall::detail::drop\(landfall::detail::Slot\*\)@@')

# _exit is allowed: the helper process that tries a plug-in ends by it, never the caller's.
forbidden='abort|exit|_Exit|quick_exit|printf|fprintf|vprintf|vfprintf|dprintf|__printf_chk|__fprintf_chk|__vfprintf_chk|puts|fputs|putchar|fputc|putc|fwrite|perror|psignal|syslog|__syslog_chk|__assert_fail|_ZSt4cout|_ZSt4cerr|_ZSt4clog'
while IFS= read -r symbol; do
  echo "the library calls $symbol"
  faults=$((faults + 1))
done < <(grep -xE "$forbidden" <<<"$imported")

echo "$(wc -l <<<"$exported") exported, $(wc -l <<<"$imported") imported: $faults faults"
[ "$faults" -eq 0 ]
