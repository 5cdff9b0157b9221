// SPDX-License-Identifier: Apache-2.0
// The flows of a queue: how they come, what they give back, how they end.
#include "devmem-tcp/queue.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/mman.h>

#include "landfall/abi/transport_authoring.hpp"
#include "shared/ordinary.hpp"

namespace landfall::devmem {

using authoring::refuse;
using authoring::refuse_os;
using transport::can_be_read;

namespace {

/// With each call the kernel says what it has left, so that no call is made in vain.
int say_what_is_left(int fd, bool on) {
  const int value = on ? 1 : 0;
  return ::setsockopt(fd, IPPROTO_TCP, TCP_INQ, &value, sizeof value);
}

}  // namespace

void Queue::Unmap::operator()(void* address) const noexcept {
  ::munmap(address, kBytesPerCall);
}

landfall_errc Queue::open(const landfall_queue_spec& spec, landfall_why* why) {
  const landfall_host* const host = domain_.host();
  extents_max_ = spec.extents_max;
  // A sixteenth of the pool: the rest is for the window to open.
  gathering_.open(host, spec.slice_length / 16, domain_.options().gather);
  returns_.emplace(domain_.kernel(), host, spec.flows_max, domain_.held_back_max());
  spill_.emplace(spec.spill);
  control_ = std::make_unique<std::byte[]>(kPiecesMax * kPieceSpace + kInqSpace);
  void* beyond = MAP_FAILED;
  int number = authoring::attempt(host, "mmap", [&] {
    beyond = ::mmap(nullptr, kBytesPerCall, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
                    -1, 0);
    return beyond == MAP_FAILED ? -1 : 0;
  });
  if (number != 0) return refuse_os(why, "mmap", LANDFALL_REASON_out_of_memory, number);
  beyond_.reset(beyond);
  int epoll = -1;
  number = authoring::attempt(host, "epoll_create1",
                              [&] { return epoll = ::epoll_create1(EPOLL_CLOEXEC); });
  if (number != 0) return refuse_os(why, "epoll_create1", LANDFALL_REASON_event_fd_failed, number);
  epoll_.reset(epoll);
  if (domain_.lifeline() < 0) return LANDFALL_ERRC_ok;
  epoll_event event{};
  event.events = EPOLLRDHUP;  // and EPOLLHUP, EPOLLERR; the lifeline says nothing
  event.data.ptr = this;
  number = authoring::attempt(host, "epoll_ctl", [&] {
    return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, domain_.lifeline(), &event);
  });
  if (number != 0) return refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, number);
  return LANDFALL_ERRC_ok;
}

Queue::~Queue() {
  for (Flow* flow = flows_.newest; flow != nullptr;) {
    Flow* const older = flow->older;
    if (flow->socket) returns_->leave(*flow);
    destroy(*flow);
    flow = older;
  }
}

// ---- flows
// ---------------------------------------------------------------------------------------

landfall_errc Queue::attach(int fd, const landfall_flow_spec& spec, Flow** ret_flow,
                            landfall_why* why) {
  if (revoked_) return refuse(why, LANDFALL_ERRC_revoked, LANDFALL_REASON_binding_revoked);
  auto flow = std::make_unique<Flow>();
  flow->begin(fd, spec);
  int number =
      authoring::attempt(domain_.host(), "setsockopt", [&] { return say_what_is_left(fd, true); });
  if (number != 0) return refuse_os(why, "setsockopt(TCP_INQ)", LANDFALL_REASON_none, number);
  epoll_event event{};
  event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
  event.data.ptr = flow.get();
  number = authoring::attempt(domain_.host(), "epoll_ctl",
                              [&] { return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event); });
  if (number != 0) {
    say_what_is_left(fd, false);
    return refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, number);
  }
  flow->socket.reset(fd);
  domain_.windows().flow_came();
  flow->window_limited = domain_.windows().limit(fd, domain_.windows().share(), false);
  flows_.add(*flow);
  run(*flow);
  *ret_flow = flow.release();
  return LANDFALL_ERRC_ok;
}

landfall_errc Queue::detach(Flow* flow, std::int32_t* ret_fd, landfall_why* why) {
  if (flow->out != 0) return refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_extents_out);
  const int fd = flow->socket.get();
  if (!can_be_read(fd)) return refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_direct_bytes_queued);
  flows_.unlist(*flow);
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  returns_->leave(*flow);
  say_what_is_left(fd, false);
  domain_.windows().flow_left();
  *ret_fd = flow->socket.release();
  destroy(*flow);
  return LANDFALL_ERRC_ok;
}

void Queue::close(Flow* flow, bool reset) noexcept {
  flow->closing = true;
  flows_.unlist(*flow);
  // Closing is not enough where the application has a duplicate of the descriptor (epoll(7)).
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, flow->socket.get(), nullptr);
  authoring::end_connection(flow->socket.get(), reset);
  finish_if_quiet(*flow);
}

void Queue::pause(Flow* flow, bool on) noexcept {
  flow->paused = on;
  if (on && flow->listed != Flow::Listed::done)
    flows_.unlist(*flow);
  else
    run(*flow);
}

void Queue::run(Flow& flow) noexcept {
  if (flow.listed == Flow::Listed::no && flow.wants_bytes() && !revoked_)
    flows_.runnable.push(flow);
}

// ---- the end
// -------------------------------------------------------------------------------------

void Queue::give_back(std::span<const landfall_return> returns) noexcept {
  // The list begins with the newest: put last, it goes back first.
  for (std::size_t i = returns.size(); i-- > 0;) {
    const landfall_return& back = returns[i];
    Flow& flow = *authoring::own<Flow>(back.flow);
    if (back.memory == 0) {
      const Run run = Run::of(back.token);
      returns_->add(flow, run.token, run.pieces);
      pieces_out_ -= run.pieces;
    } else {
      spill_->give_back(static_cast<std::uint32_t>(back.token));
    }
    --extents_out_;
    --flow.out;
    if (flow.closing) finish_if_quiet(flow);
  }
  if (stopped_) returns_->flush_all();  // nobody polls any more
}

/// The socket lives until its last extent is back: closing it gives the pages to the NIC.
void Queue::finish_if_quiet(Flow& flow) noexcept {
  if (!flow.closing || flow.out != 0 || flow.listed == Flow::Listed::done) return;
  returns_->leave(flow);
  flow.socket.reset();
  domain_.windows().flow_left();
  flows_.done.push(flow);
}

void Queue::tell_closed() {
  while (!flows_.done.empty() && room()) {
    Flow& flow = flows_.done.pop();
    emit(authoring::record_of(LANDFALL_CLOSED, &flow, flow.spec));
    destroy(flow);
  }
}

void Queue::destroy(Flow& flow) noexcept {
  if (flow.socket) domain_.windows().flow_left();
  flows_.forget(flow);
  delete &flow;
}

}  // namespace landfall::devmem
