// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>

#include "landfall/base/result.hpp"

namespace landfall {

inline constexpr std::uint64_t operator""_KiB(unsigned long long n) {
  return n << 10;
}
inline constexpr std::uint64_t operator""_MiB(unsigned long long n) {
  return n << 20;
}
inline constexpr std::uint64_t operator""_GiB(unsigned long long n) {
  return n << 30;
}

/// "4096", "64KiB", "2 MiB", "1GiB", "10MB", "1.5GiB", "64M" (binary, as in dd), "0x1000" -> bytes.
/// The whole text must be used. Errors: invalid_argument - not a number, unknown unit, below zero,
/// past 2^63 - 1, or not whole bytes.
LANDFALL_API Result<std::uint64_t> parse_bytes(std::string_view text);
/// "64 KiB", "1.50 GiB", "17 B": for people, three significant digits.
LANDFALL_API std::string format_bytes(std::uint64_t bytes);

constexpr std::uint64_t round_up(std::uint64_t value, std::uint64_t multiple) noexcept {
  return multiple == 0 ? value : (value + multiple - 1) / multiple * multiple;
}

}  // namespace landfall
