// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "base/context_core.hpp"

// The written list of what is part of the library; no static constructors.
extern "C" {
}

namespace landfall::detail {

std::span<const landfall_backend* const> builtin_backends() noexcept { return {}; }

}  // namespace landfall::detail
