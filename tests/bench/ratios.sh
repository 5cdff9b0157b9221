# SPDX-License-Identifier: Apache-2.0
# shellcheck shell=bash
# What comparisons of pairs have in common.

# print_ratios OTHER: of pairs, each a line of stdin "THROUGHPUT [CPU]" (landfall's divided by the other's):
# their medians and the 95 % intervals by order statistics. Keeps them in $work.
print_ratios() {
  local column
  tee "$work/pairs" >/dev/null
  for column in 1 2; do
    [ "$column" -le "$(awk 'NR == 1 { print NF }' "$work/pairs")" ] || break
    sort -g -k "$column,$column" "$work/pairs" | awk -v column="$column" -v other="$1" '{ x[NR] = $column } END {
      k = int(NR / 2 - 0.98 * sqrt(NR)); if (k < 1) k = 1
      m = NR % 2 ? x[(NR + 1) / 2] : (x[NR / 2] + x[NR / 2 + 1]) / 2
      printf "%s landfall/%s: median %.3f [%.3f, %.3f] of %d pairs\n",
        column == 1 ? "throughput" : "CPU per byte", other, m, x[k], x[NR + 1 - k], NR }'
  done
}
