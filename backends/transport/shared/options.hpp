// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/units.hpp"

namespace landfall::transport {

/// Reads "key=value\n..." by `read_one(key, value)`, which answers whether it understood.
/// Errors: invalid_argument, option_not_understood - with the line, and `known` as what would help.
template <class ReadOne>
landfall_errc read_options(const char* text, const char* transport, const char* known,
                           landfall_why* reterr_why, ReadOne&& read_one) {
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
    if (line.empty()) continue;
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos &&
        read_one(line.substr(0, equals), line.substr(equals + 1))) {
      continue;
    }
    return authoring::fix(
        reterr_why,
        authoring::refuse(reterr_why, LANDFALL_ERRC_invalid_argument,
                          LANDFALL_REASON_option_not_understood, LANDFALL_ORIGIN_LANDFALL, 0,
                          "%s does not understand the option '%.*s'", transport,
                          static_cast<int>(line.size()), line.data()),
        "use %s", known);
  }
  return LANDFALL_ERRC_ok;
}

/// "on" or "off"; false: neither.
inline bool read_switch(std::string_view value, bool* ret_on) {
  *ret_on = value == "on";
  return value == "on" || value == "off";
}

/// A number of bytes ("64KiB") from `least` to `most`; false: it is none.
template <class Number>
bool read_bytes(std::string_view value, std::uint64_t least, std::uint64_t most,
                Number* ret_number) {
  const Result<std::uint64_t> number = parse_bytes(value);
  if (!number || *number < least || *number > most) return false;
  *ret_number = static_cast<Number>(*number);
  return true;
}

}  // namespace landfall::transport
