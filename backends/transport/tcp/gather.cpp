// SPDX-License-Identifier: Apache-2.0
// How many bytes the kernel gathers before it wakes the polling thread: SO_RCVLOWAT.
//
// Each packet of a fast stream would wake the thread, and that costs both ends: on loopback the
// sender does the waking, on a NIC the interrupt does. So bulk streams are gathered. A tail below
// the mark would wait forever; a tick finds it. There is one timer in a millisecond, because a
// timer for each sleep costs more than the sleeps that it saves (in a virtual machine, where a
// write to the timer leaves the guest: 10 us).
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <algorithm>
#include <utility>

#include "tcp/queue.hpp"

namespace landfall::tcp {
namespace {

// The kernel may gather this much of a bulk stream, or of a post(), between two wake-ups. Streams
// against the walking loop on loopback: 64 KiB 1.07 of the throughput and 0.59 of the CPU, 128 KiB
// 1.13 and 0.53, 256 KiB 1.08 and 0.55, 512 KiB 1.02 and 0.50. Posts of 1 MiB against recv(): 64
// KiB 1.09, 128 KiB 1.07, 256 KiB 0.98 of the throughput.
constexpr std::uint64_t kBulkLowat = 128u << 10;
// Below this a wake-up less does not pay for the call that asks for it.
constexpr std::uint64_t kLowatLeast = 64u << 10;

}  // namespace

bool Queue::set_lowat(Flow& flow) {
  std::uint64_t want = flow.gathering ? kBulkLowat : 1;
  if (!flow.requests.empty() && flow.requests.front().target != nullptr) {
    // Never above what is still missing: the peer may send nothing after it for a long time.
    const Request& post = flow.requests.front();
    const std::uint64_t left = post.length - post.done;
    if (left >= kLowatLeast || flow.lowat_bytes > 1) want = std::min(left, kBulkLowat);
  }
  if (want == flow.lowat_bytes) return true;
  const auto bytes = static_cast<int>(want);
  int number = fault("setsockopt");
  if (number == 0 &&
      ::setsockopt(flow.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, sizeof bytes) != 0)
    number = errno;
  if (number == 0) {
    flow.lowat_bytes = static_cast<std::uint32_t>(want);
  } else if (want < flow.lowat_bytes) {
    failed(flow, number);  // it would wait for bytes that may never come
    return false;
  }
  return true;
}

void Queue::end_window(Flow& flow) {
  const std::uint64_t now_ns = setup_.host->now_ns(setup_.host->ctx);
  const std::uint64_t spent_ns = now_ns - flow.window_begin_ns;
  const bool bulk = flow.window_bytes / (kBulkBytesPerSecond / 1'000'000) >= spent_ns / 1000;
  flow.window_begin_ns = now_ns;
  flow.window_bytes = flow.bytes_at_tick = 0;
  if (!bulk || !setup_.options.gather || gathering_.size() == kGatheringMax) return;
  flow.gathering = true;
  gathering_.push_back(&flow);
  set_lowat(flow);
}

void Queue::gather_no_more(Flow& flow) noexcept {
  if (!flow.gathering) return;
  flow.gathering = false;
  std::erase(gathering_, &flow);
  flow.window_bytes = 0;
  flow.window_goal = std::min(flow.window_goal * 2, kWindowGoalMax);
  flow.window_begin_ns = setup_.host->now_ns(setup_.host->ctx);
}

void Queue::tick() {
  for (std::size_t i = gathering_.size(); i-- > 0;) {
    Flow& flow = *gathering_[i];
    if (std::exchange(flow.bytes_at_tick, flow.window_bytes) != flow.window_bytes) continue;
    // With more than its mark to be read it does not stand still: it is us who were away.
    int queued = 0;
    ::ioctl(flow.socket.get(), FIONREAD, &queued);
    const bool may_be_read = flow.wants_bytes() && flow.listed <= Flow::Listed::runnable;
    if (may_be_read && static_cast<std::uint32_t>(queued) >= flow.lowat_bytes) continue;
    gather_no_more(flow);
    set_lowat(flow);  // the kernel tells at once of bytes that are there (tcp_set_rcvlowat)
  }
}

void Queue::stop_gathering() {
  while (!gathering_.empty()) {
    Flow& flow = *gathering_.back();
    gather_no_more(flow);
    set_lowat(flow);
  }
}

}  // namespace landfall::tcp
