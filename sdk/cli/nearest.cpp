// SPDX-License-Identifier: Apache-2.0
#include "nearest.hpp"

#include <algorithm>

#include "command_table.hpp"

namespace landfall::cli {

std::size_t edit_distance(std::string_view a, std::string_view b) {
  // Optimal string alignment: three rows, so that a swap of neighbours costs one.
  std::vector<std::size_t> before(b.size() + 1), above(b.size() + 1), row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) above[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t change = above[j - 1] + (a[i - 1] == b[j - 1] ? 0 : 1);
      row[j] = std::min({above[j] + 1, row[j - 1] + 1, change});
      if (i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1])
        row[j] = std::min(row[j], before[j - 2] + 1);
    }
    before.swap(above);
    above.swap(row);
  }
  return above[b.size()];
}

std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates) {
  // Nobody misspells a word of this length; a hostile argument must not cost quadratic time.
  if (word.size() > 64) return {};
  std::string_view best;
  std::size_t best_distance = std::max<std::size_t>(1, word.size() / 3) + 1;
  for (const std::string_view candidate : candidates) {
    const std::size_t distance = edit_distance(word, candidate);
    if (distance < best_distance) {
      best_distance = distance;
      best = candidate;
    }
  }
  return best;
}

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
    const std::string_view tail = nearest(name.substr(kPrefix.size()), tails);
    const auto found = std::ranges::find(tails, tail);
    unknown.push_back({name, tail.empty()
                                 ? std::string_view{}
                                 : known[static_cast<std::size_t>(found - tails.begin())]});
  }
  return unknown;
}

}  // namespace landfall::cli
