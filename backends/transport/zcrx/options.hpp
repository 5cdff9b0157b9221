// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"
#include "shared/pool.hpp"

namespace landfall::zcrx {

/// What "key=value\n..." may say; README.md explains each.
struct Options : transport::PoolOptions {
  std::uint32_t refill_entries = 0;  // 0: one for each page
  bool no_device = false;
};

/// Errors: invalid_argument, option_not_understood - an unknown key, or a value it cannot have.
landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why);

}  // namespace landfall::zcrx
