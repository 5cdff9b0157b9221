#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: an installed landfall is found by CMake and pkg-config, and README's program works with it.
# usage: prefix.sh SOURCE_DIR BUILD_DIR CXX
source "$(dirname "$0")/common.sh"
source_dir=$1 build_dir=$2 cxx=$3
cmake --install "$build_dir" --prefix "$work/prefix" >/dev/null
build_consumers "$work/prefix" "$source_dir/README.md" "$source_dir" "$cxx"
if [ -x "$work/prefix/bin/landfall" ]; then
  "$work/prefix/bin/landfall" --version  # finds its library beside it
fi
# No file names the build or source folder.
if grep -rlF -e "$source_dir" -e "$build_dir" "$work/prefix" --include='*.cmake' --include='*.pc'; then
  echo "these installed files name the build folder"
  exit 1
fi
