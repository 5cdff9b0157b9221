// SPDX-License-Identifier: Apache-2.0
#include "tcp/slots.hpp"

#include <algorithm>
#include <bit>
#include <new>

namespace landfall::tcp {
namespace {

constexpr std::uint32_t kDefaultSlot = 64u << 10;
// Fewer slots would make every held extent a stall.
constexpr std::uint64_t kSlotsWanted = 16;

std::uint32_t choose_slot_bytes(std::uint64_t slice_length, std::uint32_t asked,
                                std::uint32_t smallest, std::uint32_t largest) {
  std::uint32_t bytes =
      std::bit_floor(std::clamp(asked == 0 ? kDefaultSlot : asked, smallest, largest));
  while (bytes > smallest && slice_length / bytes < kSlotsWanted) bytes /= 2;
  return bytes;
}

}  // namespace

SlotPool::SlotPool(std::uint64_t slice_offset, std::uint64_t slice_length, std::uint32_t slot_bytes)
    : slice_offset_{slice_offset},
      slot_bytes_{choose_slot_bytes(slice_length, slot_bytes, kSmallestSlot, kLargestSlot)},
      words_per_slot_{slot_bytes_ / kSmallestCell / 64} {
  const auto count =
      static_cast<std::uint32_t>(std::min<std::uint64_t>(slice_length / slot_bytes_, kNone - 1));
  states_.resize(count);
  free_.resize(count);
  for (std::uint32_t i = 0; i < count; ++i) free_[i] = count - 1 - i;
  const std::size_t words = std::max<std::size_t>(std::size_t{count} * words_per_slot_, 1);
  maps_.reset(static_cast<std::uint64_t*>(std::calloc(words, sizeof(std::uint64_t))));
  if (!maps_) throw std::bad_alloc{};
  lowest_.fill(count);
}

std::size_t SlotPool::class_of(std::uint32_t length) noexcept {
  std::size_t cell_class = 0;
  while (cell_bytes(cell_class) < length) ++cell_class;
  return cell_class;
}

SlotPool::Place SlotPool::take_cell(std::uint32_t length) noexcept {
  const std::size_t cell_class = class_of(length);
  std::uint32_t& slot = lowest_[cell_class];
  while (slot < slots() &&
         (states_[slot].cell_class != cell_class || states_[slot].free_cells == 0))
    ++slot;
  if (slot == slots()) return {kNone, 0, 0};
  std::uint64_t* words = cell_map(slot);
  std::uint32_t word = 0;
  while (words[word] == 0) ++word;
  const auto bit = static_cast<std::uint32_t>(std::countr_zero(words[word]));
  words[word] &= words[word] - 1;
  --states_[slot].free_cells;
  return cell(slot, cell_class, word * 64 + bit);
}

SlotPool::Place SlotPool::carve(std::uint32_t slot, std::uint32_t length) noexcept {
  const std::size_t cell_class = class_of(length);
  const std::uint32_t cells = cells_per_slot(cell_class);
  State& state = states_[slot];
  state.cell_class = static_cast<std::uint8_t>(cell_class);
  state.free_cells = cells - 1;
  std::uint64_t* words = cell_map(slot);
  for (std::uint32_t i = 0; i < (cells + 63) / 64; ++i) {
    const std::uint32_t bits = std::min<std::uint32_t>(cells - i * 64, 64);
    words[i] = bits == 64 ? ~std::uint64_t{0} : (std::uint64_t{1} << bits) - 1;
  }
  words[0] &= ~std::uint64_t{1};
  lowest_[cell_class] = std::min(lowest_[cell_class], slot);
  ++carved_;
  return cell(slot, cell_class, 0);
}

std::uint32_t SlotPool::give_back(std::uint32_t slot, std::uint64_t offset) noexcept {
  State& state = states_[slot];
  if (state.cell_class == kWhole) {
    put(slot);
    return slot_bytes_;
  }
  const std::size_t cell_class = state.cell_class;
  const auto index =
      static_cast<std::uint32_t>((offset - offset_of(slot)) / cell_bytes(cell_class));
  if (++state.free_cells == cells_per_slot(cell_class)) {
    state.cell_class = kWhole;
    --carved_;
    put(slot);
  } else {
    cell_map(slot)[index / 64] |= std::uint64_t{1} << (index % 64);
    lowest_[cell_class] = std::min(lowest_[cell_class], slot);
  }
  return cell_bytes(cell_class);
}

}  // namespace landfall::tcp
