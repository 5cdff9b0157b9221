// SPDX-License-Identifier: Apache-2.0
// A transport that reports whatever a fuzz input says: records of flows that it does not have, of
// kinds that do not exist, with bytes outside of every memory, too many of them.
#pragma once
#include <cstdint>
#include <map>
#include <vector>

#include "bytes.hpp"
#include "landfall/abi/backend.h"

namespace landfall::fuzz {

struct HostileState {
  Bytes* input = nullptr;
  std::vector<std::uint64_t> tags;                // of the flows that it was given, in order
  std::map<std::uint64_t, std::uint32_t> tokens;  // DATA reported: how often given back
  std::uint64_t next_token = 1;
  std::uint64_t bad_returns = 0;  // given back twice, or never reported
  std::uint64_t region_bytes = 0;
};

/// What the one Group of a fuzz run sees. Reset before each.
HostileState& hostile() noexcept;

/// The same transport twice: one serves land() and post(), of the other the core does it.
extern const landfall_backend kHostileNative;
extern const landfall_backend kHostilePlain;

}  // namespace landfall::fuzz
