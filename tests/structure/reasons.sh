#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: sdk/docs/reasons.md is what its generator makes of the lists, and holds every entry.
# usage: reasons.sh ROOT
set -euo pipefail
cd "$1"
if ! diff <(bash sdk/docs/reasons.sh sdk/include/landfall/abi) sdk/docs/reasons.md; then
  echo "out of date: bash sdk/docs/reasons.sh sdk/include/landfall/abi >sdk/docs/reasons.md"
  exit 1
fi
entries=$(grep -c '^LANDFALL_REASON(' sdk/include/landfall/abi/reasons.def)
rows=$(grep -c '^| LF' sdk/docs/reasons.md)
echo "$entries reasons, $rows rows"
[ "$entries" -gt 0 ] && [ "$entries" -eq "$rows" ]
