// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/base/result.hpp"

namespace landfall::detail {

class QueueCore;
struct FlowImpl;

/// One extent that is out: what a Buffer points at. A cache line.
///
/// Lives in memory that a forked child sees as zeros (MADV_WIPEONFORK), so that `core` is null
/// there and a child's Buffers do nothing.
struct alignas(64) Slot {
  QueueCore* core;
  Slot* next;      // in the stack of returns, in the free list, or in a flow's backlog
  FlowImpl* flow;  // lives as long as any of its extents is out
  std::uint64_t offset;
  std::uint64_t token;  // the transport's; of a part: its parent Slot
  std::uint64_t stream_offset;
  std::uint32_t length;
  std::uint32_t charge;  // 0 in a part: the parent holds the memory
  std::uint16_t memory;
  std::uint8_t placement;
  std::uint8_t flags;
  std::uint32_t parts;  // of a parent: parts that are out, and one for the core while it still cuts
};
static_assert(sizeof(Slot) == 64);

inline constexpr std::uint8_t kSlotEndsMessage = 1;
inline constexpr std::uint8_t kSlotIsPart = 2;

/// All slots of one Receiver, and its state word.
///
/// Threads: the polling thread. Cost of take and put: a load and a store; the newest comes first.
class SlotTable {
 public:
  /// Errors: no_memory - mmap(2) or madvise(2) refused.
  static Result<SlotTable> make(std::uint32_t count) noexcept;
  SlotTable(SlotTable&& other) noexcept;
  SlotTable& operator=(SlotTable&&) = delete;
  ~SlotTable();

  /// False in a forked child: the mapping reads as zeros there.
  bool in_its_process() const noexcept { return *state_ != 0; }

  std::uint32_t available() const noexcept { return available_; }
  /// Only with available() > 0.
  Slot* take() noexcept {
    --available_;
    if (Slot* slot = free_; slot != nullptr) {
      free_ = slot->next;
      return slot;
    }
    return slots_ + fresh_++;
  }
  void put(Slot* slot) noexcept {
    slot->next = free_;
    free_ = slot;
    ++available_;
  }

 private:
  SlotTable() = default;
  void* mapping_ = nullptr;
  std::uint64_t mapping_bytes_ = 0;
  volatile std::uint64_t* state_ = nullptr;
  Slot* slots_ = nullptr;
  Slot* free_ = nullptr;
  std::uint32_t fresh_ = 0;  // slots from here on were never used: their pages are not touched yet
  std::uint32_t available_ = 0;
};

}  // namespace landfall::detail
