#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: every public header is listed for installation, and the C headers are C99.
# usage: headers.sh INCLUDE_DIR LIST_OF_INSTALLED CC
set -euo pipefail
include=$1 list=$2 cc=$3
faults=0
headers=$(cd "$include" && find landfall -type f | sort)
[ -n "$headers" ] || { echo "no headers under $include"; exit 1; }
if ! diff <(echo "$headers") <(sed "s|^$include/||" "$list" | sort); then
  echo "< is not listed in sdk/CMakeLists.txt; > is listed and not there"
  faults=1
fi
c_headers=0
for header in $(grep '\.h$' <<<"$headers"); do
  c_headers=$((c_headers + 1))
  printf '#include "%s"\nextern int landfall_not_empty;\n' "$header" | "$cc" -std=c99 -pedantic-errors -Wall -Wextra -Werror -I "$include" \
    -fsyntax-only -x c - || { echo "$header is not C99"; faults=1; }
done
[ "$c_headers" -gt 0 ] || { echo "no C headers found"; exit 1; }
echo "$(wc -l <<<"$headers") headers, $c_headers of them C"
exit "$faults"
