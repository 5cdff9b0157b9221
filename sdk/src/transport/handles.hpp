// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <mutex>
#include <shared_mutex>

#include "landfall/base/result.hpp"
#include "transport/slot.hpp"

namespace landfall::detail {

/// A Buffer as a handle, for those whom no compiler keeps from using it twice:
///
///   63      48 47                      0
///   | serial  | address of the Slot    |
///
/// The link of a Slot is not used before the Slot comes back. While the handle is out it holds the
/// handle's serial, in a value that no pointer has. To take a handle back, the Slot's address is
/// looked for in the tables that live, and then the mark is exchanged for null: of all who try, one
/// succeeds. A Buffer that never becomes a handle has no part in any of this.
///
/// What it cannot see: a stale handle whose Slot is out under a handle of the same serial, 1 case
/// in 65535.
///
/// Threads: any. The list of tables is memory that a forked child sees as zeros, its lock too, so
/// that a child never waits for a lock that was held in the parent.

/// The slots in [first, end) can be found from now on: whole chunks.
/// Errors: no_memory - mmap(2) or madvise(2) refused; limit_reached - kReceiversMax.
Result<void> add_slots(const SlotChunk* first, const SlotChunk* end) noexcept;
/// Before their memory goes; waits for those who look at them. Not in the list: does nothing.
void remove_slots(const SlotChunk* first) noexcept;

/// A handle is looked at, not taken back: while this lives, its Slot stays mapped.
class FoundHandle {
 public:
  explicit FoundHandle(const void* handle) noexcept;
  /// Null: refused.
  Slot* slot() const noexcept { return slot_; }

 private:
  std::shared_lock<std::shared_mutex> lock_;
  Slot* slot_ = nullptr;
};

/// Handles that were refused since the process started: forged, stale, or a parent's. Threads: any.
std::uint64_t handles_refused() noexcept;
/// Why a handle was refused: wrong_process or invalid_argument.
Errc handle_refusal() noexcept;

}  // namespace landfall::detail
