// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <charconv>
#include <cstdint>
#include <initializer_list>
#include <string_view>

#include "landfall/abi/authoring.hpp"

namespace landfall::test {

struct NumberOption {
  std::string_view key;
  std::uint64_t* value;
};

/// Reads "key=number\n..." into `known`. Errors: invalid_argument - LF1208 with the offending line.
inline landfall_errc read_options(const char* text, std::initializer_list<NumberOption> known,
                                  landfall_why* why) noexcept {
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
    const std::size_t equals = line.find('=');
    bool understood = line.empty();
    for (const NumberOption& option : known) {
      if (equals == line.npos || line.substr(0, equals) != option.key) continue;
      const std::string_view number = line.substr(equals + 1);
      const auto [end, error] =
          std::from_chars(number.data(), number.data() + number.size(), *option.value);
      understood = error == std::errc{} && end == number.data() + number.size();
    }
    if (!understood)
      return authoring::refuse(why, LANDFALL_ERRC_invalid_argument,
                               LANDFALL_REASON_option_not_understood, LANDFALL_ORIGIN_LANDFALL, 0,
                               "%.*s", static_cast<int>(line.size()), line.data());
  }
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::test
