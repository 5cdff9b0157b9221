// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"
#include "shared/pool.hpp"

namespace landfall::devmem {

/// What "key=value\n..." may say; README.md explains each.
using Options = transport::PoolOptions;

/// Errors: invalid_argument, option_not_understood - an unknown key, or a value it cannot have.
landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why);

}  // namespace landfall::devmem
