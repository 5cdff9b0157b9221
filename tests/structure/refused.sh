#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Goal: what would outlive its owner, copy a lease or lose an error does not compile, and the same
# thing written right does.
# usage: refused.sh INCLUDE_DIR CXX
set -euo pipefail
include=$1 cxx=$2
faults=0

compiles() {
  printf '#include "landfall/landfall.hpp"\nusing namespace landfall;\n%s\n' "$1" |
    "$cxx" -std=c++20 -Wall -Werror -I "$include" -fsyntax-only -x c++ - 2>/dev/null
}
# refused WHAT RIGHT WRONG
refused() {
  compiles "$2" || { echo "does not compile, but should: $1: $2"; faults=1; }
  ! compiles "$3" || { echo "compiles, but should not: $1: $3"; faults=1; }
}

refused "a view of a dropped Buffer" \
  'auto f(const Buffer& b) { return b.host_bytes(); }' \
  'auto f(Buffer b) { return std::move(b).host_bytes(); }'
refused "the memory of a dropped Buffer" \
  'auto& f(const Buffer& b) { return b.memory(); }' \
  'auto& f() { return Buffer{}.memory(); }'
refused "two leases of one extent" \
  'Buffer f(Buffer& b) { return std::move(b); }' \
  'Buffer f(Buffer& b) { return b; }'
refused "two owners of one descriptor" \
  'Fd f(Fd& d) { return std::move(d); }' \
  'Fd f(Fd& d) { return d; }'
refused "two owners of one Region" \
  'Region f(Region& r) { return std::move(r); }' \
  'Region f(Region& r) { return r; }'
refused "an error that nobody looks at" \
  'void f(Group& g) { (void)g.close(); }' \
  'void f(Group& g) { g.close(); }'
refused "a Flow of one'\''s own" \
  'void f(Flow& flow) { flow.pause(); }' \
  'void f(Flow& flow) { Flow mine = flow; }'
refused "two owners of one connection" \
  'Sender f(Sender& s) { return std::move(s); }' \
  'Sender f(Sender& s) { return s; }'
[ "$faults" -eq 0 ] && echo "8 wrong uses are refused"
exit "$faults"
