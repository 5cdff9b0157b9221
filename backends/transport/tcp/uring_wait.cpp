// SPDX-License-Identifier: Apache-2.0
// How the thread sleeps: in wait(), or in its own poll on wait_fd() after arm().
//
// Many flows that stream at once are each too slow to be gathered (gather.cpp), yet each of their
// packets would wake a thread that is as fast as they are: 9,000 wake-ups per GB with 100 flows on
// loopback, and the sender pays for them. So in a crowd wait() sleeps until several completions are
// there, at most a tick; one tick with fewer ends it, and the next crowd must bring twice as much.
#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "tcp/uring_queue.hpp"

namespace landfall::tcp {
namespace {

constexpr std::size_t kCrowdFlows = 16;
constexpr std::size_t kCrowdWakeUp = 32;

}  // namespace

/// All streams together brought many bytes: fast?
void UringQueue::end_crowd_window() noexcept {
  crowd_.end_window(setup_.host->now_ns(setup_.host->ctx),
                    setup_.options.gather && recent_.size() >= kCrowdFlows);
}

/// -ETIME: nothing came in a tick.
int UringQueue::wait_in_crowd() noexcept {
  // Not for more flows than may well have something: each is one completion, whatever it has.
  const auto count = static_cast<unsigned>(std::min(kCrowdWakeUp, recent_.size() / 2));
  const int code = ring_.enter_and_wait(count, kTickNs);
  if (ring_.completions() >= count) return code;
  crowd_.was_in_vain(setup_.host->now_ns(setup_.host->ctx));
  return code;
}

landfall_errc UringQueue::engine_arm(std::uint32_t* armed) {
  if (const auto code = enable(); code != LANDFALL_ERRC_ok) return code;
  const bool is_woken = ring_.arm_wait_fd();
  if (ring_.has_wait_fd() && is_due()) {
    prepare();
    if (const auto code = enter(); code != LANDFALL_ERRC_ok) return code;
  }
  if (!stash_.empty() || ring_.has_completion() || !is_woken) *armed |= LANDFALL_ARM_READY;
  if (is_dry()) *armed |= LANDFALL_ARM_WANTS_RETURNS;
  return LANDFALL_ERRC_ok;
}

int UringQueue::wait_fd() noexcept {
  return ring_.wait_fd();
}

landfall_errc UringQueue::wait(int control_fd, std::uint64_t timeout_ns,
                               std::int32_t* ret_control) {
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
  int code = -ETIME;
  // Of a crowd that closes its flows no one may be left.
  const bool crowd = crowd_.is_bulk() && recent_.size() >= kCrowdFlows;
  if (crowd && timeout_ns > kTickNs && !is_starving()) {
    code = wait_in_crowd();
    if (timeout_ns != UINT64_MAX) timeout_ns -= kTickNs;
  }
  if (code == -ETIME) code = ring_.enter_and_wait(1, timeout_ns);
  if (control_armed_ && ring_.completion_waits(kControl)) *ret_control = 1;
  if (code >= 0 || code == -ETIME || code == -EINTR || code == -EAGAIN || code == -EBUSY)
    return LANDFALL_ERRC_ok;
  return authoring::errc_of(-code);
}

}  // namespace landfall::tcp
