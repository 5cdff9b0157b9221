// SPDX-License-Identifier: Apache-2.0
// A second look at streams that fell silent, because kernels before Linux 7.3 lose wake-ups.
//
// A wake-up of a multishot receive counts in poll_refs. Where 128 wait already it only sets
// IO_POLL_RETRY_FLAG, and io_poll_check_events() ends without looking at that flag when it comes
// while the receive runs (io_uring/poll.c, io_poll_get_ownership_slowpath; Linux 7.3 compares the
// whole word). More than 128 segments while the polling thread is away, and then the last one, or a
// reset, at the wrong moment: nothing would ever be told of it. Seen on Linux 6.18 with a reset.
//
// So a stream that brought bytes and then none for a while is looked at, once. Costs one timer in
// 20 ms while bytes come, and one poll(2) when a stream pauses; nothing where all is silent. Where
// many streams pause the while is longer: never more than 10,000 looks in a second.
#include <poll.h>

#include <algorithm>
#include <utility>

#include "tcp/uring_queue.hpp"

namespace landfall::tcp {
namespace {

constexpr std::uint64_t kSilentNs = 20'000'000;
constexpr std::uint64_t kSilentNsPerFlow = 100'000;

}  // namespace

void UringQueue::got_bytes(Flow& flow) noexcept {
  flow.fresh = true;
  if (flow.recent_at != Flow::kNotRecent) return;
  flow.recent_at = static_cast<std::uint32_t>(recent_.size());
  recent_.push_back(&flow);  // start() has made room
}

void UringQueue::forget(Flow& flow) noexcept {
  if (flow.recent_at == Flow::kNotRecent) return;
  recent_[flow.recent_at] = recent_.back();
  recent_.back()->recent_at = flow.recent_at;
  recent_.pop_back();
  flow.recent_at = Flow::kNotRecent;
}

void UringQueue::prepare_look() noexcept {
  if (recent_.empty() || look_armed_) return;
  io_uring_sqe* sqe = ring_.request();
  if (sqe == nullptr) return;
  look_time_ = uring::timespec_of(std::max(kSilentNs, recent_.size() * kSilentNsPerFlow));
  io_uring_prep_timeout(sqe, &look_time_, 0, 0);  // read when it is submitted
  sqe->user_data = kLook;
  look_armed_ = true;
}

void UringQueue::look() noexcept {
  for (std::size_t i = recent_.size(); i-- > 0;) {
    Flow& flow = *recent_[i];
    if (std::exchange(flow.fresh, false)) continue;
    if (flow.in_flight && !flow.cancelling) {
      pollfd socket{.fd = flow.socket.get(), .events = POLLIN | POLLRDHUP, .revents = 0};
      const int ready = fault("poll") != 0 ? -1 : ::poll(&socket, 1, 0);
      if (ready < 0) continue;  // the next look tries again
      // A receive that is asked for anew finds what there is.
      if (ready > 0 && !request_cancel(flow)) continue;
    }
    forget(flow);
  }
}

}  // namespace landfall::tcp
