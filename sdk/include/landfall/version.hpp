// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>

#include "landfall/abi/export.h"

#define LANDFALL_VERSION_MAJOR 0
#define LANDFALL_VERSION_MINOR 1
#define LANDFALL_VERSION_PATCH 0
#define LANDFALL_VERSION "0.1.0"

namespace landfall {
/// The version of the library that is running, which may be newer than the headers.
LANDFALL_API std::string_view version() noexcept;
}  // namespace landfall
