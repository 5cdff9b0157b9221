// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <thread>
#include <utility>

#include "base/membarrier.hpp"
#include "transport/slot.hpp"

namespace landfall::detail {

/// What tells a thread from all others that live: pthread_self(3) for the price of a load. One byte
/// of what the C library keeps for libraries that are loaded later (initial-exec).
[[gnu::tls_model("initial-exec")]] inline constinit thread_local char t_place = 0;

/// Where dropped Buffers wait for their Receiver: a lock-free stack that any thread pushes on and
/// the polling thread takes whole, newest first. Marks ride in the head's low bits, so that a push
/// learns of them in the same instant:
///
///   asleep    the poller sleeps and wants to know of returns: the first push clears the mark and
///             wakes it
///   stopped   nobody polls any more
///   orphaned  the Receiver is gone: pushes are counted, the last one closes the queue
///
/// What the polling thread drops itself goes to a list of its own, without a locked instruction
/// (push_here()): half of what a drop costs, on some processors.
///
/// After its compare-and-swap a pusher touches nothing of the queue any more (it may be gone), but
/// for two marks: a waker announces itself before (wakers_), and an orphan's pusher is still
/// counted as out.
class ReturnStack {
 public:
  enum class Pushed : std::uint8_t {
    quietly,      // nobody waits
    wake_poller,  // the caller writes the wake-up, then calls wake_done()
    orphaned,     // the caller calls orphan_returned()
  };

  /// Before the first push_here() of this thread, which polls from now on.
  void set_poller() noexcept {
    if (can_fence_all_threads()) poller_.store(&t_place, std::memory_order_relaxed);
  }
  /// False: this is not the polling thread, or there is a mark to be seen to: push() it.
  bool push_here(Slot* slot) noexcept {
    if (poller_.load(std::memory_order_relaxed) != &t_place) return false;
    // Against stop(): either it sees us busy and waits, or we see its mark.
    busy_.store(true, std::memory_order_relaxed);
    std::atomic_signal_fence(std::memory_order_seq_cst);
    const bool unmarked = (head_.load(std::memory_order_acquire) & kMarks) == 0;
    if (unmarked) {
      ReturnLink* const link = SlotChunk::link_of(slot);
      link->next.store(here_, std::memory_order_relaxed);
      here_ = link;
    }
    busy_.store(false, std::memory_order_release);
    return unmarked;
  }
  /// The polling thread, or whoever has called stop(): what came by push_here(), newest first.
  ReturnLink* take_here() noexcept { return std::exchange(here_, nullptr); }

  /// Any thread; nobody polls any more. What comes from now on comes by push().
  void stop() noexcept {
    head_.fetch_or(kStopped, std::memory_order_seq_cst);
    const char* const poller = poller_.load(std::memory_order_relaxed);
    if (poller == nullptr || poller == &t_place) return;
    fence_all_threads();
    while (busy_.load(std::memory_order_acquire)) std::this_thread::yield();
  }

  Pushed push(Slot* slot) noexcept {
    ReturnLink* const link = SlotChunk::link_of(slot);
    std::uintptr_t head = head_.load(std::memory_order_acquire);
    for (;;) {
      link->next.store(pointer(head), std::memory_order_relaxed);
      const bool wake = (head & kAsleep) != 0;
      if (wake) wakers_.fetch_add(1, std::memory_order_relaxed);
      // Sequentially consistent, against sleep(): either the push sees the mark or the sleeper sees
      // the push.
      if (head_.compare_exchange_weak(head, word(link) | (head & kEnded), std::memory_order_seq_cst,
                                      std::memory_order_acquire)) {
        if (wake) return Pushed::wake_poller;
        return (head & kOrphaned) != 0 ? Pushed::orphaned : Pushed::quietly;
      }
      if (wake) wakers_.fetch_sub(1, std::memory_order_release);
    }
  }
  /// Around a wake-up that is written for another reason.
  void wake_begins() noexcept { wakers_.fetch_add(1, std::memory_order_relaxed); }
  void wake_done() noexcept { wakers_.fetch_sub(1, std::memory_order_release); }

  bool empty() const noexcept {
    return here_ == nullptr && pointer(head_.load(std::memory_order_relaxed)) == nullptr;
  }
  /// All that came by push(), newest first, SlotChunk::slot_of() each. Clears the mark asleep,
  /// keeps the others.
  ReturnLink* take_all() noexcept {
    const std::uintptr_t head = head_.load(std::memory_order_relaxed);
    if ((head & ~kEnded) == 0) return nullptr;
    return pointer(head_.exchange(head & kEnded, std::memory_order_acq_rel));
  }
  /// Marks the poller asleep. False: something has come back, do not sleep.
  bool sleep() noexcept {
    if (here_ != nullptr) return false;
    std::uintptr_t empty = 0;
    return head_.compare_exchange_strong(empty, kAsleep, std::memory_order_seq_cst) ||
           empty == kAsleep;
  }

  /// After stop(): the Receiver is gone. Answers what has come back until now; what comes later is
  /// counted.
  ReturnLink* orphan() noexcept {
    return pointer(head_.exchange(kEnded, std::memory_order_acq_rel));
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
  static constexpr std::uintptr_t kStopped = 4;
  static constexpr std::uintptr_t kEnded = kOrphaned | kStopped;  // what stays
  static constexpr std::uintptr_t kMarks = kEnded | kAsleep;
  static_assert(alignof(ReturnLink) > kMarks);
  static ReturnLink* pointer(std::uintptr_t head) noexcept {
    return reinterpret_cast<ReturnLink*>(head & ~kMarks);
  }
  static std::uintptr_t word(ReturnLink* link) noexcept {
    return reinterpret_cast<std::uintptr_t>(link);
  }

  alignas(64) std::atomic<std::uintptr_t> head_{0};
  std::atomic<const char*> poller_{nullptr};  // null: push_here() takes nothing
  alignas(64) ReturnLink* here_ = nullptr;
  std::atomic<bool> busy_{false};  // the polling thread is in push_here()
  alignas(64) std::atomic<std::uint32_t> wakers_{0};
  std::atomic<std::int64_t> out_{0};
};

}  // namespace landfall::detail
