// SPDX-License-Identifier: Apache-2.0
#include "transport/handles.hpp"

#include <sys/mman.h>

#include <algorithm>
#include <atomic>
#include <new>
#include <utility>

#include "landfall/base/limits.hpp"
#include "landfall/transport/buffer.hpp"

namespace landfall::detail {

namespace {

static_assert(sizeof(void*) == 8, "a handle keeps its serial above a pointer's 48 bits");
constexpr int kAddressBits = 48;

struct Range {
  std::uintptr_t first, end;
};

/// The slot tables that live, by address.
struct LiveTables {
  std::shared_mutex mutex;  // all zeros: unlocked
  std::atomic<bool> here{true};
  std::uint32_t count = 0;
  Range ranges[kReceiversMax];

  Range* after(std::uintptr_t at) noexcept {
    return std::upper_bound(ranges, ranges + count, at,
                            [](std::uintptr_t a, const Range& range) { return a < range.first; });
  }
};

std::atomic<std::uint64_t> g_refused{0};
void count_refused() noexcept {
  g_refused.fetch_add(1, std::memory_order_relaxed);
}

/// Null: no memory. Never freed: Buffers may be dropped while the process ends.
LiveTables* live_tables() noexcept {
  static LiveTables* const tables = []() -> LiveTables* {
    void* mapping = ::mmap(nullptr, sizeof(LiveTables), PROT_READ | PROT_WRITE,
                           MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (mapping == MAP_FAILED) return nullptr;
    if (::madvise(mapping, sizeof(LiveTables), MADV_WIPEONFORK) != 0) {
      ::munmap(mapping, sizeof(LiveTables));
      return nullptr;
    }
    return new (mapping) LiveTables;  // its ranges are not touched
  }();
  return tables;
}

/// A handle of the Slot that no other had before, until 65535 more were made.
std::uintptr_t handle_of(const Slot* slot) noexcept {
  static std::atomic<std::uint64_t> made{0};
  const std::uint64_t serial = 1 + made.fetch_add(1, std::memory_order_relaxed) % 0xffff;
  return reinterpret_cast<std::uintptr_t>(slot) | serial << kAddressBits;  // serial 0: never
}

ReturnLink* mark_of(std::uintptr_t handle) noexcept {
  constexpr std::uintptr_t kNoPointer = ~std::uintptr_t{0} << 32;
  return reinterpret_cast<ReturnLink*>(kNoPointer | handle >> kAddressBits << 3);
}

/// Where the handle says its Slot is, if that is a place for one. Under the lock.
Slot* place_of(LiveTables& tables, std::uintptr_t handle) noexcept {
  const std::uintptr_t at = handle & ((std::uintptr_t{1} << kAddressBits) - 1);
  const Range* range = tables.after(at);
  if (range == tables.ranges || at >= (--range)->end || at % sizeof(Slot) != 0 ||
      at % SlotChunk::kBytes < SlotChunk::kSlotsBegin) {
    return nullptr;
  }
  return reinterpret_cast<Slot*>(at);
}

}  // namespace

Result<void> add_slots(const SlotChunk* first, const SlotChunk* end) noexcept {
  LiveTables* const tables = live_tables();
  if (tables == nullptr) return Error{Errc::no_memory, "mmap", ReasonCode::out_of_memory};
  const Range range{reinterpret_cast<std::uintptr_t>(first), reinterpret_cast<std::uintptr_t>(end)};
  const std::unique_lock lock{tables->mutex};
  if (tables->count == kReceiversMax) {
    return Error{Errc::limit_reached, "Group::open"};
  }
  tables->here.store(true, std::memory_order_relaxed);
  Range* const place = tables->after(range.first);
  std::move_backward(place, tables->ranges + tables->count, tables->ranges + tables->count + 1);
  *place = range;
  ++tables->count;
  return {};
}

void remove_slots(const SlotChunk* first) noexcept {
  LiveTables* const tables = live_tables();
  if (tables == nullptr) return;
  const auto at = reinterpret_cast<std::uintptr_t>(first);
  const std::unique_lock lock{tables->mutex};
  Range* const place = tables->after(at);
  if (place == tables->ranges || (place - 1)->first != at) return;
  std::move(place, tables->ranges + tables->count, place - 1);
  --tables->count;
}

FoundHandle::FoundHandle(const void* handle) noexcept {
  if (handle == nullptr) return;
  if (LiveTables* const tables = live_tables(); tables != nullptr) {
    const auto value = reinterpret_cast<std::uintptr_t>(handle);
    lock_ = std::shared_lock{tables->mutex};
    Slot* const slot = place_of(*tables, value);
    if (slot != nullptr &&
        SlotChunk::link_of(slot)->next.load(std::memory_order_acquire) == mark_of(value))
      slot_ = slot;
  }
  if (slot_ == nullptr) count_refused();
}

std::uint64_t handles_refused() noexcept {
  return g_refused.load(std::memory_order_relaxed);
}

Errc handle_refusal() noexcept {
  const LiveTables* const tables = live_tables();
  return tables != nullptr && !tables->here.load(std::memory_order_relaxed)
             ? Errc::wrong_process
             : Errc::invalid_argument;
}

}  // namespace landfall::detail

namespace landfall {

using detail::FoundHandle;
using detail::mark_of;
using detail::ReturnLink;
using detail::Slot;
using detail::SlotChunk;

void* Buffer::into_handle() && noexcept {
  Slot* const slot = std::exchange(slot_, nullptr);
  if (slot == nullptr) return nullptr;
  const std::uintptr_t handle = detail::handle_of(slot);
  SlotChunk::link_of(slot)->next.store(mark_of(handle), std::memory_order_release);
  return reinterpret_cast<void*>(handle);
}

Buffer Buffer::from_handle(void* handle) noexcept {
  const FoundHandle found{handle};
  if (found.slot() == nullptr) return {};
  ReturnLink* mark = mark_of(reinterpret_cast<std::uintptr_t>(handle));
  const bool first = SlotChunk::link_of(found.slot())
                         ->next.compare_exchange_strong(mark, nullptr, std::memory_order_acq_rel,
                                                        std::memory_order_relaxed);
  if (!first) detail::count_refused();
  return Buffer{first ? found.slot() : nullptr};
}

}  // namespace landfall
