// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"
#include "tcp/uring_abi.hpp"

namespace landfall::tcp {

/// At most an hour.
__kernel_timespec timespec_of(std::uint64_t ns);

/// One io_uring with one ring of provided buffers. Made disabled, so that any thread may make it;
/// enable() binds it to its thread (IORING_SETUP_SINGLE_ISSUER).
///
/// Every call into the kernel asks the fault seam first. Calls answer 0 or more, or -errno.
class UringRing {
 public:
  UringRing() = default;
  ~UringRing() { close(); }
  UringRing(const UringRing&) = delete;
  UringRing& operator=(const UringRing&) = delete;

  /// `buffers`: a power of two. Errors: why says what this kernel or process lacks.
  landfall_errc open(const landfall_host* host, std::uint32_t entries, std::uint32_t completions,
                     std::uint32_t buffers, landfall_why* why);
  bool is_open() const noexcept { return open_; }
  bool has_bundles() const noexcept { return (ring_.features & IORING_FEAT_RECVSEND_BUNDLE) != 0; }

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

  unsigned completions() noexcept { return io_uring_cq_ready(&ring_); }
  bool has_completion() noexcept { return completions() != 0; }
  /// The oldest completion; nullptr: none. Valid until done_with_one().
  const io_uring_cqe* peek() noexcept {
    io_uring_cqe* oldest = nullptr;
    return io_uring_peek_cqe(&ring_, &oldest) == 0 ? oldest : nullptr;
  }
  void done_with_one() noexcept { io_uring_cq_advance(&ring_, 1); }
  /// Is a completion with this user_data among those that wait?
  bool completion_waits(std::uint64_t user_data) noexcept;

  /// Provides a buffer. They are used in the order in which they were added; its id is the count of
  /// those before it, modulo `buffers`. The kernel sees them after publish_buffers().
  std::uint16_t add_buffer(void* at, std::uint32_t length) noexcept {
    const auto id = static_cast<std::uint16_t>(next_buffer_ & buffer_mask_);
    io_uring_buf_ring_add(buffers_, at, length, id, buffer_mask_, added_);
    ++next_buffer_;
    ++added_;
    return id;
  }
  void publish_buffers() noexcept {
    if (added_ == 0) return;
    io_uring_buf_ring_advance(buffers_, added_);
    added_ = 0;
  }
  std::uint32_t buffer_mask() const noexcept { return static_cast<std::uint32_t>(buffer_mask_); }

  /// The ring signals `event_fd` when work comes. Before enable(), or on its thread.
  int register_eventfd(int event_fd) noexcept;
  /// Ends the ring; any thread. What was in flight is cancelled, a little later.
  void close() noexcept;
  /// After close(): waits until the kernel has let go of every request, at most a second.
  void wait_until_gone() noexcept;

 private:
  int fault(const char* site) const noexcept { return authoring::fault(host_, site); }
  landfall_errc register_buffers(std::uint32_t buffers, landfall_why* why);
  landfall_errc register_witness(landfall_why* why);

  const landfall_host* host_ = nullptr;
  io_uring ring_{};
  bool open_ = false;
  io_uring_buf_ring* buffers_ = nullptr;
  std::size_t buffers_bytes_ = 0;
  int buffer_mask_ = 0;
  std::uint32_t next_buffer_ = 0;
  int added_ = 0;
  // The read end of a pipe whose write end only the ring holds: it hangs up when the ring is gone.
  Fd witness_;
};

}  // namespace landfall::tcp
