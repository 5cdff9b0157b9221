// SPDX-License-Identifier: Apache-2.0
// In the place of reader.cpp where yaml-cpp is not there.
#include "policy/reader.hpp"

namespace landfall::policy {

bool reads_yaml() noexcept {
  return false;
}

std::optional<YamlNode> read_yaml(std::string_view, Finder&) {
  return std::nullopt;
}

}  // namespace landfall::policy
