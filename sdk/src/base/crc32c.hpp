// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

namespace landfall::detail {

/// CRC-32C (Castagnoli, RFC 3720 appendix B.4) of `bytes` after those that gave `before`.
/// Cost: by SSE4.2 where the CPU has it about 8 bytes per 3 cycles, else by tables.
std::uint32_t crc32c(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

/// The table way, for CPUs without the instruction; the test compares both.
std::uint32_t crc32c_by_table(std::span<const std::byte> bytes, std::uint32_t before = 0) noexcept;

}  // namespace landfall::detail
