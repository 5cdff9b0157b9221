// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"

namespace landfall::zcrx {

/// What "key=value\n..." may say; README.md explains each.
struct Options {
  std::uint32_t rx_page_bytes = 0;  // 0: the CPU's page size
  std::uint64_t window_bytes = 0;   // of each queue's slice; 0: half of it
  std::uint64_t spill_bytes = 2u << 20;
  std::uint32_t refill_entries = 0;  // 0: one for each page
  bool no_device = false;
};

/// Errors: invalid_argument, option_not_understood - an unknown key, or a value it cannot have.
landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why);

}  // namespace landfall::zcrx
