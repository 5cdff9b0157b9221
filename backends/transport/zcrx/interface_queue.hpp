// SPDX-License-Identifier: Apache-2.0
// A receive queue of an interface that io_uring fills from an area, and the ring by which its pages
// go back.
#pragma once
#include <sys/types.h>

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <memory>
#include <mutex>

#include "landfall/base/fd.hpp"
#include "landfall/uapi/zcrx.hpp"
#include "uring/ring.hpp"

namespace landfall::zcrx {

namespace uapi = landfall::uapi::zcrx;

/// The ring of extents that go back: ours to write, the kernel's to read when the NIC wants pages.
/// Returning costs a store, and one for all that publish() shows.
///
/// Threads: one at a time.
class RefillRing {
 public:
  RefillRing() = default;
  RefillRing(std::uint32_t* head, std::uint32_t* tail, uapi::Rqe* entries,
             std::uint32_t count) noexcept
      : head_{head}, shared_tail_{tail}, entries_{entries}, mask_{count - 1} {}

  /// `off`: as the kernel told it, with the area's token. What does not fit waits here.
  void add(std::uint64_t off, std::uint32_t length) {
    if (late_.empty() && put(off, length)) return;
    late_.push_back({off, length, 0});
  }
  /// Pages that lie one behind another, the last one first.
  void add_run(std::uint64_t at, std::uint32_t pages, std::uint32_t page_bytes) {
    while (pages-- != 0) add(at + std::uint64_t{pages} * page_bytes, page_bytes);
  }
  /// Shows the kernel what was added.
  void publish() noexcept {
    while (!late_.empty() && put(late_.front().off, late_.front().len)) late_.pop_front();
    if (published_ == tail_) return;
    __atomic_store_n(shared_tail_, tail_, __ATOMIC_RELEASE);
    published_ = tail_;
  }
  /// The kernel has not yet read all that it was shown.
  bool has_unread() const noexcept {
    return __atomic_load_n(head_, __ATOMIC_ACQUIRE) != published_;
  }
  /// Some wait because the kernel has not read those before them.
  bool is_full() const noexcept { return !late_.empty(); }

 private:
  bool put(std::uint64_t off, std::uint32_t length) noexcept {
    if (tail_ - seen_head_ > mask_) {
      seen_head_ = __atomic_load_n(head_, __ATOMIC_ACQUIRE);
      if (tail_ - seen_head_ > mask_) return false;
    }
    entries_[tail_++ & mask_] = {off, length, 0};
    return true;
  }

  std::uint32_t* head_ = nullptr;
  std::uint32_t* shared_tail_ = nullptr;
  uapi::Rqe* entries_ = nullptr;
  std::uint32_t mask_ = 0;
  std::uint32_t tail_ = 0;
  std::uint32_t published_ = 0;
  std::uint32_t seen_head_ = 0;
  std::deque<uapi::Rqe> late_;
};

/// What this kernel's zero-copy receive can do; found out by asking it.
struct Features {
  bool no_device = false, rx_page_size = false, events = false, flush = false, share = false;
};
/// Errors: not_supported - kernel_too_old (Linux 6.15), io_uring_*; permission_denied -
/// not_permitted (CAP_NET_ADMIN in the initial user namespace, io_register_zcrx).
landfall_errc probe_kernel(const landfall_host* host, Features* ret_features,
                           landfall_why* reterr_why);

/// Memory of a mapping, which knows its size.
class Unmap {
 public:
  explicit Unmap(std::size_t bytes = 0) noexcept : bytes_{bytes} {}
  std::size_t bytes() const noexcept { return bytes_; }
  void operator()(void* at) const noexcept;

 private:
  std::size_t bytes_;
};

/// One queue that a ring registered, from which other rings may receive too. It ends with the last
/// of these rings, once unshare() was called.
///
/// Threads: its ring's, before that is enabled any; import_into(), refill() and copies(): any.
class InterfaceQueue {
 public:
  struct Setup {
    const landfall_host* host = nullptr;
    std::uint32_t interface_index = 0, queue_id = 0;
    bool no_device = false;
    void* area = nullptr;  // or a dma-buf:
    int dmabuf_fd = -1;
    std::uint64_t area_bytes = 0;
    std::uint64_t area_offset = 0;  // in the Region
    bool share = false;             // other rings may import it
    std::uint32_t refill_entries = 0, rx_page_bytes = 0;
    std::uint64_t event_user_data = 0;
    Features features;
  };
  InterfaceQueue() = default;
  InterfaceQueue(const InterfaceQueue&) = delete;
  InterfaceQueue& operator=(const InterfaceQueue&) = delete;

  /// Errors: as the kernel refuses: queue_busy, header_split_off, page_size_refused,
  /// memlock_limit...
  landfall_errc open(uring::Ring& ring, const Setup& setup, landfall_why* why);

  std::uint32_t id() const noexcept { return id_; }
  std::uint64_t area_offset() const noexcept { return area_offset_; }

  /// The refill ring, nobody else's while this object is there.
  class Refill {
   public:
    RefillRing* operator->() const noexcept { return ring_; }

   private:
    friend class InterfaceQueue;
    Refill(RefillRing* ring, std::unique_lock<std::mutex> lock) noexcept
        : ring_{ring}, lock_{std::move(lock)} {}
    RefillRing* ring_;
    std::unique_lock<std::mutex> lock_;
  };
  /// Takes a lock where the queue may be shared.
  Refill refill() noexcept {
    return {&refill_,
            exported_once_ ? std::unique_lock{refill_lock_} : std::unique_lock<std::mutex>{}};
  }

  /// Makes the queue one of `ring` as well. Its id there, or -errno: -EBADF: it is not shared.
  int import_into(uring::Ring& ring) noexcept;
  /// No ring can import it any more.
  void unshare() noexcept;

  /// Makes the kernel read the refill ring now: one system call, where it is full.
  void flush(uring::Ring& ring) noexcept;
  /// Another completion may tell of this event (uapi::kEvent...).
  void arm_event(uring::Ring& ring, std::uint32_t event) noexcept;
  /// Is counted what the kernel copies into the area? Two rings at once do not count right
  /// (zcrx_stat_add is no atomic addition, Linux 7.3).
  bool counts_copies() const noexcept {
    return stats_ != nullptr && !imported_.load(std::memory_order_relaxed);
  }
  std::uint64_t copies() const noexcept {
    return stats_ == nullptr ? 0 : __atomic_load_n(&stats_->copy_count, __ATOMIC_RELAXED);
  }

 private:
  landfall_errc map_ring(const Setup& setup, std::uint32_t entries, landfall_why* why);
  landfall_errc share(uring::Ring& ring, landfall_why* why);

  std::unique_ptr<void, Unmap> memory_;  // of the refill ring
  RefillRing refill_;
  std::mutex refill_lock_, export_lock_;
  Fd exported_;  // guarded by export_lock_
  bool exported_once_ = false;
  std::atomic<bool> imported_{false};
  std::uint32_t id_ = 0;
  std::uint64_t area_offset_ = 0;
  bool can_flush_ = false;
  const uapi::Stats* stats_ = nullptr;
};

}  // namespace landfall::zcrx
