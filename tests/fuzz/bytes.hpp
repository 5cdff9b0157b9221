// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <string_view>

namespace landfall::fuzz {

/// The input of a fuzz target, taken from the front; zeros when it is used up.
class Bytes {
 public:
  Bytes(const std::uint8_t* data, std::size_t size) : data_{data}, left_{size} {}
  bool empty() const { return left_ == 0; }
  std::uint8_t u8() {
    if (left_ == 0) return 0;
    --left_;
    return *data_++;
  }
  std::uint16_t u16() { return static_cast<std::uint16_t>(u8() | u8() << 8); }
  std::uint32_t u32() { return u16() | static_cast<std::uint32_t>(u16()) << 16; }
  std::uint64_t u64() { return u32() | static_cast<std::uint64_t>(u32()) << 32; }
  /// Up to `most` bytes as text.
  std::string_view text(std::size_t most) {
    const std::size_t count = std::min(most, left_);
    const std::string_view out{reinterpret_cast<const char*>(data_), count};
    data_ += count;
    left_ -= count;
    return out;
  }

 private:
  const std::uint8_t* data_;
  std::size_t left_;
};

/// What a fuzz target does when a promise is broken: the fuzzer keeps the input.
inline void require(bool holds) {
  if (!holds) __builtin_trap();
}

}  // namespace landfall::fuzz
