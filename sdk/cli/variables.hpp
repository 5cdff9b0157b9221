// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string_view>
#include <vector>

namespace landfall::cli {

/// LANDFALL_* variables that this program does not know, each with the nearest that it does ("").
struct UnknownVariable {
  std::string_view name, nearest;
};
std::vector<UnknownVariable> unknown_variables(const char* const* environment);

}  // namespace landfall::cli
