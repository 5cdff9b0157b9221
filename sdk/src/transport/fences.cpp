// SPDX-License-Identifier: Apache-2.0
// Buffers that go back when a device has done its work on them.
#include <poll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <new>
#include <thread>
#include <utility>

#include "transport/fence_core.hpp"
#include "transport/group_core.hpp"
#include "transport/queue_core.hpp"

namespace landfall {

Fence::Fence(const Fence& other) noexcept : core_{other.core_} {
  if (core_ != nullptr) core_->keep();
}
Fence::~Fence() {
  if (core_ != nullptr) core_->forget();
}

void Buffer::release_after(const Fence& fence) && noexcept {
  detail::Slot* const slot = std::exchange(slot_, nullptr);
  if (slot == nullptr) return;
  // Null in a forked child, which sees the slots wiped.
  if (detail::QueueCore* core = detail::SlotChunk::of(slot)->core; core != nullptr)
    core->give_after(slot, detail::FenceCore::of(fence));
}

namespace detail {

Result<Fence> FenceCore::record(const std::shared_ptr<RegionCore>& region, void* native_stream) {
  LANDFALL_TRY(landfall_fence * fence, region->record_fence(native_stream));
  auto* core = new (std::nothrow) FenceCore{region, fence};
  if (core != nullptr) return Fence{core};
  region->ops().fence_drop(fence);
  return Error{Errc::no_memory, "Group::fence", ReasonCode::out_of_memory};
}

bool FenceCore::has_passed() noexcept {
  if (passed_.load(std::memory_order_acquire)) return true;
  const std::int32_t done = region_->ops().fence_done(fence_);
  if (done == 0) return false;
  if (!passed_.exchange(true, std::memory_order_acq_rel) && done < 0) {
    Reason reason;
    reason.code = ReasonCode::device_lost;
    region_->context()->event(reason);
  }
  return true;
}

void FenceCore::wait() noexcept {
  if (has_passed()) return;
  const Fd event{::eventfd(0, EFD_CLOEXEC)};
  const bool armed = event && arm(event.get());
  while (!has_passed()) {
    pollfd one{.fd = event.get(), .events = POLLIN, .revents = 0};
    if (!armed || ::poll(&one, 1, -1) < 0) std::this_thread::yield();
  }
}

void QueueCore::give_after(Slot* slot, FenceCore& fence) noexcept {
  fence.keep();
  slot->fence = &fence;
  const int wake_fd = wake_fd_.get();
  bool wakes = false;
  Slot* head = fenced_new_.load(std::memory_order_acquire);
  do {
    if (head == kNobodyPolls) {
      if (wakes) returns_.wake_done();
      fence.wait();
      return give_passed(slot);
    }
    slot->next = head;
    // The slot may be reclaimed, and the queue gone, right after the exchange: who wakes is
    // announced before.
    if (!wakes && head == nullptr) returns_.wake_begins();
    wakes = wakes || head == nullptr;
  } while (!fenced_new_.compare_exchange_weak(head, slot, std::memory_order_seq_cst,
                                              std::memory_order_acquire));
  if (!wakes) return;
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd, &one, sizeof one);
  returns_.wake_done();
}

void QueueCore::give_passed(Slot* slot) noexcept {
  slot->fence->forget();
  give(slot);
}

void QueueCore::take_passed() noexcept {
  for (Slot* slot = fenced_new_.exchange(nullptr, std::memory_order_acq_rel); slot != nullptr;) {
    Slot* const next = slot->next;
    slot->flags &= static_cast<std::uint8_t>(~kSlotFenceArmed & 63u);
    slot->next = std::exchange(fenced_, slot);
    slot = next;
  }
  const FenceCore* waiting = nullptr;  // Buffers of one fence mostly come together
  for (Slot** place = &fenced_; *place != nullptr;) {
    Slot* const slot = *place;
    if (slot->fence == waiting || !slot->fence->has_passed()) {
      waiting = slot->fence;
      place = &slot->next;
      continue;
    }
    *place = slot->next;
    give_passed(slot);
  }
}

bool QueueCore::arm_fences() noexcept {
  if (fenced_new_.load(std::memory_order_seq_cst) != nullptr) return false;
  const FenceCore* armed = nullptr;
  for (Slot* slot = fenced_; slot != nullptr; slot = slot->next) {
    if (slot->fence != armed) {
      if ((slot->flags & kSlotFenceArmed) == 0 && !slot->fence->arm(wake_fd_.get())) return false;
      // The wake-up of one that passed since it was looked at may have been read already.
      if (slot->fence->has_passed()) return false;
    }
    slot->flags |= kSlotFenceArmed;
    armed = slot->fence;
  }
  return true;
}

void QueueCore::wait_for_fences() noexcept {
  Slot* slot = fenced_new_.exchange(kNobodyPolls, std::memory_order_acq_rel);
  for (Slot* list : {slot, std::exchange(fenced_, nullptr)}) {
    while (list != nullptr) {
      list->fence->wait();
      give_passed(std::exchange(list, list->next));
    }
  }
}

}  // namespace detail
}  // namespace landfall
