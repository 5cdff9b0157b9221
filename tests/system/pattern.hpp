// SPDX-License-Identifier: Apache-2.0
// The bytes of a test's stream, as a function of a seed and of their position, so that any part of
// it can be checked at any time: stronger than a hash, and it says which byte is wrong.
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace landfall::test {

/// Eight bytes of the stream (splitmix64's finisher).
constexpr std::uint64_t pattern_word(std::uint64_t seed, std::uint64_t index) noexcept {
  std::uint64_t z = seed * 0x9e3779b97f4a7c15u + index + 1;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
  return z ^ (z >> 31);
}

inline std::byte pattern_byte(std::uint64_t seed, std::uint64_t offset) noexcept {
  return static_cast<std::byte>(pattern_word(seed, offset / 8) >> (offset % 8 * 8));
}

/// Fills `out` with the stream from `offset` on.
inline void write_pattern(std::uint64_t seed, std::uint64_t offset,
                          std::span<std::byte> out) noexcept {
  std::size_t i = 0;
  for (; i < out.size() && (offset + i) % 8 != 0; ++i) out[i] = pattern_byte(seed, offset + i);
  for (; i + 8 <= out.size(); i += 8) {
    const std::uint64_t word = pattern_word(seed, (offset + i) / 8);
    std::memcpy(out.data() + i, &word, 8);
  }
  for (; i < out.size(); ++i) out[i] = pattern_byte(seed, offset + i);
}

/// How many bytes from the front are those of the stream from `offset` on.
inline std::size_t matching_bytes(std::uint64_t seed, std::uint64_t offset,
                                  std::span<const std::byte> bytes) noexcept {
  std::array<std::byte, 4096> wanted;
  for (std::size_t done = 0; done < bytes.size();) {
    const std::size_t part =
        bytes.size() - done < wanted.size() ? bytes.size() - done : wanted.size();
    write_pattern(seed, offset + done, std::span{wanted}.first(part));
    for (std::size_t i = 0; i < part; ++i)
      if (bytes[done + i] != wanted[i]) return done + i;
    done += part;
  }
  return bytes.size();
}

}  // namespace landfall::test
