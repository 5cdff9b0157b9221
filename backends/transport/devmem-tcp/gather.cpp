// SPDX-License-Identifier: Apache-2.0
// How many bytes the kernel gathers before it wakes the polling thread: SO_RCVLOWAT.
//
// Each packet of a stream may wake the thread, and a wake-up costs more than the pages that it
// tells of. So a flow that goes on steadily is given a mark: what it brings in some milliseconds. A
// tail below the mark would wait for ever; a tick finds it.
#include <sys/ioctl.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <utility>

#include "devmem-tcp/queue.hpp"

namespace landfall::devmem {
namespace {

// The mark is what comes in this time, and a tail waits for it twice at most.
constexpr std::uint64_t kTickNs = 4'000'000;
// Fewer bytes are not worth a mark; more save no wake-ups that are felt.
constexpr std::uint64_t kMarkLeast = 64u << 10;
constexpr std::uint64_t kMarkMost = 256u << 10;
// A flow that stood still while it gathered must bring twice as much before it may again.
constexpr std::uint64_t kWindowGoalMax = 1u << 30;
// More flows cannot all be fast.
constexpr std::size_t kGatheringMax = 64;

}  // namespace

int Queue::set_mark(Flow& flow, std::uint32_t bytes) noexcept {
  const auto value = static_cast<int>(bytes);
  const int number = authoring::attempt(domain_.host(), "setsockopt", [&] {
    return ::setsockopt(flow.socket.get(), SOL_SOCKET, SO_RCVLOWAT, &value, sizeof value);
  });
  if (number == 0) flow.mark_bytes = bytes;
  return number;
}

void Queue::end_window(Flow& flow) {
  const std::uint64_t now_ns = domain_.host()->now_ns(domain_.host()->ctx);
  const std::uint64_t spent_ns = std::max<std::uint64_t>(now_ns - flow.window_begin_ns, 1);
  const auto bytes_in_tick = static_cast<std::uint64_t>(static_cast<double>(flow.window_bytes) *
                                                        kTickNs / static_cast<double>(spent_ns));
  flow.window_begin_ns = now_ns;
  flow.window_bytes = flow.bytes_at_tick = 0;
  if (bytes_in_tick < kMarkLeast || flow.last_bytes || !domain_.options().gather ||
      gathering_.size() == kGatheringMax)
    return;
  gathering_.reserve(kGatheringMax);
  if (set_mark(flow, static_cast<std::uint32_t>(std::min(bytes_in_tick, kMarkMost))) != 0) return;
  gathering_.push_back(&flow);
}

/// Its bytes are told of as they come; those that are there are looked for.
void Queue::gather_no_more(Flow& flow) {
  if (flow.mark_bytes == 1) return;
  std::erase(gathering_, &flow);
  flow.window_bytes = 0;
  flow.window_goal = std::min(flow.window_goal * 2, kWindowGoalMax);
  flow.readable = true;
  if (const int number = set_mark(flow, 1); number != 0)
    fail(flow, number, 0);  // what comes could wait for ever
}

void Queue::tick() {
  for (std::size_t i = gathering_.size(); i-- > 0;) {
    Flow& flow = *gathering_[i];
    if (std::exchange(flow.bytes_at_tick, flow.window_bytes) != flow.window_bytes) continue;
    // With more than its mark to be read it does not stand still: it is us who were away.
    int queued = 0;
    ::ioctl(flow.socket.get(), FIONREAD, &queued);
    const bool may_be_read = flow.wants() && flow.listed <= Flow::Listed::runnable;
    if (may_be_read && static_cast<std::uint32_t>(queued) >= flow.mark_bytes) continue;
    gather_no_more(flow);
    run(flow);
  }
}

/// Before a sleep: one timer at most in a tick, however often the thread sleeps.
void Queue::arm_tick() {
  if (gathering_.empty() || tick_armed_) return;
  if (!tick_ && fault("timerfd_create") == 0) {
    tick_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // never read: setting it again makes it unready
    event.data.ptr = &tick_;
    if (tick_ && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, tick_.get(), &event) != 0) tick_.reset();
  }
  const itimerspec in{.it_interval = {}, .it_value = {0, kTickNs}};
  tick_armed_ = tick_ && ::timerfd_settime(tick_.get(), 0, &in, nullptr) == 0;
  while (!tick_armed_ && !gathering_.empty()) {
    Flow& flow = *gathering_.back();
    gather_no_more(flow);
    run(flow);
  }
}

}  // namespace landfall::devmem
