// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <memory>

#include "landfall/transport/fence.hpp"
#include "memory/region_core.hpp"

namespace landfall::detail {

/// A fence of a memory source, shared by those who wait for it.
///
/// Threads: any.
class FenceCore {
 public:
  /// Errors: as Group::fence.
  static Result<Fence> record(const std::shared_ptr<RegionCore>& region, void* native_stream);
  static FenceCore& of(const Fence& fence) noexcept { return *fence.core_; }

  void keep() noexcept { owners_.fetch_add(1, std::memory_order_relaxed); }
  void forget() noexcept {
    if (owners_.fetch_sub(1, std::memory_order_acq_rel) == 1) delete this;
  }

  bool has_passed() noexcept;
  /// `event_fd` becomes readable when it has passed. False: the source cannot tell, look again.
  bool arm(int event_fd) noexcept {
    return region_->ops().fence_arm(fence_, event_fd) == LANDFALL_ERRC_ok;
  }
  /// Sleeps until it has passed.
  void wait() noexcept;

 private:
  FenceCore(std::shared_ptr<RegionCore> region, landfall_fence* fence) noexcept
      : region_{std::move(region)}, fence_{fence} {}
  ~FenceCore() { region_->ops().fence_drop(fence_); }

  const std::shared_ptr<RegionCore> region_;
  landfall_fence* const fence_;
  std::atomic<std::uint32_t> owners_{1};
  std::atomic<bool> passed_{false};
};

}  // namespace landfall::detail
