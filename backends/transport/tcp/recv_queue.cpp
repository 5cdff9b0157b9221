// SPDX-License-Identifier: Apache-2.0
// The engine for machines that refuse io_uring: edge-triggered epoll(7), and recvmsg(2) straight
// into the slots that came back last.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>

#include "tcp/queue.hpp"

namespace landfall::tcp {
namespace {

// One poll() receives about this much, so that what it hands out is still in the cache when the
// application looks at it, and comes back to be used again; and never more than half of the slice,
// so that what came back in between is seen.
constexpr std::uint64_t kBytesPerPoll = 1u << 20;
// A bulk stream fills so many slots with one call. While it copies, the kernel takes in what comes
// on our processor instead of the sender's, and acknowledges less often.
constexpr std::uint32_t kSlotsPerCall = 16;
// One post() receives at most this much before the next flow has its turn.
constexpr std::uint64_t kPostBytesPerTurn = 1u << 20;
// Receives that bring nothing or little still cost a system call each.
constexpr std::uint32_t kCallsPerPoll = 256;

class RecvQueue final : public Queue {
 public:
  explicit RecvQueue(const QueueSetup& setup) : Queue{setup} {}

  landfall_errc open(landfall_why* why) {
    if (const int number = fault("epoll_create1"); number != 0)
      return authoring::refuse_os(why, "epoll_create1", LANDFALL_REASON_event_fd_failed, number);
    epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
    if (epoll_) return LANDFALL_ERRC_ok;
    return authoring::refuse_os(why, "epoll_create1", LANDFALL_REASON_event_fd_failed, errno);
  }

  // Bytes move only inside of receive().
  void stop() noexcept override {}
  int wait_fd() noexcept override { return epoll_.get(); }
  landfall_errc wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control) override;

 private:
  landfall_errc start(Flow& flow, landfall_why* why) override;
  void run(Flow& flow) noexcept override {
    if (flow.lowat_bytes > 1 && !flow.readable && flow.wants_bytes()) set_lowat(flow);
    if (flow.readable && flow.listed == Flow::Listed::no && flow.wants_bytes())
      runnable_.push(flow);
  }
  void halt(Flow& flow) noexcept override {
    if (flow.listed == Flow::Listed::runnable) runnable_.remove(flow);
  }
  landfall_errc settle(Flow& flow) override;
  void leave(Flow& flow) noexcept override {
    // Closing is not enough where the application has a duplicate of the descriptor (epoll(7)).
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, flow.socket.get(), nullptr);
  }
  landfall_errc receive() override;
  bool is_dry() const noexcept override { return !starved_.empty() && pool_.free_slots() == 0; }
  landfall_errc engine_arm(std::uint32_t* armed) override;

  landfall_errc look(int timeout_ms, bool* ret_control);
  std::uint64_t receive_from(Flow& flow, std::uint64_t bytes_most);
  void feed_starved() noexcept;
  void arm_tick() noexcept;

  Fd epoll_;
  Fd tick_;  // timerfd(2), made when a flow first gathers
  bool tick_armed_ = false;
  int control_fd_ = -1;
  std::array<epoll_event, 256> events_;
};

landfall_errc RecvQueue::start(Flow& flow, landfall_why* why) {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLPRI | EPOLLET;
  event.data.ptr = &flow;
  int number = fault("epoll_ctl");
  if (number == 0 && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, flow.socket.get(), &event) != 0)
    number = errno;
  if (number == 0) return LANDFALL_ERRC_ok;
  return authoring::refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, number);
}

landfall_errc RecvQueue::settle(Flow& flow) {
  leave(flow);
  return LANDFALL_ERRC_ok;
}

void RecvQueue::feed_starved() noexcept {
  while (pool_.free_slots() != 0 && !starved_.empty()) run(starved_.pop());
}

landfall_errc RecvQueue::look(int timeout_ms, bool* ret_control) {
  if (const int number = fault("epoll_wait"); number != 0) return authoring::errc_of(number);
  const int count =
      ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
  if (count < 0) return errno == EINTR ? LANDFALL_ERRC_ok : authoring::errc_of(errno);
  for (int i = 0; i < count; ++i) {
    const epoll_event& event = events_[static_cast<std::size_t>(i)];
    if (event.data.ptr == nullptr) {
      *ret_control = true;
      continue;
    }
    if (event.data.ptr == &tick_) {
      tick_armed_ = false;
      tick();
      continue;
    }
    Flow& flow = *static_cast<Flow*>(event.data.ptr);
    flow.readable = true;
    // With these a short read does not mean that the socket is empty.
    if ((event.events & (EPOLLRDHUP | EPOLLHUP | EPOLLERR | EPOLLPRI)) != 0) flow.last_bytes = true;
    run(flow);
  }
  return LANDFALL_ERRC_ok;
}

void RecvQueue::arm_tick() noexcept {
  if (!gathers() || tick_armed_) return;
  if (!tick_ && fault("timerfd_create") == 0) {
    tick_.reset(::timerfd_create(CLOCK_MONOTONIC, TFD_CLOEXEC | TFD_NONBLOCK));
    epoll_event event{};
    event.events = EPOLLIN | EPOLLET;  // never read: setting it again makes it unready
    event.data.ptr = &tick_;
    if (tick_ && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, tick_.get(), &event) != 0) tick_.reset();
  }
  const itimerspec in{.it_interval = {}, .it_value = {0, kTickNs}};
  tick_armed_ = tick_ && ::timerfd_settime(tick_.get(), 0, &in, nullptr) == 0;
  if (!tick_armed_) stop_gathering();
}

landfall_errc RecvQueue::receive() {
  bool control = false;
  feed_starved();
  if (runnable_.empty()) {
    if (const landfall_errc code = look(0, &control); code != LANDFALL_ERRC_ok) return code;
  }
  const std::uint64_t bytes_most =
      std::min(kBytesPerPoll, std::uint64_t{pool_.slots()} * pool_.slot_bytes() / 2);
  std::uint64_t bytes = 0;
  std::uint32_t left_in_round = runnable_.size();
  for (std::uint32_t calls = 0; calls < kCallsPerPoll && bytes < bytes_most; ++calls) {
    if (left_in_round-- == 0) {
      // Everyone had a turn: others may have become readable meanwhile.
      if (calls >= 32 || runnable_.empty()) {
        if (const landfall_errc code = look(0, &control); code != LANDFALL_ERRC_ok) return code;
      }
      left_in_round = runnable_.size();
      if (left_in_round-- == 0) break;
    }
    if (!room()) break;
    Flow& flow = *runnable_.front();
    const bool post = flow.demand && flow.requests.front().target != nullptr;
    if (!post && pool_.free_slots() == 0) {
      runnable_.remove(flow);
      starved_.push(flow);
      continue;
    }
    runnable_.remove(flow);
    bytes += receive_from(flow, bytes_most - bytes);
    run(flow);
  }
  arm_tick();
  return LANDFALL_ERRC_ok;
}

/// One receive into so many slots that it brings about `bytes_most` at most; answers its bytes.
std::uint64_t RecvQueue::receive_from(Flow& flow, std::uint64_t bytes_most) {
  Request* request = flow.demand ? &flow.requests.front() : nullptr;
  const bool post = request != nullptr && request->target != nullptr;
  std::array<iovec, kSlotsPerCall> into;
  std::array<std::uint32_t, kSlotsPerCall> slots;
  std::uint32_t slot_count = 0;
  std::uint64_t size = 0;
  if (post) {
    size = std::min(request->length - request->done, kPostBytesPerTurn);
    into[0] = {request->target + request->done, size};
  } else {
    const std::uint32_t reach = request != nullptr ? 1 : flow.reach;
    for (; slot_count < reach && size < bytes_most && pool_.free_slots() != 0; ++slot_count) {
      slots[slot_count] = pool_.take();
      into[slot_count] = {setup_.region + pool_.offset_of(slots[slot_count]), pool_.slot_bytes()};
      size += pool_.slot_bytes();
    }
    if (request != nullptr)
      size = into[0].iov_len = std::min(size, request->length - request->done);
  }
  msghdr message{};
  message.msg_iov = into.data();
  message.msg_iovlen = std::max(slot_count, 1u);
  const int injected = fault("recvmsg");
  const ssize_t got = injected != 0 ? -1 : ::recvmsg(flow.socket.get(), &message, MSG_DONTWAIT);
  const int number = injected != 0 ? injected : errno;
  auto left = static_cast<std::uint64_t>(std::max<ssize_t>(got, 0));
  const auto filled =
      static_cast<std::uint32_t>((left + pool_.slot_bytes() - 1) / pool_.slot_bytes());
  while (slot_count > filled) pool_.put(slots[--slot_count]);  // the first to be taken again
  if (got <= 0) {
    if (got < 0 && (number == EINTR || (number == EAGAIN && injected != 0))) return 0;
    flow.readable = false;
    if (got == 0) {
      ended(flow);
    } else if (number != EAGAIN) {
      failed(flow, number);
    } else if (request != nullptr) {
      set_lowat(flow);
    }
    return 0;
  }
  const std::uint64_t length = left;
  // A short read has emptied the socket; what comes next is a new edge (epoll(7), question 9).
  if (length < size && !flow.last_bytes) flow.readable = false;
  if (post) {
    posted(flow, length);
  } else {
    if (length == size) flow.reach = std::min(flow.reach * 2, kSlotsPerCall);
    if (length < size / 4) flow.reach = std::max(flow.reach / 2, 1u);
    for (std::uint32_t i = 0; i < slot_count; ++i) {
      const auto piece =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(left, pool_.slot_bytes()));
      received(flow, slots[i], piece);
      left -= piece;
    }
  }
  // Where the new mark is reached already the kernel gives a new edge (tcp_set_rcvlowat).
  if (flow.demand && !flow.readable) set_lowat(flow);
  return length;
}

landfall_errc RecvQueue::engine_arm(std::uint32_t* armed) {
  feed_starved();
  if (!runnable_.empty()) *armed |= LANDFALL_ARM_READY;
  if (!starved_.empty()) *armed |= LANDFALL_ARM_WANTS_RETURNS;
  return LANDFALL_ERRC_ok;
}

landfall_errc RecvQueue::wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control) {
  if (control_fd != control_fd_ && control_fd >= 0) {
    epoll_event event{};
    event.events = EPOLLIN;
    int number = fault("epoll_ctl");
    if (number == 0 && ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, control_fd, &event) != 0)
      number = errno;
    if (number != 0) return authoring::errc_of(number);
    control_fd_ = control_fd;
  }
  bool control = false;
  const landfall_errc code = look(authoring::milliseconds_of(timeout_ns), &control);
  *ret_control = control ? 1 : 0;
  return code;
}

}  // namespace

landfall_errc open_recv_queue(const QueueSetup& setup, std::unique_ptr<Queue>* ret_queue,
                              landfall_why* why) {
  auto queue = std::make_unique<RecvQueue>(setup);
  if (const landfall_errc code = queue->open(why); code != LANDFALL_ERRC_ok) return code;
  *ret_queue = std::move(queue);
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::tcp
