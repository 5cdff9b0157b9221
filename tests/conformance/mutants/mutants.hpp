// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <span>
#include <string_view>

#include "landfall/abi/backend.h"

namespace landfall::test {

/// The devmem model with one thing wrong, so that the suite can show that it notices.
struct Mutant {
  std::string_view name, wrong;
  void (*change)(landfall_transport_ops& ops);
};

/// The first one has nothing wrong: it must pass.
std::span<const Mutant> mutants();

/// nullptr: there is no such mutant. One per process.
const landfall_backend* make_mutant(std::string_view name);

}  // namespace landfall::test
