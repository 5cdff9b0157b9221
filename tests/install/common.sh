# SPDX-License-Identifier: Apache-2.0
# Sourced by the install tests.
set -euo pipefail
unset DESTDIR CMAKE_PREFIX_PATH PKG_CONFIG_PATH LD_LIBRARY_PATH
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# cut_block LANGUAGE README FILE: README's first block of it, so that what is printed there is what runs.
cut_block() {
  awk -v first="^\`\`\`$1\$" '
    $0 ~ first {inside = 1; next} /^```$/ {if (inside) exit} inside' "$2" >"$3"
  [ "$(wc -l <"$3")" -ge 5 ] || { echo "no $1 block found in $2"; exit 1; }
}

# feed_program PROGRAM: starts it, sends 1,000,000 bytes to the port that it prints, and expects it
# to count them.
feed_program() {
  mkfifo "$work/said"
  timeout 60 stdbuf -oL "$1" >"$work/said" 2>&1 &
  local pid=$!
  exec 7<"$work/said"
  rm "$work/said"
  IFS= read -r -t 30 line <&7 || { echo "the program said nothing"; exit 1; }
  local port=${line##* }
  [[ $port =~ ^[0-9]+$ ]] || { echo "the program refuses: $line"; cat <&7; exit 1; }
  head -c 1000000 /dev/zero >"/dev/tcp/127.0.0.1/$port" || { echo "cannot send: $line"; exit 1; }
  IFS= read -r -t 30 line <&7 || { echo "the program did not finish"; exit 1; }
  wait "$pid" || { echo "the program failed: $line"; exit 1; }
  exec 7<&-
  [[ $line == *1000000* ]] || { echo "sent 1000000 bytes, it says: $line"; exit 1; }
  echo "it says: $line"
}

# build_consumers PREFIX README SOURCE_DIR CXX [LIBRARY_ROOT]: find_package and pkg-config.
build_consumers() {
  local prefix=$1 readme=$2 source=$3 cxx=$4
  local libraries
  libraries=$(dirname "$(find "$prefix" -name liblandfall.so)")
  mkdir "$work/consumer"
  cut_block cmake "$readme" "$work/consumer/CMakeLists.txt"
  cut_block cpp "$readme" "$work/consumer/receive.cpp"

  cmake -S "$work/consumer" -B "$work/build" -G Ninja -DCMAKE_CXX_COMPILER="$cxx" \
    -DCMAKE_PREFIX_PATH="$prefix" >/dev/null
  grep -q "^landfall_DIR:PATH=$prefix" "$work/build/CMakeCache.txt" ||
    { echo "another landfall was found"; exit 1; }
  cmake --build "$work/build" >"$work/log" 2>&1 || { cat "$work/log"; exit 1; }
  echo "find_package: built"
  LD_LIBRARY_PATH=$libraries feed_program "$work/build/receive"

  local flags
  flags=$(PKG_CONFIG_PATH="$libraries/pkgconfig" pkg-config --cflags --libs landfall)
  # shellcheck disable=SC2086
  "$cxx" -std=c++20 "$work/consumer/receive.cpp" -o "$work/by_pkg_config" $flags
  echo "pkg-config: built"
  LD_LIBRARY_PATH=$libraries feed_program "$work/by_pkg_config"

  "$cxx" -std=c++20 -shared -fPIC -I "$prefix/include" "$source/tests/install/backend.cpp" \
    -o "$work/backend.so"
  echo "backend headers: built"
}
