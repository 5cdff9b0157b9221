// SPDX-License-Identifier: Apache-2.0
#include "transport/slot.hpp"

#include <sys/mman.h>

#include <utility>

#include "landfall/base/units.hpp"

namespace landfall::detail {

Result<SlotTable> SlotTable::make(std::uint32_t count) noexcept {
  constexpr std::uint64_t kHead = sizeof(Slot);  // the state word has a cache line of its own
  SlotTable table;
  table.mapping_bytes_ = round_up(kHead + std::uint64_t{count} * sizeof(Slot), 4096);
  void* mapping = ::mmap(nullptr, table.mapping_bytes_, PROT_READ | PROT_WRITE,
                         MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapping == MAP_FAILED) return os_error("mmap", ReasonCode::out_of_memory);
  table.mapping_ = mapping;
  // Linux 4.14; only private anonymous memory can be wiped (madvise(2)).
  if (::madvise(mapping, table.mapping_bytes_, MADV_WIPEONFORK) != 0) {
    return os_error("madvise(MADV_WIPEONFORK)", ReasonCode::kernel_too_old);
  }
  table.state_ = static_cast<volatile std::uint64_t*>(mapping);
  *table.state_ = 1;
  table.slots_ = reinterpret_cast<Slot*>(static_cast<std::byte*>(mapping) + kHead);
  table.available_ = count;
  return table;
}

SlotTable::SlotTable(SlotTable&& other) noexcept
    : mapping_{std::exchange(other.mapping_, nullptr)},
      mapping_bytes_{other.mapping_bytes_},
      state_{other.state_},
      slots_{other.slots_},
      free_{other.free_},
      fresh_{other.fresh_},
      available_{other.available_} {}

SlotTable::~SlotTable() {
  if (mapping_ != nullptr) ::munmap(mapping_, mapping_bytes_);
}

}  // namespace landfall::detail
