// SPDX-License-Identifier: Apache-2.0
// The authoring headers alone, as a backend's author sees them: no library is linked.
#include "landfall/abi/authoring.hpp"
#include "landfall/abi/export.h"

extern "C" LANDFALL_API const landfall_backend* landfall_backend_query(std::uint32_t,
                                                                       std::uint32_t) {
  return nullptr;
}
