// SPDX-License-Identifier: Apache-2.0
#include "landfall/base/units.hpp"

#include <array>
#include <charconv>
#include <cstdio>

namespace landfall {
namespace {

__extension__ using Wide = unsigned __int128;

struct Unit {
  std::string_view name;
  std::uint64_t bytes;
};
constexpr std::uint64_t kThousand = 1000;
constexpr Unit kUnits[] = {
    {"", 1},         {"B", 1},          {"K", 1_KiB},
    {"KiB", 1_KiB},  {"kB", kThousand}, {"KB", kThousand},
    {"M", 1_MiB},    {"MiB", 1_MiB},    {"MB", kThousand* kThousand},
    {"G", 1_GiB},    {"GiB", 1_GiB},    {"GB", kThousand* kThousand* kThousand},
    {"T", 1024_GiB}, {"TiB", 1024_GiB}, {"TB", kThousand* kThousand* kThousand* kThousand},
};
constexpr std::uint64_t kBytesMax = (std::uint64_t{1} << 63) - 1;
// More digits than this after the point never are whole bytes of any unit above.
constexpr std::size_t kFractionDigitsMax = 12;

Error refused(std::string_view text, const char* why) {
  std::string cause = "\"" + std::string{text.substr(0, 40)} + "\" is not a size: " + why;
  return Error{Errc::invalid_argument, "parse_bytes"}.with(cause,
                                                           "write 4096, 64KiB, 10MB or 1.5GiB");
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}

}  // namespace

Result<std::uint64_t> parse_bytes(std::string_view text) {
  if (text.empty()) return refused(text, "it is empty");
  if (text.starts_with("0x") || text.starts_with("0X")) {
    std::uint64_t value = 0;
    const char* end = text.data() + text.size();
    const auto parsed = std::from_chars(text.data() + 2, end, value, 16);
    if (parsed.ec == std::errc::result_out_of_range || value > kBytesMax)
      return refused(text, "it is past 2^63 - 1");
    if (parsed.ec != std::errc{} || parsed.ptr != end)
      return refused(text, "not a hexadecimal number");
    return value;
  }
  if (text.front() == '-') return refused(text, "it is below zero");
  if (!is_digit(text.front())) return refused(text, "it does not begin with a digit");

  Wide digits = 0;  // all digits, without the point
  Wide scale = 1;   // 10 to the number of digits after the point
  std::size_t at = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) {
    digits = digits * 10 + static_cast<unsigned>(text[at] - '0');
    if (digits > kBytesMax) return refused(text, "it is past 2^63 - 1");
  }
  if (at < text.size() && text[at] == '.') {
    const std::size_t first = ++at;
    for (; at < text.size() && is_digit(text[at]); ++at) {
      if (at - first == kFractionDigitsMax) return refused(text, "too many digits after the point");
      digits = digits * 10 + static_cast<unsigned>(text[at] - '0');
      scale *= 10;
    }
    if (at == first) return refused(text, "no digit after the point");
  }
  std::string_view name = text.substr(at);
  if (name.size() > 1 && name.front() == ' ') name.remove_prefix(1);
  for (const Unit& unit : kUnits) {
    if (unit.name != name) continue;
    // In two parts, so that no product reaches 2^104: digits is below 2^63 * 10^12.
    const Wide whole = digits / scale * unit.bytes;
    const Wide rest = digits % scale * unit.bytes;
    if (rest % scale != 0) return refused(text, "not whole bytes");
    if (whole + rest / scale > kBytesMax) return refused(text, "it is past 2^63 - 1");
    return static_cast<std::uint64_t>(whole + rest / scale);
  }
  return refused(text, "the unit is not known");
}

std::string format_bytes(std::uint64_t bytes) {
  constexpr std::array kNames = {"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
  std::size_t unit = 0;
  std::uint64_t size = 1;
  // 1023.5 and more round to 1024: shown as one of the next unit.
  while (unit + 1 < kNames.size() && bytes / size >= 1023 &&
         (bytes / size >= 1024 || (size > 1 && bytes % size >= size / 2))) {
    size <<= 10;
    ++unit;
  }
  const double value = static_cast<double>(bytes) / static_cast<double>(size);
  const int decimals = bytes % size == 0 || value >= 99.95 ? 0 : value >= 9.995 ? 1 : 2;
  char text[32];
  std::snprintf(text, sizeof text, "%.*f %s", decimals, value, kNames[unit]);
  return text;
}

}  // namespace landfall
