#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: includes.sh finds each kind of breach, and an empty tree. usage: includes_refuses.sh INCLUDES_SH
set -euo pipefail
check=$1
root=$(mktemp -d)
trap 'rm -rf "$root"' EXIT
sound() {
  rm -rf "${root:?}"/*
  mkdir -p "$root"/sdk/include/landfall/{abi,base,transport} "$root"/sdk/src/{base,memory,transport} \
    "$root"/backends/transport/tcp
  echo '#include <cstdint>' >"$root/sdk/include/landfall/base/a.hpp"
  echo '#include "landfall/base/a.hpp"' >"$root/sdk/src/transport/t.cpp"
  mkdir "$root/backends/transport/rdma"
  touch "$root"/backends/transport/{rdma,tcp}/{plugin.cpp,queue.hpp}
  echo '#include "tcp/queue.hpp"' >"$root/backends/transport/tcp/queue.cpp"
  echo '#include "landfall/abi/backend.h"' >"$root/backends/transport/tcp/plugin.cpp"
}
refused() {  # refused WHAT FILE LINE
  sound
  echo "$3" >>"$root/$2"
  if bash "$check" "$root" >/dev/null; then echo "not found: $1"; exit 1; fi
}
sound
bash "$check" "$root"
refused "upward include" sdk/src/base/b.cpp '#include "landfall/transport/t.hpp"'
refused "sideways include" sdk/src/memory/m.cpp '#include "nic/n.hpp"'
refused "private header in a public one" sdk/include/landfall/base/a.hpp '#include "base/core.hpp"'
refused "vendor header in a public one" sdk/include/landfall/base/a.hpp '#include <liburing.h>'
refused "core's header in a backend" backends/transport/tcp/plugin.cpp '#include "base/core.hpp"'
refused "another backend's header" backends/transport/tcp/plugin.cpp '#include "rdma/queue.hpp"'
refused "backend's name in the core" sdk/src/transport/t.cpp 'bool f(S s) { return s == "tcp"; }'
rm -rf "${root:?}"/*
mkdir -p "$root"/sdk/include/landfall "$root"/sdk/src "$root"/backends
if bash "$check" "$root" >/dev/null; then echo "an empty tree passed"; exit 1; fi
