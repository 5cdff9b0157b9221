// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>

#include "transport/slot.hpp"

namespace landfall::detail {

/// Where dropped Buffers wait for their Receiver: a lock-free stack that any thread pushes on and
/// the polling thread takes whole, newest first. Two marks ride in the head's low bits, so that a
/// push learns of them in the same instant:
///
///   asleep    the poller sleeps and wants to know of returns: the first push clears the mark and
///   wakes it orphaned  the Receiver is gone: pushes are counted, the last one closes the queue
///
/// After its compare-and-swap a pusher touches nothing of the queue any more (it may be gone), but
/// for the two marks: a waker announces itself before (wakers_), and an orphan's pusher is still
/// counted as out.
class ReturnStack {
 public:
  enum class Pushed : std::uint8_t {
    quietly,      // nobody waits
    wake_poller,  // the caller writes the wake-up, then calls wake_done()
    orphaned,     // the caller calls orphan_returned()
  };

  Pushed push(Slot* slot) noexcept {
    ReturnLink* const link = SlotChunk::link_of(slot);
    std::uintptr_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      link->next.store(pointer(head), std::memory_order_relaxed);
      const bool wake = (head & kAsleep) != 0;
      if (wake) wakers_.fetch_add(1, std::memory_order_relaxed);
      // Sequentially consistent, against sleep(): either the push sees the mark or the sleeper sees
      // the push.
      if (head_.compare_exchange_weak(head, word(link) | (head & kOrphaned),
                                      std::memory_order_seq_cst, std::memory_order_acquire)) {
        if (wake) return Pushed::wake_poller;
        return (head & kOrphaned) != 0 ? Pushed::orphaned : Pushed::quietly;
      }
      if (wake) wakers_.fetch_sub(1, std::memory_order_release);
    }
  }
  /// Around a wake-up that is written for another reason.
  void wake_begins() noexcept { wakers_.fetch_add(1, std::memory_order_relaxed); }
  void wake_done() noexcept { wakers_.fetch_sub(1, std::memory_order_release); }

  bool empty() const noexcept { return pointer(head_.load(std::memory_order_relaxed)) == nullptr; }
  /// All of them, newest first, SlotChunk::slot_of() each. Clears the mark asleep, keeps orphaned.
  ReturnLink* take_all() noexcept {
    std::uintptr_t head = head_.load(std::memory_order_relaxed);
    if (head == 0) return nullptr;
    if ((head & kOrphaned) != 0)
      return pointer(head_.exchange(kOrphaned, std::memory_order_acq_rel));
    return pointer(head_.exchange(0, std::memory_order_acq_rel));
  }
  /// Marks the poller asleep. False: something has come back, do not sleep.
  bool sleep() noexcept {
    std::uintptr_t empty = 0;
    return head_.compare_exchange_strong(empty, kAsleep, std::memory_order_seq_cst) ||
           empty == kAsleep;
  }

  /// The Receiver is gone. Answers what has come back until now; what comes later is counted.
  ReturnLink* orphan() noexcept {
    return pointer(head_.exchange(kOrphaned, std::memory_order_acq_rel));
  }
  /// After orphan() and with what it answered put away: this many are still out. True: none is,
  /// close the queue now.
  bool orphan_outstanding(std::int64_t out) noexcept {
    return out_.fetch_add(out, std::memory_order_acq_rel) + out == 0;
  }
  /// A pusher that was told orphaned. True: it was the last one, close the queue.
  bool orphan_returned() noexcept { return out_.fetch_sub(1, std::memory_order_acq_rel) - 1 == 0; }

  /// Before the queue is freed: pushers that are still writing a wake-up.
  bool wakers_busy() const noexcept { return wakers_.load(std::memory_order_acquire) != 0; }

 private:
  static constexpr std::uintptr_t kOrphaned = 1;
  static constexpr std::uintptr_t kAsleep = 2;
  static ReturnLink* pointer(std::uintptr_t head) noexcept {
    return reinterpret_cast<ReturnLink*>(head & ~(kOrphaned | kAsleep));
  }
  static std::uintptr_t word(ReturnLink* link) noexcept {
    return reinterpret_cast<std::uintptr_t>(link);
  }

  alignas(64) std::atomic<std::uintptr_t> head_{0};
  alignas(64) std::atomic<std::uint32_t> wakers_{0};
  std::atomic<std::int64_t> out_{0};
};

}  // namespace landfall::detail
