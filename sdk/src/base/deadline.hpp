// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>

namespace landfall::detail {

/// When a wait of `timeout` from now is over. Negative, or further off than the clock goes: never.
inline std::chrono::steady_clock::time_point deadline_after(
    std::chrono::nanoseconds timeout) noexcept {
  using Clock = std::chrono::steady_clock;
  const auto now = Clock::now();
  const bool ends = timeout >= timeout.zero() && timeout < Clock::time_point::max() - now;
  return ends ? now + timeout : Clock::time_point::max();
}

}  // namespace landfall::detail
