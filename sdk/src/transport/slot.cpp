// SPDX-License-Identifier: Apache-2.0
#include "transport/slot.hpp"

#include <sys/mman.h>

#include <utility>

#include "landfall/base/units.hpp"

namespace landfall::detail {

Result<SlotTable> SlotTable::make(std::uint32_t count) noexcept {
  SlotTable table;
  const std::uint64_t chunks = (count + std::uint64_t{SlotChunk::kSlots} - 1) / SlotChunk::kSlots;
  table.mapping_bytes_ = (chunks + 1) * SlotChunk::kBytes;  // one more, to align the first
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
  table.fresh_ = reinterpret_cast<Slot*>(first);
  table.available_ = count;
  return table;
}

Slot* SlotTable::take_fresh() noexcept {
  if (reinterpret_cast<std::uintptr_t>(fresh_) % SlotChunk::kBytes == 0) {
    SlotChunk::of(fresh_)->core = core_;
    fresh_ += SlotChunk::kSlotsBegin / sizeof(Slot);
  }
  return fresh_++;
}

SlotTable::SlotTable(SlotTable&& other) noexcept
    : mapping_{std::exchange(other.mapping_, nullptr)},
      mapping_bytes_{other.mapping_bytes_},
      first_{other.first_},
      core_{other.core_},
      free_{other.free_},
      fresh_{other.fresh_},
      available_{other.available_} {}

SlotTable::~SlotTable() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

}  // namespace landfall::detail
