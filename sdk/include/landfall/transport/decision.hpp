// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <string_view>
#include <vector>

#include "landfall/base/context.hpp"
#include "landfall/base/reason.hpp"
#include "landfall/memory/memory.hpp"
#include "landfall/transport/placement.hpp"

namespace landfall {

/// Which transport was taken and why not the others; of a Sender, which method. Kept for the life
/// of the Group or Sender.
struct LANDFALL_API Decision {
  struct Candidate {
    std::string transport;
    bool usable = false;
    Placement best = Placement::copied;  // what an extent can be at best
    std::vector<Reason>
        reasons;  // why not usable; or, if usable, why it cannot be direct or was not taken
  };
  std::vector<Candidate> candidates;  // in the order in which they were considered
  std::string chosen;                 // "" - none

  /// One line per candidate: "tcp: chosen (copied: the kernel copies ...)".
  std::string describe() const;
};

/// Every registered transport and whether it could serve here. `interface` may be "" (any) and
/// `memory` nullptr (not chosen yet); then only what does not depend on them is checked.
LANDFALL_API std::vector<Decision::Candidate> probe_transports(const Context& context,
                                                               std::string_view interface = {},
                                                               const Memory* memory = nullptr);

}  // namespace landfall
