// SPDX-License-Identifier: Apache-2.0
// What single values of a policy mean. Each reader takes exactly what the pattern of its shape
// (shapes.cpp) matches; a test compares them.
#pragma once
#include <chrono>
#include <cstdint>
#include <optional>
#include <string_view>

#include "landfall/policy/policy.hpp"

namespace landfall::policy {

/// "4096", "0x1000".
std::optional<std::uint64_t> read_integer(std::string_view text) noexcept;
/// "64KiB", "4GiB": up to six digits and one of KiB, MiB, GiB, TiB.
std::optional<std::uint64_t> read_size(std::string_view text) noexcept;
/// "50us", "2ms", "1s".
std::optional<std::chrono::microseconds> read_duration(std::string_view text) noexcept;
/// "1%", "0.25%" in parts of a million.
std::optional<std::uint32_t> read_share(std::string_view text) noexcept;
/// "192.0.2.7", "192.0.2.0/24", "2001:db8::/32".
std::optional<Policy::Prefix> read_prefix(std::string_view text) noexcept;
/// "5201-5210"; the first may be above the last.
std::optional<Policy::Ports> read_port_range(std::string_view text) noexcept;
/// "ingest": a letter, then letters, digits, - and _, all small; at most 63.
bool is_name(std::string_view text) noexcept;
bool is_interface(std::string_view text) noexcept;
bool is_account(std::string_view text) noexcept;
bool is_heap(std::string_view text) noexcept;

}  // namespace landfall::policy
