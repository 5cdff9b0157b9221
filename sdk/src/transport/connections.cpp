// SPDX-License-Identifier: Apache-2.0
// How flows come to be: accepted, attached, handed over; and what else a Receiver's epoll watches.
// connect.cpp has those that are connected from here.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <utility>

#include "transport/group_core.hpp"
#include "transport/queue_core.hpp"

namespace landfall::detail {

Result<void> QueueCore::watch_fd(int fd, std::uint32_t events, Watch& watch) {
  if (const int number = context_.fault("epoll_ctl"); number != 0) {
    return os_error("epoll_ctl", ReasonCode::event_fd_failed, number);
  }
  epoll_event event{};
  event.events = events;
  event.data.ptr = &watch;
  if (::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0) {
    return os_error("epoll_ctl", ReasonCode::event_fd_failed);
  }
  return {};
}

void QueueCore::control(int timeout_ms) {
  std::array<epoll_event, 32> events;
  const int count =
      ::epoll_wait(epoll_.get(), events.data(), static_cast<int>(events.size()), timeout_ms);
  for (int i = 0; i < count; ++i)
    on_watch(*static_cast<Watch*>(events[static_cast<std::size_t>(i)].data.ptr));
  if (inbox_waits_.load(std::memory_order_acquire)) take_inbox();
}

void QueueCore::on_watch(Watch& watch) {
  switch (watch.kind) {
    case Watch::Kind::wake: {
      std::uint64_t count = 0;
      [[maybe_unused]] const ssize_t got = ::read(wake_fd_.get(), &count, sizeof count);
      return;
    }
    case Watch::Kind::transport:
      return;  // its poll sees for itself
    case Watch::Kind::interface:
      return setup_.group->look_at_interface();
    case Watch::Kind::listener:
      return accept_from(static_cast<Listener&>(watch));
    case Watch::Kind::connecting:
      return finish_connect(*static_cast<Connecting&>(watch).flow);
  }
}

// ---- sockets that are connected already
// ----------------------------------------------------------

landfall_flow_spec QueueCore::spec_of(const FlowImpl& flow) const noexcept {
  return landfall_flow_spec{.struct_size = sizeof(landfall_flow_spec),
                            .demand = flow.delivery == Delivery::demand && !flow.demand ? 1u : 0u,
                            .flow_tag = flow.tag,
                            .stream_offset = flow.next_offset};
}

/// A rule of its own for a flow that no listener's brings, before its first byte where that can be.
Result<void> QueueCore::steer(FlowImpl& flow, int fd, std::uint64_t& ret_queued) {
  if (!setup_.group->steers()) return {};
  LANDFALL_TRY(flow.rule, setup_.group->steer(fd, setup_.index));
  int now = 0;  // what came meanwhile lies in ordinary pages, too
  if (::ioctl(fd, FIONREAD, &now) == 0)
    ret_queued = std::max(ret_queued, static_cast<std::uint64_t>(now));
  return {};
}

Result<void> QueueCore::bind_socket(FlowImpl& flow, int fd, std::uint64_t queued) {
  landfall_why why{};
  why.struct_size = sizeof why;
  landfall_flow_spec spec = spec_of(flow);
  spec.early_bytes = queued;
  if (const landfall_errc code = ops_.attach(queue_, fd, &spec, &flow.backend, &why);
      code != LANDFALL_ERRC_ok) {
    flow.backend = nullptr;
    return backend_error("transport attach", code, why);
  }
  flow.socket_number = fd;
  flow.mark = flow.next_offset + queued;
  flow.state = FlowImpl::State::open;
  if (flow.demand) serve(flow);  // pauses: nothing is asked for yet
  return {};
}

Result<FlowImpl*> QueueCore::adopt(int fd, const FlowOptions& options, std::uint64_t queued,
                                   Came came) {
  LANDFALL_TRY(FlowImpl * flow, make_flow(options));
  Result<void> bound;
  if (came == Came::by_itself) bound = steer(*flow, fd, queued);
  if (bound) bound = bind_socket(*flow, fd, queued);
  if (bound) return flow;
  forget(*flow);
  return bound.error();
}

Result<Flow*> QueueCore::attach(Fd& fd, const FlowOptions& options) {
  constexpr auto kOp = "Receiver::attach";
  if (const Errc code = enter(); code != Errc::ok) return wrong_caller(kOp, code);
  if ((setup_.needs.flags & LANDFALL_TAKES_SOCKETS) == 0) {
    return Error{Errc::not_supported, kOp, ReasonCode::not_capable};
  }
  LANDFALL_TRY(const std::uint64_t queued, check_connected(context_, fd.get()));
  if (queued != 0 && options.refuse_queued) {
    return Error{Errc::busy, kOp, ReasonCode::bytes_queued}.with(
        std::to_string(queued) + " bytes are queued in the socket already");
  }
  LANDFALL_TRY(FlowImpl * flow, adopt(fd.get(), options, queued, Came::by_itself));
  fd.release();
  publish();
  return static_cast<Flow*>(flow);
}

Result<void> QueueCore::hand_over(Fd& fd, const FlowOptions& options) {
  constexpr auto kOp = "Receiver::hand_over";
  if (!in_its_process()) return wrong_caller(kOp, Errc::wrong_process);
  if ((setup_.needs.flags & LANDFALL_TAKES_SOCKETS) == 0) {
    return Error{Errc::not_supported, kOp, ReasonCode::not_capable};
  }
  LANDFALL_CHECK(check_connected(context_, fd.get()));
  {
    const std::lock_guard lock{mutex_};
    if (stopped_) return wrong_caller(kOp, Errc::closed);
    if (inbox_.size() >= kInboxMax) {
      return Error{Errc::limit_reached, kOp}.with("4096 sockets wait to be taken already");
    }
    inbox_.push_back(Arrival{.fd = std::move(fd), .backend = nullptr, .options = options});
    inbox_waits_.store(true, std::memory_order_release);
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
  }
  return {};
}

void QueueCore::hand_over_accepted(Fd fd, const FlowOptions& options) {
  const std::lock_guard lock{mutex_};
  if (stopped_) return;
  inbox_.push_back(Arrival{
      .fd = std::move(fd), .backend = nullptr, .options = options, .came = Came::by_listener});
  inbox_waits_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
}

Result<void> QueueCore::hand_over(landfall_flow* flow, const FlowOptions& options) {
  const std::lock_guard lock{mutex_};
  if (stopped_) return wrong_caller("accept", Errc::closed);
  inbox_.push_back(Arrival{.fd = Fd{}, .backend = flow, .options = options});
  inbox_waits_.store(true, std::memory_order_release);
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
  return {};
}

void QueueCore::take_inbox() {
  std::vector<Arrival> arrivals;
  {
    const std::lock_guard lock{mutex_};
    arrivals.swap(inbox_);
    inbox_waits_.store(false, std::memory_order_relaxed);
  }
  for (Arrival& arrival : arrivals) {
    if (arrival.backend != nullptr) {
      arrive(start(arrival.backend, arrival.options), 0);
      continue;
    }
    const int number = arrival.fd.get();
    Result<std::uint64_t> queued = check_connected(context_, number);
    if (queued && *queued != 0 && arrival.options.refuse_queued) {
      queued = Error{Errc::busy, "Receiver::hand_over", ReasonCode::bytes_queued};
    }
    const bool listened = arrival.came == Came::by_listener;
    Result<FlowImpl*> flow =
        queued ? adopt(number, arrival.options, listened ? 0 : *queued, arrival.came)
               : Result<FlowImpl*>{queued.error()};
    if (flow) arrival.fd.release();
    arrive(std::move(flow), listened ? 0 : static_cast<std::uint64_t>(number));
  }
}

/// `opened`, or `failed` without a flow.
void QueueCore::arrive(Result<FlowImpl*> flow, std::uint64_t tag) {
  if (flow) {
    emit(Completion::Kind::opened, *flow);
    return;
  }
  Completion& completion = emit(Completion::Kind::failed, nullptr);
  completion.tag = tag;
  completion.error = flow.error();
}

// ---- listen
// --------------------------------------------------------------------------------------

Result<void> QueueCore::add_listener(Fd socket, const FlowOptions& options) {
  auto listener = std::make_unique<Listener>();
  listener->socket = std::move(socket);
  listener->options = options;
  const std::lock_guard lock{mutex_};
  if (stopped_) return wrong_caller("Group::listen", Errc::closed);
  LANDFALL_CHECK(watch_fd(listener->socket.get(), EPOLLIN, *listener));
  listeners_.push_back(std::move(listener));
  listener_count_.fetch_add(1, std::memory_order_relaxed);
  return {};
}

void QueueCore::set_listen_options(const FlowOptions& options) {
  const std::lock_guard lock{mutex_};
  listen_options_ = options;
}

void QueueCore::accept_from(Listener& listener) {
  constexpr int kAcceptsPerLook = 64;  // then data has its turn
  for (int i = 0; i < kAcceptsPerLook; ++i) {
    if (live_flows_ >= setup_.flows_max) return listeners_pause(true);
    const int injected = context_.fault("accept4");
    Fd fd{injected != 0 ? -1 : ::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)};
    const int number = injected != 0 ? injected : errno;
    if (fd) {
      if (QueueCore* const owner = setup_.group->owner_of(fd.get());
          owner != nullptr && owner != this) {
        owner->hand_over_accepted(std::move(fd), listener.options);
        continue;
      }
      Result<std::uint64_t> queued = check_connected(context_, fd.get());
      Result<FlowImpl*> flow = queued ? adopt(fd.get(), listener.options, 0, Came::by_listener)
                                      : Result<FlowImpl*>{queued.error()};
      if (flow) fd.release();
      arrive(std::move(flow), 0);
      continue;
    }
    if (number == EAGAIN) return;
    if (number == EINTR || number == ECONNABORTED) continue;
    const bool full = number == EMFILE || number == ENFILE;
    if (full && reserve_fd_) {
      // Without this the connection stays in the backlog and epoll reports it for ever.
      reserve_fd_.reset();
      Fd turned_away{::accept4(listener.socket.get(), nullptr, nullptr, SOCK_CLOEXEC)};
      turned_away.reset();
      reserve_fd_.reset(::dup(wake_fd_.get()));
    }
    return arrive(os_error("accept4", full ? ReasonCode::nofile_limit : ReasonCode::none, number),
                  0);
  }
}

/// While there is no room for another flow, connections wait in the backlog.
void QueueCore::listeners_pause(bool on) {
  if (listeners_paused_ == on) return;
  listeners_paused_ = on;
  const std::lock_guard lock{mutex_};
  for (const auto& listener : listeners_) {
    epoll_event event{};
    event.events = on ? 0u : static_cast<std::uint32_t>(EPOLLIN);
    event.data.ptr = static_cast<Watch*>(listener.get());
    ::epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, listener->socket.get(), &event);
  }
}

// ---- transports that make their own connections
// --------------------------------------------------

void QueueCore::on_opened(const landfall_record& record) {
  if (record.flow_tag != 0) {
    FlowImpl* flow = find_flow(record.flow_tag);
    if (flow == nullptr || flow->state != FlowImpl::State::connecting || flow->connecting) return;
    flow->backend = record.flow;
    flow->state = FlowImpl::State::open;
    emit(Completion::Kind::opened, flow);
    if (flow->demand) serve(*flow);
    return;
  }
  FlowOptions options;
  {
    const std::lock_guard lock{mutex_};
    options = listen_options_;
  }
  // The flow's Receiver is chosen before its first byte: the next one in turn.
  QueueCore& target = setup_.group->next_queue(*setup_.service);
  if (&target == this) return arrive(start(record.flow, options), 0);
  if (Result<void> given = target.hand_over(record.flow, options); !given) {
    ops_.flow_close(queue_, record.flow, 1);
  }
}

Result<FlowImpl*> QueueCore::start(landfall_flow* backend, const FlowOptions& options) {
  Result<FlowImpl*> made = make_flow(options);
  landfall_errc code = LANDFALL_ERRC_not_supported;
  if (made) {
    (*made)->backend = backend;
    const landfall_flow_spec spec = spec_of(**made);
    if (LANDFALL_HAS(&ops_, landfall_transport_ops, flow_start)) {
      code = ops_.flow_start(queue_, backend, &spec);
    }
    if (code == LANDFALL_ERRC_ok) {
      if ((*made)->demand) serve(**made);
      return made;
    }
    forget(**made);
    made = Error{static_cast<Errc>(code), "transport flow_start"};
  }
  ops_.flow_close(queue_, backend, 1);
  return made;
}

}  // namespace landfall::detail
