// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <memory>
#include <vector>

namespace landfall::tcp {

/// Cuts a slice of the region into slots of one size, and some slots further into cells for small
/// extents, so that a byte does not hold back a slot.
///
///     slice   | slot 0 | slot 1 | slot 2 | ...          a slot is free, out, or carved
///     carved  | cell | cell | cell | ... |              cells of one class: 64, 256, 1 Ki, ...
///
/// A carved slot is free again when its last cell is back. All bookkeeping lies outside the region:
/// the application may write to it.
///
/// Threads: one at a time. Cost: no allocation after make().
class SlotPool {
 public:
  static constexpr std::uint32_t kNone = 0xffffffffu;
  static constexpr std::uint32_t kSmallestCell = 64;
  static constexpr std::uint32_t kSmallestSlot = 4096;

  /// One extent: a whole slot or a cell of one.
  struct Place {
    std::uint32_t slot;
    std::uint32_t charge_bytes;  // of the slot or the cell
    std::uint64_t offset;        // in the region
  };

  /// Slots of the largest power of two that is at most `slot_bytes` (0: 64 KiB), halved until the
  /// slice has 16 of them or they are as small as they get. Throws std::bad_alloc.
  SlotPool(std::uint64_t slice_offset, std::uint64_t slice_length, std::uint32_t slot_bytes);

  std::uint32_t slot_bytes() const noexcept { return slot_bytes_; }
  std::uint32_t slots() const noexcept { return static_cast<std::uint32_t>(states_.size()); }
  std::uint32_t free_slots() const noexcept { return static_cast<std::uint32_t>(free_.size()); }
  std::uint32_t carved_slots() const noexcept { return carved_; }
  std::uint64_t offset_of(std::uint32_t slot) const noexcept {
    return slice_offset_ + std::uint64_t{slot} * slot_bytes_;
  }

  /// The slot that came back last: its bytes are the likeliest to be in the cache. At least one
  /// must be free.
  std::uint32_t take() noexcept {
    const std::uint32_t slot = free_.back();
    free_.pop_back();
    return slot;
  }
  void put(std::uint32_t slot) noexcept { free_.push_back(slot); }
  Place whole(std::uint32_t slot) const noexcept { return {slot, slot_bytes_, offset_of(slot)}; }

  /// May an extent of `length` live in a cell? Above a quarter of a slot it keeps the slot, which
  /// then holds at most four times its bytes.
  bool is_small(std::uint32_t length) const noexcept { return length <= slot_bytes_ / 4; }
  /// A free cell for a small extent in a slot that is carved already; slot kNone: there is none.
  Place take_cell(std::uint32_t length) noexcept;
  /// Carves a slot that is out and begins with a small extent: its first cell holds it already.
  Place carve(std::uint32_t slot, std::uint32_t length) noexcept;

  /// An extent is back; answers its charge.
  std::uint32_t give_back(std::uint32_t slot, std::uint64_t offset) noexcept;

 private:
  static constexpr std::size_t kClasses = 10;  // 64 B << 18 = 16 MiB: more than half of any slot
  static constexpr std::uint8_t kWhole = 0xff;
  static constexpr std::uint32_t kLargestSlot = 32u << 20;

  struct State {
    std::uint32_t free_cells = 0;
    std::uint8_t cell_class = kWhole;
  };
  struct Free {
    void operator()(std::uint64_t* words) const noexcept { std::free(words); }
  };

  static std::size_t class_of(std::uint32_t length) noexcept;
  static constexpr std::uint32_t cell_bytes(std::size_t cell_class) noexcept {
    return kSmallestCell << (2 * cell_class);
  }
  std::uint32_t cells_per_slot(std::size_t cell_class) const noexcept {
    return slot_bytes_ / cell_bytes(cell_class);
  }
  std::uint64_t* cell_map(std::uint32_t slot) const noexcept {
    return maps_.get() + std::size_t{slot} * words_per_slot_;
  }
  Place cell(std::uint32_t slot, std::size_t cell_class, std::uint32_t index) const noexcept {
    const std::uint32_t bytes = cell_bytes(cell_class);
    return {slot, bytes, offset_of(slot) + std::uint64_t{index} * bytes};
  }

  std::uint64_t slice_offset_;
  std::uint32_t slot_bytes_;
  std::uint32_t carved_ = 0;
  std::uint32_t words_per_slot_;
  std::vector<std::uint32_t> free_;  // a stack
  std::vector<State> states_;
  // One bit per possible cell, set: free. Zero pages until a slot is carved.
  std::unique_ptr<std::uint64_t[], Free> maps_;
  // No slot below this has a free cell of the class: cells are taken from the lowest slot first, so
  // that the higher ones empty.
  std::array<std::uint32_t, kClasses> lowest_{};
};

}  // namespace landfall::tcp
