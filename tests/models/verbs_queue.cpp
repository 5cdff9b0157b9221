// SPDX-License-Identifier: Apache-2.0
#include "models/verbs_queue.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace landfall::test::verbs {

using namespace landfall::authoring;

Domain::~Domain() {
  for (const auto& flow : flows)
    if (flow->fd >= 0) ::close(flow->fd);
}

Flow& Domain::add_flow(int fd) {
  const std::lock_guard lock{mutex};
  flows.push_back(std::make_unique<Flow>());
  flows.back()->fd = fd;
  return *flows.back();
}

Queue::Queue(Domain& of, const landfall_queue_spec& with) : domain{of}, spec{with} {
  const std::uint64_t slots =
      std::min<std::uint64_t>(with.slice_length / of.options.slot, with.extents_max);
  for (std::uint64_t i = slots; i > 0; --i)
    free_slots_.push_back(static_cast<std::uint32_t>(i - 1));
}

Queue::~Queue() {
  for (Flow* flow : live_)
    if (flow->fd >= 0) ::close(std::exchange(flow->fd, -1));
  for (const int fd : {channel_fd, cq_fd, wake_fd})
    if (fd >= 0) ::close(fd);
}

landfall_errc Queue::open(landfall_why* why) {
  if (const int injected = fault(domain.host, "ibv_create_cq"))
    return refuse_os(why, "ibv_create_cq", LANDFALL_REASON_event_fd_failed, injected);
  static Watched wake{Watched::Kind::wake};
  cq_fd = ::epoll_create1(EPOLL_CLOEXEC);
  channel_fd = ::epoll_create1(EPOLL_CLOEXEC);
  wake_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
  epoll_event disarmed{};
  if (watch(wake_fd, EPOLLIN, wake) != 0 ||
      ::epoll_ctl(channel_fd, EPOLL_CTL_ADD, cq_fd, &disarmed) != 0)
    return refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, errno);
  return LANDFALL_ERRC_ok;
}

landfall_errc Queue::watch(int fd, std::uint32_t events, Watched& watched) {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watched;
  return ::epoll_ctl(cq_fd, EPOLL_CTL_ADD, fd, &event) == 0 ? 0 : errc_of(errno);
}

void Queue::kick() const {
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd, &one, sizeof one);
}

std::uint32_t Queue::arm() {
  epoll_event event{};
  event.events = EPOLLIN | EPOLLONESHOT;
  ::epoll_ctl(channel_fd, EPOLL_CTL_MOD, cq_fd, &event);  // ibv_req_notify_cq ...
  if (!pending.empty() || ::epoll_wait(cq_fd, &event, 1, 0) > 0) return LANDFALL_ARM_READY;
  const bool starved = std::any_of(live_.begin(), live_.end(), [](const Flow* flow) {
    return flow->credits == 0 && !flow->paused;
  });
  return starved ? LANDFALL_ARM_WANTS_RETURNS : 0;
}

std::uint32_t Queue::poll(std::span<landfall_record> records) {
  epoll_event event;
  ::epoll_wait(channel_fd, &event, 1, 0);  // takes the channel's event: not armed any more
  std::array<epoll_event, 64> events;
  const int ready = ::epoll_wait(cq_fd, events.data(), events.size(), 0);
  std::uint32_t count = take_pending(records);  // OPENED before the first bytes of its flow
  for (int i = 0; i < ready; ++i) {
    auto* watched = static_cast<Watched*>(events[static_cast<std::size_t>(i)].data.ptr);
    if (watched->kind == Watched::Kind::wake) {
      std::uint64_t value = 0;
      [[maybe_unused]] const ssize_t drained = ::read(wake_fd, &value, sizeof value);
    } else if (watched->kind == Watched::Kind::listener) {
      accept_all(static_cast<Listener&>(*watched));
    } else if (static_cast<Flow*>(watched)->connecting) {
      finish_connect(static_cast<Flow&>(*watched));
    } else {
      while (count < records.size() && receive_one(static_cast<Flow&>(*watched), records[count]))
        ++count;
    }
  }
  return count + take_pending(records.subspan(count));
}

std::uint32_t Queue::take_pending(std::span<landfall_record> records) {
  std::uint32_t count = 0;
  for (; count < records.size() && !pending.empty(); ++count) {
    records[count] = pending.front();
    pending.pop_front();
  }
  return count;
}

void Queue::accept_all(Listener& listener) {
  const std::lock_guard lock{domain.mutex};
  if (listener.fd < 0) return;
  for (int fd = 0; (fd = ::accept4(listener.fd, nullptr, nullptr, SOCK_CLOEXEC)) >= 0;) {
    domain.flows.push_back(std::make_unique<Flow>());
    domain.flows.back()->fd = fd;
    pending.push_back(record_of(LANDFALL_OPENED, domain.flows.back().get(), landfall_flow_spec{}));
  }
}

void Queue::finish_connect(Flow& flow) {
  flow.connecting = false;
  int number = 0;
  socklen_t length = sizeof number;
  ::getsockopt(flow.fd, SOL_SOCKET, SO_ERROR, &number, &length);
  ::epoll_ctl(cq_fd, EPOLL_CTL_DEL, flow.fd, nullptr);
  if (number != 0) return end(flow, LANDFALL_FAILED, number);
  pending.push_back(record_of(LANDFALL_OPENED, &flow, flow.spec));
  start(flow, flow.spec);
}

void Queue::start(Flow& flow, const landfall_flow_spec& with) {
  if (flow.started) return;
  flow.spec = with;
  flow.started = true;
  live_.push_back(&flow);
  watch(flow.fd, EPOLLIN, flow);
  send_credits();
}

void Queue::send_credits() {
  for (std::size_t turns = live_.size(); turns > 0; --turns) {
    Flow& flow = *live_.front();
    live_.pop_front();
    live_.push_back(&flow);
    // Batches: a sender that has half of its credits left is not told of each slot.
    if (flow.paused || flow.credits > domain.options.credits / 2) continue;
    const std::uint64_t slots = std::min<std::uint64_t>(domain.options.credits - flow.credits,
                                                        free_slots_.size() - promised_);
    if (slots == 0) continue;
    const VerbsCredit credit{static_cast<std::uint32_t>(slots),
                             static_cast<std::uint32_t>(domain.options.slot)};
    if (::send(flow.fd, &credit, sizeof credit, MSG_NOSIGNAL | MSG_DONTWAIT) != sizeof credit)
      continue;  // the receive side will say why
    flow.credits += credit.slots;
    promised_ += slots;
  }
}

bool Queue::read_frame(Flow& flow) {
  auto* header = reinterpret_cast<std::byte*>(&flow.frame);
  const ssize_t got =
      ::recv(flow.fd, header + flow.frame_got, sizeof flow.frame - flow.frame_got, MSG_DONTWAIT);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
      end(flow, LANDFALL_FAILED, got == 0 ? ECONNRESET : errno);
    return false;
  }
  flow.frame_got += static_cast<std::size_t>(got);
  if (flow.frame_got < sizeof flow.frame) return false;
  if ((flow.frame.flags & VerbsFrame::kEndOfStream) != 0) {
    end(flow, LANDFALL_END_OF_STREAM, 0);
    return false;
  }
  if (flow.credits == 0 || flow.frame.length == 0 || flow.frame.length > domain.options.slot) {
    end(flow, LANDFALL_FAILED, EPROTO);  // "receiver not ready", or longer than the slot
    return false;
  }
  --flow.credits;
  --promised_;
  flow.slot = free_slots_.back();
  free_slots_.pop_back();
  flow.payload_got = 0;
  return true;
}

bool Queue::receive_one(Flow& flow, landfall_record& record) {
  if (flow.ended || flow.closing) return false;
  if (flow.frame_got < sizeof flow.frame) {
    const int injected = fault(domain.host, "ibv_poll_cq");
    if (injected != 0) end(flow, LANDFALL_FAILED, injected);
    if (injected != 0 || !read_frame(flow)) return false;
  }
  const std::uint64_t offset = spec.slice_offset + flow.slot * domain.options.slot;
  const ssize_t got = ::recv(flow.fd, domain.bytes.data() + offset + flow.payload_got,
                             flow.frame.length - flow.payload_got, MSG_DONTWAIT);
  if (got <= 0) {
    if (got == 0 || (errno != EAGAIN && errno != EINTR))
      end(flow, LANDFALL_FAILED, got == 0 ? ECONNRESET : errno);
    return false;
  }
  flow.payload_got += static_cast<std::uint32_t>(got);
  if (flow.payload_got < flow.frame.length) return false;
  record = record_of(LANDFALL_DATA, &flow, flow.spec);
  record.placement = LANDFALL_DIRECT;
  record.length = flow.frame.length;
  record.offset = offset;
  record.token = flow.slot;
  record.flags =
      (flow.frame.flags & VerbsFrame::kMessageEnd) != 0 ? LANDFALL_RECORD_MESSAGE_END : 0;
  record.charge_bytes = static_cast<std::uint32_t>(domain.options.slot);
  flow.spec.stream_offset += flow.frame.length;
  flow.frame_got = 0;
  ++flow.out;
  if (flow.credits <= domain.options.credits / 2) send_credits();
  return true;
}

void Queue::end(Flow& flow, std::uint8_t kind, int number) {
  if (flow.ended) return;
  flow.ended = true;
  std::erase(live_, &flow);
  ::epoll_ctl(cq_fd, EPOLL_CTL_DEL, flow.fd, nullptr);
  if (flow.frame_got == sizeof flow.frame && flow.frame.length != 0) {
    free_slots_.push_back(flow.slot);  // its payload will not come
    flow.frame_got = 0;
  }
  promised_ -= flow.credits;
  flow.credits = 0;
  if (flow.closing) return;
  landfall_record record = record_of(kind, &flow, flow.spec);
  record.native = number;
  record.code = number == ECONNRESET ? LANDFALL_REASON_peer_reset
                                     : (number == 0 ? 0 : LANDFALL_REASON_peer_unreachable);
  pending.push_back(record);
}

void Queue::give_back(const landfall_return& back) {
  auto& flow = *reinterpret_cast<Flow*>(back.flow);
  free_slots_.push_back(static_cast<std::uint32_t>(back.token));
  --flow.out;
  finish_closing(flow);
}

void Queue::close(Flow& flow, bool reset) {
  flow.closing = true;
  end(flow, LANDFALL_FAILED, 0);
  end_connection(flow.fd, reset);
  finish_closing(flow);
}

void Queue::finish_closing(Flow& flow) {
  if (!flow.closing || flow.out != 0 || flow.fd < 0) return;
  ::close(std::exchange(flow.fd, -1));
  pending.push_back(record_of(LANDFALL_CLOSED, &flow, flow.spec));
}

}  // namespace landfall::test::verbs
