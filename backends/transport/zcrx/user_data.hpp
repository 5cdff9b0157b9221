// SPDX-License-Identifier: Apache-2.0
// What a request's user_data says: a Flow's address, or one of these.
#pragma once
#include <cstdint>

#include "zcrx/flow.hpp"

namespace landfall::zcrx {

inline constexpr std::uint64_t kCancel = 1;
inline constexpr std::uint64_t kControl = 2;
inline constexpr std::uint64_t kLifeline = 3;
inline constexpr std::uint64_t kEvent = 4;
inline constexpr std::uint64_t kOthersMost = 63;

inline std::uint64_t user_data_of(const Flow& flow) noexcept {
  return reinterpret_cast<std::uint64_t>(&flow);
}
/// nullptr: it is no Flow's.
inline Flow* flow_in(std::uint64_t user_data) noexcept {
  return user_data <= kOthersMost ? nullptr : reinterpret_cast<Flow*>(user_data);
}

}  // namespace landfall::zcrx
