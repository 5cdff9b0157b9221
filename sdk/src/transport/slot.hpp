// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <utility>

#include "landfall/base/result.hpp"
#include "landfall/transport/buffer.hpp"

namespace landfall::detail {

class QueueCore;
class FenceCore;
struct FlowImpl;

/// What the extents of a run have in common: written in one piece.
struct SlotKind {
  std::uint8_t memory;
  std::uint8_t placement : 2;
  std::uint8_t flags : 6;
  std::uint16_t
      reason;  // why it is not direct, for a demand flow: a backend's own code does not fit
  std::uint32_t parts;  // of a parent: parts that are out, and one for the core while it still cuts
};
static_assert(sizeof(SlotKind) == 8);

/// One extent that is out: what a Buffer points at. A cache line, in a SlotChunk.
struct alignas(64) Slot : SlotKind {
  Slot* next;      // in a flow's backlog, or in the list of those that wait for a fence
  FlowImpl* flow;  // lives as long as any of its extents is out
  std::uint64_t offset;
  std::uint64_t token;  // the transport's; of a part: its parent Slot
  union {
    std::uint64_t stream_offset;
    FenceCore* fence;  // after Buffer::release_after, one of its owners
  };
  std::uint32_t length;
  std::uint32_t charge;  // 0 in a part: the parent holds the memory

  static Buffer lease(Slot* slot) noexcept { return Buffer{slot}; }
  /// Without dropping it.
  static Slot* release(Buffer&& buffer) noexcept { return std::exchange(buffer.slot_, nullptr); }
};
static_assert(sizeof(Slot) == 64);

inline constexpr std::uint8_t kSlotEndsMessage = 1;
inline constexpr std::uint8_t kSlotIsPart = 2;
inline constexpr std::uint8_t kSlotFenceArmed = 4;  // the fence will write the wake-up

/// Slots come in chunks that are aligned to their size, so that a Slot's address alone says where
/// its chunk's head and its link lie:
///
///   0       1 KiB                8 KiB                               64 KiB
///   | head  | links, 8 B each    | slots, 64 B each                  |
///
/// A link joins the extents that come back (ReturnStack) and points at the next link, so that a
/// walk along them waits for one load each and for no Slot. A thread that drops a Buffer reads the
/// head and writes the link, and leaves the Slot alone: its cache line stays with the polling
/// thread, and eight links share one on their way back. While a Buffer is out as a handle, its link
/// holds the handle's mark (handles.hpp), which any thread may read: hence the atomic.
///
/// All of it is memory that a forked child sees as zeros (MADV_WIPEONFORK), so that `core` is null
/// there and a child's Buffers do nothing.
struct ReturnLink {
  std::atomic<ReturnLink*> next;
};

struct SlotChunk {
  static constexpr std::uint64_t kBytes = 64 * 1024;
  static constexpr std::uint64_t kSlotsBegin = kBytes / sizeof(Slot) * sizeof(ReturnLink);
  static constexpr std::uint32_t kSlots = (kBytes - kSlotsBegin) / sizeof(Slot);

  QueueCore* core;

  static SlotChunk* of(const Slot* slot) noexcept {
    return reinterpret_cast<SlotChunk*>(reinterpret_cast<std::uintptr_t>(slot) & ~(kBytes - 1));
  }
  static ReturnLink* link_of(const Slot* slot) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(slot);
    const auto number = at % kBytes / sizeof(Slot);
    return reinterpret_cast<ReturnLink*>(at - at % kBytes) + number;
  }
  static Slot* slot_of(const ReturnLink* link) noexcept {
    const auto at = reinterpret_cast<std::uintptr_t>(link);
    const auto number = at % kBytes / sizeof(ReturnLink);
    return reinterpret_cast<Slot*>(at - at % kBytes) + number;
  }
};
static_assert(SlotChunk::kSlotsBegin / sizeof(Slot) * sizeof(ReturnLink) >= sizeof(SlotChunk));

/// All slots of one Receiver.
///
/// Threads: the polling thread. Cost of take and put: a load and a store; the newest comes first.
class SlotTable {
 public:
  /// Errors: no_memory - mmap(2) or madvise(2) refused; limit_reached - kReceiversMax.
  static Result<SlotTable> make(std::uint32_t count) noexcept;
  SlotTable(SlotTable&& other) noexcept;
  SlotTable& operator=(SlotTable&&) = delete;
  ~SlotTable();

  /// Before the first take().
  void set_core(QueueCore* core) noexcept {
    core_ = core;
    first_->core = core;
  }
  /// False in a forked child: the mapping reads as zeros there.
  bool in_its_process() const noexcept { return first_->core != nullptr; }

  std::uint32_t available() const noexcept { return free_count_ + fresh_count_; }
  /// Only with available() > 0.
  Slot* take() noexcept { return free_count_ != 0 ? free_[--free_count_] : take_fresh(); }
  /// The same for many: `top` such that top[-1], top[-2], ... are the next `count` to take, of
  /// which taken() says how many were. Only with available() >= count.
  Slot* const* next(std::uint32_t count) noexcept {
    if (free_count_ < count) refill(count);
    return free_ + free_count_;
  }
  void taken(std::uint32_t count) noexcept { free_count_ -= count; }
  void put(Slot* slot) noexcept { free_[free_count_++] = slot; }

 private:
  SlotTable() = default;
  Slot* take_fresh() noexcept;
  void refill(std::uint32_t count) noexcept;

  void* mapping_ = nullptr;
  std::uint64_t mapping_bytes_ = 0;
  volatile SlotChunk* first_ = nullptr;
  QueueCore* core_ = nullptr;
  Slot** free_ = nullptr;  // a stack, in the mapping too
  Slot* fresh_ = nullptr;  // slots from here on were never used: their pages are not touched yet
  std::uint32_t free_count_ = 0;
  std::uint32_t fresh_count_ = 0;
};

}  // namespace landfall::detail
