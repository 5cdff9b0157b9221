// SPDX-License-Identifier: Apache-2.0
// What the bytes of a test stream are: a function of seed and position, so that any piece of it can
// be checked alone, at any time, on any thread.
#pragma once
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <span>
#include <vector>

namespace landfall::test {

inline void fill_pattern(std::uint64_t seed, std::uint64_t position, std::span<std::byte> out) {
  std::uint64_t word = position / 8;
  std::size_t done = 0;
  for (std::size_t skip = position % 8; done < out.size(); ++word, skip = 0) {
    const std::uint64_t value = (word + seed * 0x1000193u + 1) * 0x9e3779b97f4a7c15u;
    const std::size_t here = std::min<std::size_t>(8 - skip, out.size() - done);
    std::memcpy(out.data() + done, reinterpret_cast<const std::byte*>(&value) + skip, here);
    done += here;
  }
}

inline bool matches_pattern(std::uint64_t seed, std::uint64_t position,
                            std::span<const std::byte> bytes) {
  if (bytes.empty()) return true;
  thread_local std::vector<std::byte> expected;
  if (expected.size() < bytes.size()) expected.resize(bytes.size());
  fill_pattern(seed, position, std::span{expected}.first(bytes.size()));
  return std::memcmp(expected.data(), bytes.data(), bytes.size()) == 0;
}

}  // namespace landfall::test
