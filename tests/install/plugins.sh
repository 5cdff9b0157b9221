#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: the sample plug-ins build out of tree against an installed landfall, and pass the suite that
# the built-in backends pass.
# usage: plugins.sh SOURCE_DIR BUILD_DIR CXX LANDFALL_CONFORMANCE
source "$(dirname "$0")/common.sh"
source_dir=$1 build_dir=$2 cxx=$3 suite=$4
cmake --install "$build_dir" --prefix "$work/prefix" >/dev/null
for kind in memory transport; do
  cp -r "$source_dir/examples/plugin_$kind" "$work/$kind"
  cmake -S "$work/$kind" -B "$work/$kind/build" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_CXX_FLAGS="-Wall -Wextra -Werror" -DCMAKE_PREFIX_PATH="$work/prefix" >/dev/null
  cmake --build "$work/$kind/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  plugin=$work/$kind/build/sample_$kind.so
  symbols=$(nm -D --defined-only "$plugin" | awk '$3 !~ /^_/ {print $3}')
  [ "$symbols" = landfall_backend_query ] || { echo "$plugin exports: $symbols"; exit 1; }
  chmod -R go-w "$work/$kind"
  "$suite" --backend "$plugin" --gtest_brief=1 | tee "$work/report"
  passed=$(sed -n 's/^\[  PASSED  \] \([0-9]*\) tests*\.$/\1/p' "$work/report")
  [ "${passed:-0}" -ge 5 ] || { echo "the suite ran ${passed:-0} cases on $plugin"; exit 1; }
done
