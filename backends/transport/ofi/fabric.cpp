// SPDX-License-Identifier: Apache-2.0
// The data path: receives, sends, and what completes.
#include "ofi/fabric.hpp"

#include <sys/epoll.h>
#include <unistd.h>

#include <algorithm>

namespace landfall::ofi {

using namespace authoring;
using messages::Event;
using messages::Link;
using messages::Outgoing;
using State = Connection::State;

namespace {

constexpr std::uint32_t kCompletionsAtOnce = 32;
// While completions come all the time, connections wait so many polls at most: looking for them
// costs a system call.
constexpr std::uint32_t kTurnsWithoutEvents = 16;
// What no landfall sends: wire.hpp.
constexpr std::uint32_t kNoImmediate = UINT32_MAX;

}  // namespace

OfiFabric::~OfiFabric() {
  for (auto& [link, connection] : links_) connection->endpoint.reset();
  {
    const std::lock_guard lock{device_.requests_mutex};
    for (Listening* listening : listening_) listening->pep.reset();
  }
  completions_.reset();
  events_.reset();
  if (epoll_ >= 0) ::close(epoll_);
}

landfall_errc OfiFabric::open(landfall_why* why) {
  const auto failed = [&](const char* call, int number) { return refuse_call(why, call, number); };
  if (spec_.queue.spill != nullptr)
    if (const auto code = device_.register_memory(*spec_.queue.spill, -1, 0, &spill_, why))
      return code;
  landfall_memory memory{};
  memory.host = nothing_.data();
  memory.size_bytes = nothing_.size();
  if (const auto code = device_.register_memory(memory, -1, 0, &room_for_nothing_, why))
    return code;
  fi_cq_attr of_completions{};
  of_completions.size = completions();
  of_completions.format = FI_CQ_FORMAT_DATA;
  of_completions.wait_obj = FI_WAIT_FD;
  if (const int number = ofi::make<fid_cq>(host_, "fi_cq_open", &completions_, [&](fid_cq** out) {
        return fi_cq_open(&device_.domain(), &of_completions, out, nullptr);
      }))
    return failed("fi_cq_open", number);
  fi_eq_attr of_events{};
  of_events.wait_obj = FI_WAIT_FD;
  if (const int number = ofi::make<fid_eq>(host_, "fi_eq_open", &events_, [&](fid_eq** out) {
        return fi_eq_open(&device_.fabric(), &of_events, out, nullptr);
      }))
    return failed("fi_eq_open", number);

  int number = authoring::attempt(host_, "epoll_create1",
                                  [&] { return epoll_ = ::epoll_create1(EPOLL_CLOEXEC); });
  if (number == 0) number = watch(completions_->fid);
  if (number == 0) number = watch(events_->fid);
  return number == 0 ? LANDFALL_ERRC_ok
                     : refuse_os(why, "epoll of libfabric's queues",
                                 LANDFALL_REASON_event_fd_failed, number);
}

/// Room for what may be under way. `verbs` takes the receives of whole connections out of it, as
/// many as go in, and leaves the rest to the sends of all (vrb_ep_bind, prov/verbs of 1.17): so
/// that is made as large as it can be.
std::uint64_t OfiFabric::completions() const noexcept {
  const std::uint64_t per_link = spec_.sends_per_link + spec_.receives_per_link;
  const std::uint64_t under_way = spec_.slots + spec_.links * per_link;
  const std::uint64_t receives = std::max<std::uint64_t>(wanted().receives, 1);
  return std::min<std::uint64_t>((under_way / receives + 1) * receives - 1,
                                 device_.completions_max());
}

int OfiFabric::watch(fid& object) {
  int fd = -1;
  if (const int number = ofi::attempt(host_, "fi_control", [&] {
        return static_cast<ssize_t>(fi_control(&object, FI_GETWAIT, &fd));
      }))
    return number;
  epoll_event event{EPOLLIN, {}};
  return authoring::attempt(host_, "epoll_ctl",
                            [&] { return ::epoll_ctl(epoll_, EPOLL_CTL_ADD, fd, &event); });
}

/// Nobody looks at it any more, so it wakes nobody.
void OfiFabric::unwatch(fid& object) noexcept {
  int fd = -1;
  if (fi_control(&object, FI_GETWAIT, &fd) == 0) ::epoll_ctl(epoll_, EPOLL_CTL_DEL, fd, nullptr);
}

// ---- what is under way

Operation& OfiFabric::take(Connection& link) {
  if (free_.empty()) free_.push_back(&operations_.emplace_back());
  Operation& operation = *free_.back();
  free_.pop_back();
  operation.link = &link;
  return operation;
}

void OfiFabric::put(Operation& operation) noexcept {
  operation.link = nullptr;
  free_.push_back(&operation);
}

int OfiFabric::receive(Connection& link, std::uint32_t slot) noexcept {
  // Nothing comes to it any more; what came before is told first, and then its end.
  const auto call_off = [&] {
    if (slot != messages::kNoSlot) link.unused.push_back(slot);
    return 0;
  };
  if (link.state == State::ending || link.state == State::ended) return call_off();
  Operation& operation = take(link);
  operation.slot = slot;
  operation.order = receives_++;
  operation.sends = operation.taken_back = false;
  std::byte* to = nothing_.data();
  std::size_t length = 1;
  void* descriptor = room_for_nothing_.descriptor();
  if (slot != messages::kNoSlot) {
    const Registered& region = device_.region();
    to = region.base + spec_.queue.slice_offset + std::uint64_t{slot} * spec_.slot_bytes;
    length = spec_.slot_bytes;
    descriptor = region.descriptor();
  }
  const int number = ofi::attempt(host_, "fi_recv", [&] {
    return fi_recv(link.endpoint.get(), to, length, descriptor, FI_ADDR_UNSPEC, &operation.room);
  });
  if (number == 0) return 0;
  put(operation);
  // Providers take nothing for a connection that the other side has ended meanwhile.
  read_events();
  if (link.state == State::ending) return call_off();
  return number == EAGAIN ? ENOBUFS : errno_of(number);
}

int OfiFabric::post(Link& link, std::span<const std::uint32_t> slots) noexcept {
  Connection& to = own(link);
  for (const std::uint32_t slot : slots) {
    if (to.spare != 0) {  // one more is posted already
      --to.spare;
      tell({.kind = Event::Kind::unposted, .slot = slot, .link = &to});
    } else if (const int number = receive(to, slot)) {
      return number;
    }
  }
  return 0;
}

void OfiFabric::take_back(Link& base, std::uint32_t count) noexcept {
  Connection& link = own(base);
  if (link.state != State::established) return;  // they come back with its end
  std::vector<Operation*> posted;
  for (Operation& operation : operations_)
    if (operation.link == &link && !operation.sends && !operation.taken_back)
      posted.push_back(&operation);
  std::sort(posted.begin(), posted.end(),
            [](const Operation* a, const Operation* b) { return a->order > b->order; });
  posted.resize(std::min<std::size_t>(posted.size(), count));
  for (Operation* one : posted) {
    one->taken_back = true;
    if (ofi::attempt(host_, "fi_cancel", [&] {
          return static_cast<ssize_t>(fi_cancel(&link.endpoint->fid, &one->room));
        }) == 0)
      continue;
    one->taken_back = false;  // not every provider can
    ++link.spare;
  }
}

int OfiFabric::post_empty(Link& link, std::uint32_t count) noexcept {
  int number = 0;
  for (; count != 0 && number == 0; --count) number = receive(own(link), messages::kNoSlot);
  return number;
}

int OfiFabric::send(Link& link, const Outgoing& what) noexcept {
  Connection& by = own(link);
  const int number = by.waiting.empty() ? try_send(by, what) : EAGAIN;
  if (number != EAGAIN) return errno_of(number);
  if (by.waiting.empty()) waiting_.push_back(&by);
  by.waiting.push_back(what);
  return 0;
}

int OfiFabric::try_send(Connection& link, const Outgoing& what) noexcept {
  if (link.endpoint == nullptr) return ECONNRESET;
  Operation& operation = take(link);
  operation.cookie = what.cookie;
  operation.sends = true;
  // A message without bytes has a piece as well: `verbs` sends what is short from a copy, and
  // writes where that is into the first piece's place (vrb_send_iov of 1.17).
  const Registered& memory = what.length == 0   ? room_for_nothing_
                             : what.memory == 0 ? device_.region()
                                                : spill_;
  iovec piece{memory.base + (what.length == 0 ? 0 : what.offset), what.length};
  void* descriptor = memory.descriptor();
  fi_msg message{};
  message.msg_iov = &piece;
  message.desc = &descriptor;
  message.iov_count = 1;
  message.context = &operation.room;
  message.data = what.immediate;
  std::uint64_t flags = FI_REMOTE_CQ_DATA | FI_COMPLETION;
  // A sender's connection ends when its last message, one without bytes, has been told to be sent.
  // Where that came from this side's kernel alone, what is still in it would be lost (TCP answers
  // bytes that come after close(2) with a reset). A receiver does not wait for a sender that may
  // never look again.
  if (what.length == 0 && spec_.slots == 0 && device_.confirms()) flags |= FI_DELIVERY_COMPLETE;
  const int number = ofi::attempt(host_, "fi_sendmsg",
                                  [&] { return fi_sendmsg(link.endpoint.get(), &message, flags); });
  if (number != 0) put(operation);
  return number;
}

void OfiFabric::retry_sends() {
  if (waiting_.empty()) return;
  std::erase_if(waiting_, [this](Connection* link) {
    while (!link->waiting.empty()) {
      const int number = try_send(*link, link->waiting.front());
      if (number == EAGAIN) return false;
      if (number != 0) {
        link->waiting.clear();
        end(*link, errno_of(number));
        return true;
      }
      link->waiting.pop_front();
    }
    return true;
  });
}

// ---- poll

std::uint32_t OfiFabric::poll(std::span<Event> out) noexcept {
  out_ = out;
  count_ = 0;
  for (; count_ < out.size() && !pending_.empty(); pending_.pop_front())
    out[count_++] = pending_.front();
  if (lost_ != 0) {
    read_events();  // to refuse who comes
  } else if (count_ < out.size()) {
    retry_sends();
    if (quiet_ || ++turns_ % kTurnsWithoutEvents == 0) read_events();
    quiet_ = false;
    while (!quiet_ && lost_ == 0 && count_ < out.size())
      quiet_ = !read_completions(static_cast<std::uint32_t>(out.size() - count_));
    if (quiet_) finish_endings();
  }
  if (lost_ != 0 && !told_lost_) {
    told_lost_ = true;
    unwatch(completions_->fid);
    if (events_lost_) unwatch(events_->fid);
    tell({.kind = Event::Kind::lost, .number = lost_});
  }
  out_ = {};
  return count_;
}

bool OfiFabric::arm() noexcept {
  if (!pending_.empty() || !ending_.empty() || !waiting_.empty()) return false;
  if (lost_ != 0 && (!told_lost_ || events_lost_)) return told_lost_;
  fid* both[] = {&events_->fid, &completions_->fid};
  return ofi::attempt(host_, "fi_trywait", [&] {
           return static_cast<ssize_t>(fi_trywait(&device_.fabric(), both, lost_ != 0 ? 1 : 2));
         }) == 0;
}

bool OfiFabric::read_completions(std::uint32_t most) {
  std::array<fi_cq_data_entry, kCompletionsAtOnce> entries;
  ssize_t count = 0;
  const int number = ofi::attempt(
      host_, "fi_cq_read",
      [&] {
        return fi_cq_read(completions_.get(), entries.data(), std::min(most, kCompletionsAtOnce));
      },
      &count);
  if (number == EAGAIN) return false;
  if (number == FI_EAVAIL)
    read_completion_error();
  else if (number != 0 && number != EINTR)
    lose(number);
  for (const fi_cq_data_entry& entry : std::span{entries}.first(static_cast<std::size_t>(count)))
    on_completion(entry);
  return lost_ == 0;
}

void OfiFabric::on_completion(const fi_cq_data_entry& entry) {
  auto& operation = *reinterpret_cast<Operation*>(entry.op_context);
  Connection* const link = operation.link;
  if (link == nullptr) return;
  Event event{.slot = operation.slot, .link = link};
  if (operation.sends) {
    event = {.kind = Event::Kind::sent, .link = link, .cookie = operation.cookie};
  } else {
    const bool said = (entry.flags & FI_REMOTE_CQ_DATA) != 0 && entry.data <= UINT32_MAX;
    event.kind = Event::Kind::message;
    event.length = static_cast<std::uint32_t>(entry.len);
    event.immediate = said ? static_cast<std::uint32_t>(entry.data) : kNoImmediate;
  }
  put(operation);
  if (event.kind == Event::Kind::message) return on_message(*link, event);
  if (link->state != State::ended) tell(event);
}

void OfiFabric::on_message(Connection& link, const Event& event) {
  if (link.state == State::connecting || link.state == State::accepting) read_events();
  switch (link.state) {
    case State::established:
    case State::ending:
      return tell(event);
    case State::ended:
      if (event.slot != messages::kNoSlot) link.unused.push_back(event.slot);
      return;
    default:
      link.early.push_back(event);
  }
}

void OfiFabric::read_completion_error() {
  fi_cq_err_entry entry{};
  const int number = ofi::attempt(host_, "fi_cq_readerr",
                                  [&] { return fi_cq_readerr(completions_.get(), &entry, 0); });
  if (number == EAGAIN) return;
  if (number != 0) return lose(number);
  auto* const operation = static_cast<Operation*>(entry.op_context);
  if (operation == nullptr || operation->link == nullptr) return;
  Connection& link = *operation->link;
  const bool sends = operation->sends, taken_back = operation->taken_back;
  const std::uint64_t cookie = operation->cookie;
  const std::uint32_t slot = operation->slot;
  put(*operation);
  if (!sends && taken_back && link.state == State::established)
    return tell({.kind = Event::Kind::unposted, .slot = slot, .link = &link});
  if (!sends && slot != messages::kNoSlot) link.unused.push_back(slot);
  // What is called off is so because the connection ended: why is told elsewhere.
  if (entry.err != FI_ECANCELED) end(link, errno_of(entry.err));
  if (sends && link.state != State::ended)
    tell({.kind = Event::Kind::sent,
          .number = link.cause != 0 ? link.cause : errno_of(entry.err),
          .link = &link,
          .cookie = cookie});
}

void OfiFabric::tell(const Event& event) {
  if (pending_.empty() && count_ < out_.size())
    out_[count_++] = event;
  else
    pending_.push_back(event);
}

// ---- how connections end

void OfiFabric::end(Connection& link, int cause) {
  if (link.cause == 0) link.cause = cause;
  if (link.state == State::ending || link.state == State::ended) return;
  link.refused = link.state == State::connecting;
  link.state = State::ending;
  ending_.push_back(&link);
}

void OfiFabric::finish_endings() {
  while (!ending_.empty() && lost_ == 0) {
    Connection& link = *ending_.back();
    ending_.pop_back();
    link.state = State::ended;
    close_endpoint(link);
    tell({.kind = link.refused ? Event::Kind::refused : Event::Kind::ended,
          .number = link.cause,
          .link = &link,
          .data = std::span{link.said}.first(link.refused ? link.said_bytes : 0)});
  }
}

void OfiFabric::close_endpoint(Connection& link) noexcept {
  if (!link.waiting.empty()) {
    link.waiting.clear();
    std::erase(waiting_, &link);
  }
  if (link.endpoint != nullptr) {
    by_endpoint_.erase(&link.endpoint->fid);
    link.endpoint.reset();
    if (link.info != nullptr) reject(link, {});
    // Nothing is added for it any more: after this no completion names what is freed here.
    while (lost_ == 0 && read_completions(kCompletionsAtOnce)) {
    }
  }
  for (Operation& operation : operations_) {
    if (operation.link != &link) continue;
    if (!operation.sends && operation.slot != messages::kNoSlot)
      link.unused.push_back(operation.slot);
    put(operation);
  }
}

void OfiFabric::drop(Link& base, std::vector<std::uint32_t>* ret_slots) noexcept {
  if (auto request = take_request(base)) return reject(*request, {});
  Connection& link = own(base);
  if (link.state == State::ending) std::erase(ending_, &link);
  link.state = State::ended;
  close_endpoint(link);
  const auto forget = [&](const Event& event) {
    if (event.link != &link) return false;
    const bool has_slot = event.kind == Event::Kind::message || event.kind == Event::Kind::unposted;
    if (has_slot && event.slot != messages::kNoSlot) link.unused.push_back(event.slot);
    return true;
  };
  std::erase_if(pending_, forget);
  for (const Event& event : link.early) forget(event);
  ret_slots->insert(ret_slots->end(), link.unused.begin(), link.unused.end());
  links_.erase(&base);
}

void OfiFabric::disconnect(Link& base) noexcept {
  Connection& link = own(base);
  if (link.state == State::ending || link.state == State::ended) return;
  if (link.endpoint != nullptr && link.state != State::made)
    ofi::attempt(host_, "fi_shutdown",
                 [&] { return static_cast<ssize_t>(fi_shutdown(link.endpoint.get(), 0)); });
  end(link, 0);
  link.refused = false;
}

void OfiFabric::lose(int number) noexcept {
  if (lost_ == 0) lost_ = errno_of(number);
}

}  // namespace landfall::ofi
