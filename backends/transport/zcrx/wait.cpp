// SPDX-License-Identifier: Apache-2.0
// How the thread sleeps: in wait(), or in its own poll on wait_fd() after arm().
#include <poll.h>

#include "zcrx/queue.hpp"
#include "zcrx/user_data.hpp"

namespace landfall::zcrx {

std::uint32_t Queue::arm() {
  if (enable() != LANDFALL_ERRC_ok) return LANDFALL_ARM_READY;
  const bool is_woken = ring_.arm_wait_fd();
  if (ring_.has_wait_fd() && is_due()) {
    prepare();
    static_cast<void>(enter());
  }
  std::uint32_t armed = 0;
  const bool full = extents_out_ >= extents_max_;
  const bool waits = !stash_.empty() || ring_.has_completion();
  if (!backlog_.empty() || !flows_.done.empty() || (waits && !full) || !is_woken)
    armed |= LANDFALL_ARM_READY;
  // Worked off by poll() itself.
  for (const Flow* flow = flows_.runnable.front(); flow != nullptr && !full; flow = flow->next)
    if (!flow->wants_request()) armed |= LANDFALL_ARM_READY;
  const bool scarce = pages_out_ * domain_.page_bytes() >= slice_bytes_ / 2;
  if (full || scarce || !flows_.starved.empty()) armed |= LANDFALL_ARM_WANTS_RETURNS;
  return armed;
}

std::int32_t Queue::wait_fd() noexcept {
  return ring_.wait_fd();
}

/// Sleeps, but not in the ring's call, which would hand out what has come before anybody could look
/// at it.
int Queue::sleep_and_look(int control_fd, std::uint32_t us) noexcept {
  pollfd control{control_fd, POLLIN, 0};
  const timespec time{0, static_cast<long>(us) * 1000};
  ::ppoll(&control, 1, &time, nullptr);
  look_before_entry();
  return ring_.enter();
}

landfall_errc Queue::wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control) {
  *ret_control = 0;
  if (const auto code = enable(); code != LANDFALL_ERRC_ok) return code;
  prepare();
  if (!control_armed_ && control_fd >= 0) {
    // A single shot looks when it is armed: it behaves as if level-triggered.
    if (io_uring_sqe* sqe = ring_.request(); sqe != nullptr) {
      io_uring_prep_poll_add(sqe, control_fd, POLLIN);
      sqe->user_data = kControl;
      control_armed_ = true;
    }
  }
  const bool scarce = pool_dry_ || !flows_.starved.empty();
  const std::uint32_t gather_us = scarce ? 0 : gathering_.begin(timeout_ns);
  const landfall_errc code = enter([&] {
    if (gather_us != 0 && copies_silently() && extents_told_ + kExtentsPerLook / 2 >= look_at_)
      return sleep_and_look(control_fd, gather_us);
    if (gather_us != 0) {
      const int gathered = ring_.enter_and_gather(kWorkMost, gather_us, timeout_ns);
      // The end of that time may find work that it does not do (io_cqring_wait, Linux 7.3).
      if (ring_.has_completion() || !ring_.kernel_wants_entry()) return gathered;
      return ring_.enter();
    }
    return more_waits_ ? ring_.enter_and_wait(kWorkMost, 0) : ring_.enter_and_wait(1, timeout_ns);
  });
  slept_ = true;
  if (control_armed_ && ring_.completion_waits(kControl)) *ret_control = 1;
  return code;
}

}  // namespace landfall::zcrx
