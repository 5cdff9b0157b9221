// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "base/context_core.hpp"

// The written list of what is part of the library; no static constructors.
extern "C" {
extern const landfall_backend landfall_builtin_memory_host;
}

namespace landfall::detail {
namespace {

constexpr std::array kBuiltin = {
    &landfall_builtin_memory_host,
};

}  // namespace

std::span<const landfall_backend* const> builtin_backends() noexcept {
  return kBuiltin;
}

}  // namespace landfall::detail
