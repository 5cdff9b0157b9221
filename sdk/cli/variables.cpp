// SPDX-License-Identifier: Apache-2.0
#include "variables.hpp"

#include <algorithm>

#include "base/nearest.hpp"
#include "command_table.hpp"

namespace landfall::cli {

std::vector<UnknownVariable> unknown_variables(const char* const* environment) {
  constexpr std::string_view kPrefix = "LANDFALL_", kLab = "LANDFALL_LAB_";  // kernel/lab's
  std::vector<std::string_view> known;
  for (const CommandRow& command : commands()) {
    for (const OptionRow& option : command.options) {
      if (!option.environment.empty()) known.push_back(option.environment);
    }
  }
  std::vector<UnknownVariable> unknown;
  for (; environment != nullptr && *environment != nullptr; ++environment) {
    std::string_view name{*environment};
    name = name.substr(0, name.find('='));
    if (!name.starts_with(kPrefix) || name.starts_with(kLab)) continue;
    if (std::ranges::find(known, name) != known.end()) continue;
    // The prefix is the same in all: only what follows it decides how near they are.
    std::vector<std::string_view> tails;
    for (const std::string_view k : known) tails.push_back(k.substr(kPrefix.size()));
    const std::string_view tail = detail::nearest(name.substr(kPrefix.size()), tails);
    const auto found = std::ranges::find(tails, tail);
    unknown.push_back({name, tail.empty()
                                 ? std::string_view{}
                                 : known[static_cast<std::size_t>(found - tails.begin())]});
  }
  return unknown;
}

}  // namespace landfall::cli
