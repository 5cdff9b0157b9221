// SPDX-License-Identifier: Apache-2.0
// The stream that nic_tool sends: it repeats in nothing, so that each byte has one place.
#pragma once
#include <cstddef>
#include <cstdint>
#include <cstring>

namespace landfall::lab {

/// Eight bytes that depend on where they stand.
inline void fill(std::uint64_t at, unsigned char* to, std::size_t size) {
  for (std::size_t i = 0; i < size; ++i) {
    const std::uint64_t word = ((at + i) / 8 + 1) * 0x9e3779b97f4a7c15U;
    to[i] = static_cast<unsigned char>(word >> ((at + i) % 8 * 8));
  }
}

/// Whole words are fast, and emulation is slow.
inline bool matches(std::uint64_t at, const unsigned char* bytes, std::size_t size) {
  while (size != 0 && at % 8 != 0) {
    unsigned char one = 0;
    fill(at, &one, 1);
    if (one != *bytes) return false;
    ++at, ++bytes, --size;
  }
  for (; size >= 8; at += 8, bytes += 8, size -= 8) {
    const std::uint64_t word = (at / 8 + 1) * 0x9e3779b97f4a7c15U;
    if (std::memcmp(bytes, &word, 8) != 0) return false;
  }
  unsigned char rest[8];
  fill(at, rest, size);
  return std::memcmp(bytes, rest, size) == 0;
}

}  // namespace landfall::lab
