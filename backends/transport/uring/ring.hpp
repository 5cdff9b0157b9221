// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"
#include "uring/abi.hpp"

namespace landfall::uring {

/// At most an hour.
__kernel_timespec timespec_of(std::uint64_t ns);

/// One io_uring. Made disabled, so that any thread may make it and register what it needs;
/// enable() binds it to its thread (IORING_SETUP_SINGLE_ISSUER).
///
/// Every call into the kernel asks the fault seam first. Calls answer 0 or more, or -errno.
class Ring {
 public:
  Ring() = default;
  ~Ring() { close(); }
  Ring(const Ring&) = delete;
  Ring& operator=(const Ring&) = delete;

  /// `flags`: IORING_SETUP_*, beside those that every transport here wants. Errors: why says what
  /// this kernel or process lacks.
  landfall_errc open(const landfall_host* host, std::uint32_t entries, std::uint32_t completions,
                     std::uint32_t flags, landfall_why* why);
  bool is_open() const noexcept { return open_; }
  std::uint32_t features() const noexcept { return ring_.features; }

  int enable() noexcept;
  /// A place for a request; submits first where the ring is full. nullptr: that failed.
  io_uring_sqe* request() noexcept;
  bool has_unsubmitted() noexcept { return io_uring_sq_ready(&ring_) != 0; }
  /// Has the kernel work that waits for this thread to enter it?
  bool kernel_wants_entry() const noexcept {
    return (IO_URING_READ_ONCE(*ring_.sq.kflags) & (IORING_SQ_TASKRUN | IORING_SQ_CQ_OVERFLOW)) !=
           0;
  }
  /// Submits, and does the work that waits.
  int enter() noexcept;
  /// Submits, and sleeps until there are `count` completions or the time is over (-ETIME: and there
  /// is none).
  int enter_and_wait(unsigned count, std::uint64_t timeout_ns) noexcept;

  /// Can it gather() (Linux 6.12)?
  bool gathers() const noexcept { return (ring_.features & kFeatureMinTimeout) != 0; }
  /// Submits, does the work that waits, and sleeps until there are `count` completions, or until
  /// `gather_us` microseconds have passed and there is one, or until the time is over (-ETIME).
  int enter_and_gather(unsigned count, std::uint32_t gather_us, std::uint64_t timeout_ns) noexcept;

  unsigned completions() noexcept { return io_uring_cq_ready(&ring_); }
  bool has_completion() noexcept { return completions() != 0; }
  /// The oldest completion; nullptr: none. Valid until done_with_one().
  const io_uring_cqe* peek() noexcept {
    io_uring_cqe* oldest = nullptr;
    return io_uring_peek_cqe(&ring_, &oldest) == 0 ? oldest : nullptr;
  }
  void done_with_one() noexcept { io_uring_cq_advance(&ring_, 1); }
  /// Takes completions, the oldest first, as long as `takes(cqe)` says that it has; answers how
  /// many.
  template <class Takes>
  unsigned take_while(Takes&& takes) noexcept {
    const unsigned head = *ring_.cq.khead;
    const unsigned waiting = io_uring_smp_load_acquire(ring_.cq.ktail) - head;
    const unsigned shift = (ring_.flags & IORING_SETUP_CQE32) != 0 ? 1 : 0;
    unsigned taken = 0;
    while (taken < waiting && takes(ring_.cq.cqes[((head + taken) & ring_.cq.ring_mask) << shift]))
      ++taken;
    if (taken != 0) io_uring_cq_advance(&ring_, taken);
    return taken;
  }
  /// Is a completion with this user_data among those that wait?
  bool completion_waits(std::uint64_t user_data) noexcept;

  /// io_uring_register(2) with what liburing does not know.
  int register_raw(unsigned operation, void* argument, unsigned count) noexcept;
  /// A descriptor that becomes readable when work comes; the first call makes it, before enable()
  /// or on the ring's thread. -1: it could not be made. Not the ring's own: epoll on that is not
  /// woken by work that waits for its thread (DEFER_TASKRUN; io_req_local_work_add signals the
  /// eventfd only, io_uring/io_uring.c, Linux 6.1).
  int wait_fd() noexcept;
  bool has_wait_fd() const noexcept { return static_cast<bool>(event_fd_); }
  /// Before sleeping on wait_fd(): what comes after this signals again. False: there is none, and
  /// nobody would wake the sleeper.
  bool arm_wait_fd() noexcept;
  /// Ends the ring; any thread. What was in flight is cancelled, a little later.
  void close() noexcept;
  /// After close(): waits until the kernel has let go of every request, at most a second.
  void wait_until_gone() noexcept;

 protected:
  static constexpr unsigned kFeatureMinTimeout = 1u << 15;  // IORING_FEAT_MIN_TIMEOUT

  int fault(const char* site) const noexcept { return authoring::fault(host_, site); }
  io_uring* raw() noexcept { return &ring_; }
  static landfall_errc refuse_register(landfall_why* why, const char* what, int number);

 private:
  landfall_errc register_witness(landfall_why* why);

  const landfall_host* host_ = nullptr;
  io_uring ring_{};
  bool open_ = false;
  Fd event_fd_;
  bool no_event_fd_ = false;
  // The read end of a pipe whose write end only the ring holds: it hangs up when the ring is gone.
  Fd witness_;
};

}  // namespace landfall::uring
