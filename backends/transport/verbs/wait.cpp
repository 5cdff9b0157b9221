// SPDX-License-Identifier: Apache-2.0
// How the thread sleeps, in wait() or in its own poll on wait_fd() after arm(), and what woke it.
#include <fcntl.h>
#include <poll.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <utility>

#include "verbs/fabric.hpp"

namespace landfall::verbs {

using namespace landfall::authoring;

landfall_errc VerbsFabric::make_epoll(landfall_why* why) {
  epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
  wake_ = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  timer_ = ::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK);
  if (epoll_ < 0 || wake_ < 0 || timer_ < 0)
    return refuse_os(why, "epoll_create1", LANDFALL_REASON_event_fd_failed, errno);
  const std::pair<int, Ready> all[] = {{control_->fd, kControl},
                                       {channel_->fd, kCompletions},
                                       {device_.adapter().events_fd(), kDevice},
                                       {wake_, kWoken},
                                       {timer_, kTimer}};
  for (const auto& [fd, as] : all) {
    if (::fcntl(fd, F_SETFL, ::fcntl(fd, F_GETFL) | O_NONBLOCK) != 0 || watch(fd, as) != 0)
      return refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, errno);
  }
  return LANDFALL_ERRC_ok;
}

int VerbsFabric::watch(int fd, Ready as) noexcept {
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.u32 = as;
  return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event);
}

bool VerbsFabric::arm() noexcept {
  if (peeked_ != 0 || !told_.empty() || !ending_.empty() ||
      any_stopped_.load(std::memory_order_acquire) || lost_.load(std::memory_order_acquire) != 0)
    return lost_told_ && told_.empty();
  if ((ready_ & ~kCompletions) != 0) return false;
  if (has_wait_fd_ && !notify()) return false;  // else wait() does, if it must
  looked_ = false;
  return true;
}

int VerbsFabric::wait_fd() noexcept {
  // Who armed before could not know that it is slept on.
  if (!std::exchange(has_wait_fd_, true) && !notify()) wake();
  return epoll_;
}

/// The channel tells the next completion; false: there is one. One that it told is taken first, and
/// not before it is known to be there: each of these is a system call.
bool VerbsFabric::notify() noexcept {
  if (peeked_ != 0) return false;
  if (notifies_ && (completed_ != notified_at_ || (ready_ & kCompletions) != 0)) {
    ready_ &= ~kCompletions;
    ibv_cq* cq = nullptr;
    void* context = nullptr;
    if (library_.ibv_get_cq_event(channel_, &cq, &context) == 0) {
      library_.ibv_ack_cq_events(cq, 1);
      notifies_ = false;
    }
  }
  if (!notifies_) {
    notifies_ = ibv_req_notify_cq(cq_, 0) == 0;
    notified_at_ = completed_;
  }
  // One may have come before.
  const int got = ibv_poll_cq(cq_, 1, completions_.data());
  if (got > 0) peeked_ = static_cast<std::uint32_t>(got);
  return notifies_ && got == 0;
}

/// What is readable, into ready_.
void VerbsFabric::look(int timeout_ms) noexcept {
  std::array<epoll_event, 8> events;
  const int count =
      ::epoll_wait(epoll_, events.data(), static_cast<int>(events.size()), timeout_ms);
  for (int i = 0; i < count; ++i) ready_ |= events[static_cast<std::size_t>(i)].data.u32;
}

landfall_errc VerbsFabric::wait(int control_fd, std::uint64_t timeout_ns,
                                std::int32_t* ret_control) noexcept {
  if (control_fd >= 0 && !watches_core_) {
    if (watch(control_fd, kCore) != 0) return errc_of(errno);
    watches_core_ = true;
  }
  // Where fewer than two messages come, nothing is gained.
  const std::uint32_t us = gathering_.begin(timeout_ns, 2ull * last_length_);
  if (us != 0)
    nap(control_fd, us);
  else if (notify())
    look(milliseconds_of(timeout_ns));
  looked_ = true;  // or completions are there, which poll() finds by itself
  *ret_control = (ready_ & kCore) != 0 ? 1 : 0;
  ready_ &= ~kCore;
  return LANDFALL_ERRC_ok;
}

/// Messages gather meanwhile; whatever else comes ends it.
void VerbsFabric::nap(int control_fd, std::uint32_t us) noexcept {
  std::array<pollfd, 4> others{{{control_->fd, POLLIN, 0},
                                {device_.adapter().events_fd(), POLLIN, 0},
                                {wake_, POLLIN, 0},
                                {control_fd, POLLIN, 0}}};
  const timespec time{0, static_cast<long>(us) * 1000};
  if (::ppoll(others.data(), others.size(), &time, nullptr) != 0) look(0);
}

/// Every so many seconds, from now on; 0: no more.
void VerbsFabric::set_timer(std::uint32_t seconds) noexcept {
  const itimerspec time{.it_interval = {seconds, 0}, .it_value = {seconds, 0}};
  times_ = ::timerfd_settime(timer_, 0, &time, nullptr) == 0 && seconds != 0;
}

void VerbsFabric::wake() noexcept {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_, &one, sizeof one);
}

}  // namespace landfall::verbs
