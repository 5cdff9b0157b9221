// SPDX-License-Identifier: Apache-2.0
#include "landfall/version.hpp"

namespace landfall {

std::string_view version() noexcept {
  return LANDFALL_VERSION;
}

}  // namespace landfall
