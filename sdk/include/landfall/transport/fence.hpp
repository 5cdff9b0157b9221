// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <utility>

#include "landfall/abi/export.h"

namespace landfall {

namespace detail {
class FenceCore;
}

/// A point in the application's stream of work on a device (Group::fence): has the device passed
/// it? Any number of Buffers may wait for the same one.
///
/// Owner: shared by its copies and the Buffers that wait for it; keeps the Region's memory.
/// Threads: any. Cost of a copy: one atomic addition.
class LANDFALL_API Fence {
 public:
  Fence(const Fence& other) noexcept;
  Fence(Fence&& other) noexcept : core_{std::exchange(other.core_, nullptr)} {}
  Fence& operator=(Fence other) noexcept {
    std::swap(core_, other.core_);
    return *this;
  }
  ~Fence();

 private:
  friend class detail::FenceCore;
  explicit Fence(detail::FenceCore* core) noexcept : core_{core} {}
  detail::FenceCore* core_;
};

}  // namespace landfall
