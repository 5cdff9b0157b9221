// SPDX-License-Identifier: Apache-2.0
// The engine for machines that refuse io_uring: edge-triggered epoll(7), and recvmsg(2) straight
// into the slots that came back last.
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/timerfd.h>

#include <algorithm>
#include <array>
#include <span>

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
  std::uint64_t receive_into(Flow& flow, std::span<iovec> into, std::uint64_t size);
  std::uint64_t receive_post(Flow& flow);
  std::uint64_t receive_slots(Flow& flow, std::uint64_t bytes_most);
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

/// One call: how many bytes came. None: the flow has been dealt with.
std::uint64_t RecvQueue::receive_into(Flow& flow, std::span<iovec> into, std::uint64_t size) {
  msghdr message{};
  message.msg_iov = into.data();
  message.msg_iovlen = into.size();
  const int injected = fault("recvmsg");
  const ssize_t got = injected != 0 ? -1 : ::recvmsg(flow.socket.get(), &message, MSG_DONTWAIT);
  const int number = injected != 0 ? injected : errno;
  if (got > 0) {
    const auto length = static_cast<std::uint64_t>(got);
    // A short read has emptied the socket; what comes next is a new edge (epoll(7), question 9).
    if (length < size && !flow.last_bytes) flow.readable = false;
    return length;
  }
  if (got < 0 && (number == EINTR || (number == EAGAIN && injected != 0))) return 0;
  flow.readable = false;
  if (got == 0) {
    ended(flow);
  } else if (number != EAGAIN) {
    failed(flow, number);
  } else if (flow.demand) {
    set_lowat(flow);
  }
  return 0;
}

std::uint64_t RecvQueue::receive_post(Flow& flow) {
  const Request& post = flow.requests.front();
  const std::uint64_t size = std::min(post.length - post.done, kPostBytesPerTurn);
  iovec into{post.target + post.done, size};
  const std::uint64_t length = receive_into(flow, {&into, 1}, size);
  if (length != 0) posted(flow, length);
  return length;
}

/// Into so many slots that it brings about `bytes_most` at most.
std::uint64_t RecvQueue::receive_slots(Flow& flow, std::uint64_t bytes_most) {
  std::array<iovec, kSlotsPerCall> into;
  std::array<std::uint32_t, kSlotsPerCall> slots;
  std::uint32_t count = 0;
  std::uint64_t size = 0;
  const std::uint32_t reach = flow.demand ? 1 : flow.reach;
  for (; count < reach && size < bytes_most && pool_.free_slots() != 0; ++count) {
    slots[count] = pool_.take();
    into[count] = {setup_.region + pool_.offset_of(slots[count]), pool_.slot_bytes()};
    size += pool_.slot_bytes();
  }
  if (flow.demand) {
    const Request& land = flow.requests.front();
    size = into[0].iov_len = std::min(size, land.length - land.done);
  }
  const std::uint64_t length = receive_into(flow, std::span{into}.first(count), size);
  const std::uint64_t filled = (length + pool_.slot_bytes() - 1) / pool_.slot_bytes();
  while (count > filled) pool_.put(slots[--count]);  // the first to be taken again
  if (length == 0) return 0;
  if (length == size) flow.reach = std::min(flow.reach * 2, kSlotsPerCall);
  if (length < size / 4) flow.reach = std::max(flow.reach / 2, 1u);
  std::uint64_t left = length;
  for (const std::uint32_t slot : std::span{slots}.first(count)) {
    const auto piece =
        static_cast<std::uint32_t>(std::min<std::uint64_t>(left, pool_.slot_bytes()));
    received(flow, slot, piece);
    left -= piece;
  }
  return length;
}

/// One receive; answers its bytes.
std::uint64_t RecvQueue::receive_from(Flow& flow, std::uint64_t bytes_most) {
  const bool post = flow.demand && flow.requests.front().target != nullptr;
  const std::uint64_t length = post ? receive_post(flow) : receive_slots(flow, bytes_most);
  // Where the new mark is reached already the kernel gives a new edge (tcp_set_rcvlowat).
  if (length != 0 && flow.demand && !flow.readable) set_lowat(flow);
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
