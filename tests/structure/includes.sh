#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: includes run one way, {abi, uapi} <- base <- {memory, nic} <- transport <- policy <- facade <- tools;
# a backend sees public headers and its own folder; public headers include nothing of others; the
# core compares no backend's name. usage: includes.sh ROOT
set -euo pipefail
cd "$1"

rank() {  # rank LAYER: a file may include its own layer and lower ranks
  case $1 in
    abi|uapi) echo 0 ;; base) echo 1 ;; memory|nic) echo 2 ;; transport) echo 3 ;; policy) echo 4 ;;
    facade) echo 5 ;; cli|daemon|libfabric) echo 6 ;; *) echo "?" ;;
  esac
}
layer_of() {  # layer_of PATH-INSIDE-include-or-src
  case $1 in
    version.hpp) echo base ;;
    landfall.hpp|landfall.h|c/*) echo facade ;;
    *) echo "${1%%/*}" ;;
  esac
}
faults=0
fault() { echo "$*"; faults=$((faults + 1)); }

layered=0
while IFS= read -r file; do
  case $file in *_test.[ch]pp|*_fuzz.cpp) continue ;; esac
  layered=$((layered + 1))
  case $file in
    sdk/include/landfall/*) here=$(layer_of "${file#sdk/include/landfall/}") ;;
    sdk/src/*) here=$(layer_of "${file#sdk/src/}") ;;
    *) here=$(layer_of "${file#sdk/}") ;;
  esac
  my_rank=$(rank "$here")
  [ "$my_rank" != "?" ] || fault "$file: '$here' is no layer"
  while IFS= read -r included; do
    case $included in
      landfall/*) there=$(layer_of "${included#landfall/}") ;;
      */*) there=${included%%/*} ;;
      *) there=$here ;;  # a file beside it
    esac
    case $file in
      sdk/include/*) [[ $included == landfall/* ]] ||
        fault "$file: a public header includes \"$included\"" ;;
    esac
    its_rank=$(rank "$there")
    if [ "$its_rank" = "?" ] || [ "$its_rank" -gt "$my_rank" ] ||
       { [ "$its_rank" -eq "$my_rank" ] && [ "$there" != "$here" ]; }; then
      fault "$file: layer '$here' includes \"$included\" of layer '$there'"
    fi
  done < <(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file")
done < <(find sdk/include/landfall sdk/src sdk/nic sdk/cli sdk/daemon sdk/libfabric -type f \
  \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.c' \) 2>/dev/null)

# Only the standard library in public headers: <vector>, <cstdint>; in C headers <stdint.h>. Who
# writes a transport has sockets.
while IFS= read -r line; do
  fault "public header with a foreign include: $line"
done < <(grep -rnE '^ *# *include *<' sdk/include/landfall |
  grep -vE '<([a-z_0-9]+|(stddef|stdint|stdbool)\.h)>|/transport_authoring.hpp:.*<sys/socket.h>' ||
  true)

backend_files=0
while IFS= read -r file; do
  case $file in *_test.[ch]pp|*_fuzz.cpp) continue ;; esac
  backend_files=$((backend_files + 1))
  while IFS= read -r included; do
    # Beside it, or as "<own folder>/x.hpp"; or from a folder that backends of this kind share and
    # that is no backend itself.
    kind=$(dirname "$(dirname "$file")")
    top=${included%%/*}
    [[ $included == landfall/* ]] || [ -e "$(dirname "$file")/$included" ] ||
      { [ -e "$kind/$included" ] &&
        { [ "$kind/$top" = "$(dirname "$file")" ] || [ ! -e "$kind/$top/plugin.cpp" ]; }; } ||
      fault "$file: a backend includes \"$included\""
    [[ $included != *..* ]] || fault "$file: \"$included\" leaves the backend's folder"
  done < <(sed -n 's/^ *# *include *"\([^"]*\)".*/\1/p' "$file")
done < <(find backends -type f \( -name '*.hpp' -o -name '*.cpp' -o -name '*.h' -o -name '*.c' \))

names=$(find backends -mindepth 2 -maxdepth 2 -type d -printf '%f\n' | sort -u | paste -sd '|')
if [ -n "$names" ]; then
  while IFS= read -r line; do
    fault "the core compares a backend's name: $line"
  done < <(grep -rnE "[=!]= *\"($names)\"|\"($names)\" *[=!]=" sdk/src --include='*.[ch]pp' |
    grep -v '_test\.cpp:' || true)
fi

[ "$layered" -gt 0 ] || fault "no file of the layers was found under $PWD"
[ "$backend_files" -gt 0 ] || fault "no file of a backend was found under $PWD"
echo "$layered files of the layers and $backend_files of backends: $faults faults"
[ "$faults" -eq 0 ]
