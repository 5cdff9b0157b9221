// SPDX-License-Identifier: Apache-2.0
#include "transport/slot.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <utility>

#include "landfall/base/units.hpp"
#include "transport/handles.hpp"

namespace landfall::detail {

Result<SlotTable> SlotTable::make(std::uint32_t count) noexcept {
  SlotTable table;
  const std::uint64_t chunks = (count + std::uint64_t{SlotChunk::kSlots} - 1) / SlotChunk::kSlots;
  const std::uint64_t chunk_bytes = chunks * SlotChunk::kBytes;
  const std::uint64_t free_bytes = round_up(count * sizeof(void*), 4096);
  table.mapping_bytes_ = chunk_bytes + free_bytes + SlotChunk::kBytes;  // to align the first chunk
  void* mapping = ::mmap(nullptr, table.mapping_bytes_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return os_error("mmap", ReasonCode::out_of_memory);
  table.mapping_ = mapping;
  // Linux 4.14; only private anonymous memory can be wiped (madvise(2)).
  if (::madvise(mapping, table.mapping_bytes_, MADV_WIPEONFORK) != 0) {
    return os_error("madvise(MADV_WIPEONFORK)", ReasonCode::kernel_too_old);
  }
  const std::uint64_t first =
      round_up(reinterpret_cast<std::uintptr_t>(mapping), SlotChunk::kBytes);
  table.first_ = reinterpret_cast<SlotChunk*>(first);
  // The first chunk's head is written by set_core(), before other threads read it.
  table.fresh_ = reinterpret_cast<Slot*>(first + SlotChunk::kSlotsBegin);
  table.free_ = reinterpret_cast<Slot**>(first + chunk_bytes);
  table.fresh_count_ = count;
  LANDFALL_CHECK(add_slots(reinterpret_cast<const SlotChunk*>(first),
                           reinterpret_cast<const SlotChunk*>(first + chunk_bytes)));
  return table;
}

Slot* SlotTable::take_fresh() noexcept {
  --fresh_count_;
  if (reinterpret_cast<std::uintptr_t>(fresh_) % SlotChunk::kBytes == 0) {
    SlotChunk::of(fresh_)->core = core_;
    fresh_ += SlotChunk::kSlotsBegin / sizeof(Slot);
  }
  return fresh_++;
}

/// Puts fresh ones under those that were used before.
void SlotTable::refill(std::uint32_t count) noexcept {
  const std::uint32_t more = count - free_count_;
  std::copy_backward(free_, free_ + free_count_, free_ + count);
  for (std::uint32_t i = more; i > 0; --i) free_[i - 1] = take_fresh();
  free_count_ = count;
}

SlotTable::SlotTable(SlotTable&& other) noexcept
    : mapping_{std::exchange(other.mapping_, nullptr)},
      mapping_bytes_{other.mapping_bytes_},
      first_{other.first_},
      core_{other.core_},
      free_{other.free_},
      fresh_{other.fresh_},
      free_count_{other.free_count_},
      fresh_count_{other.fresh_count_} {}

SlotTable::~SlotTable() {
  if (mapping_ == nullptr) return;
  remove_slots(const_cast<const SlotChunk*>(first_));
  ::munmap(mapping_, mapping_bytes_);
}

}  // namespace landfall::detail
