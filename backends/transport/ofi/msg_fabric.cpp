// SPDX-License-Identifier: Apache-2.0
// The data path: receives, sends, and what completes.
#include "ofi/msg_fabric.hpp"

#include <algorithm>

namespace landfall::ofi {

using namespace authoring;
using messages::Event;
using messages::Link;
using messages::Outgoing;
using State = Connection::State;

namespace {

// While completions come all the time, connections wait so many polls at most: looking for them
// costs a system call.
constexpr std::uint32_t kTurnsWithoutEvents = 16;

}  // namespace

MsgFabric::~MsgFabric() {
  for (auto& [link, connection] : links_) connection->endpoint.reset();
  {
    const std::lock_guard lock{device_.requests_mutex};
    for (Listening* listening : listening_) listening->pep.reset();
  }
  completions_.reset();
  events_.reset();
}

landfall_errc MsgFabric::open(landfall_why* why) {
  if (const auto code = open_completions(completions(), why)) return code;
  fi_eq_attr attributes{};
  attributes.wait_obj = FI_WAIT_FD;
  if (const int number = ofi::make<fid_eq>(host_, "fi_eq_open", &events_, [&](fid_eq** out) {
        return fi_eq_open(&device_.fabric(), &attributes, out, nullptr);
      }))
    return refuse_call(why, "fi_eq_open", number);
  const int number = watch(events_->fid);
  return number == 0 ? LANDFALL_ERRC_ok
                     : refuse_os(why, "epoll of libfabric's queues",
                                 LANDFALL_REASON_event_fd_failed, number);
}

/// Room for what may be under way. `verbs` takes the receives of whole connections out of it, as
/// many as go in, and leaves the rest to the sends of all (vrb_ep_bind, prov/verbs of 1.17): so
/// that is made as large as it can be.
std::uint64_t MsgFabric::completions() const noexcept {
  const std::uint64_t per_link = spec_.sends_per_link + spec_.receives_per_link;
  const std::uint64_t under_way = spec_.slots + spec_.links * per_link;
  const std::uint64_t receives = std::max<std::uint64_t>(wanted().receives, 1);
  return (under_way / receives + 1) * receives - 1;
}

// ---- what is under way

int MsgFabric::receive(Connection& link, std::uint32_t slot) noexcept {
  // Nothing comes to it any more; what came before is told first, and then its end.
  const auto call_off = [&] {
    if (slot != messages::kNoSlot) link.unused.push_back(slot);
    return 0;
  };
  if (link.state == State::ending || link.state == State::ended) return call_off();
  const int number = post_receive(*link.endpoint, take(&link), slot);
  if (number == 0) return 0;
  // Providers take nothing for a connection that the other side has ended meanwhile.
  read_events();
  if (link.state == State::ending) return call_off();
  return number == EAGAIN ? ENOBUFS : errno_of(number);
}

int MsgFabric::post(Link& link, std::span<const std::uint32_t> slots) noexcept {
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

void MsgFabric::take_back(Link& base, std::uint32_t count) noexcept {
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

int MsgFabric::post_empty(Link& link, std::uint32_t count) noexcept {
  int number = 0;
  for (; count != 0 && number == 0; --count) number = receive(own(link), messages::kNoSlot);
  return number;
}

int MsgFabric::try_send(OfiLink& base, const Outgoing& what) noexcept {
  Connection& link = own(base);
  if (link.endpoint == nullptr) return ECONNRESET;
  std::uint64_t flags = 0;
  // A sender's connection ends when its last message, one without bytes, has been told to be sent.
  // Where that came from this side's kernel alone, what is still in it would be lost (TCP answers
  // bytes that come after close(2) with a reset). A receiver does not wait for a sender that may
  // never look again.
  if (what.length == 0 && spec_.slots == 0 && device_.confirms()) flags |= FI_DELIVERY_COMPLETE;
  return post_send(*link.endpoint, FI_ADDR_UNSPEC, take(&link), what, flags);
}

// ---- poll

std::uint32_t MsgFabric::poll(std::span<Event> out) noexcept {
  begin_poll(out);
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

bool MsgFabric::arm() noexcept {
  if (!pending_.empty() || !ending_.empty() || !waiting_.empty()) return false;
  if (lost_ != 0 && (!told_lost_ || events_lost_)) return told_lost_;
  if (!begin_arm()) return false;
  fid* both[] = {&events_->fid, &completions_->fid};
  return ofi::attempt(host_, "fi_trywait", [&] {
           return static_cast<ssize_t>(fi_trywait(&device_.fabric(), both, lost_ != 0 ? 1 : 2));
         }) == 0;
}

void MsgFabric::on_completion(Operation& operation, const fi_cq_data_entry& entry) {
  if (operation.link == nullptr) return;
  Connection& link = own(*operation.link);
  Event event{.slot = operation.slot, .link = &link};
  if (operation.sends) {
    event = {.kind = Event::Kind::sent, .link = &link, .cookie = operation.cookie};
  } else {
    event.kind = Event::Kind::message;
    event.length = static_cast<std::uint32_t>(entry.len);
    event.immediate = immediate_of(entry);
  }
  put(operation);
  if (event.kind == Event::Kind::message) return on_message(link, event);
  if (link.state != State::ended) tell(event);
}

void MsgFabric::on_message(Connection& link, const Event& event) {
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

void MsgFabric::on_failure(Operation& operation, const fi_cq_err_entry& entry) {
  if (operation.link == nullptr) return;
  Connection& link = own(*operation.link);
  const bool sends = operation.sends, taken_back = operation.taken_back;
  const std::uint64_t cookie = operation.cookie;
  const std::uint32_t slot = operation.slot;
  put(operation);
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

// ---- how connections end

void MsgFabric::end(OfiLink& base, int cause) {
  Connection& link = own(base);
  if (link.cause == 0) link.cause = cause;
  if (link.state == State::ending || link.state == State::ended) return;
  link.refused = link.state == State::connecting;
  link.state = State::ending;
  ending_.push_back(&link);
}

void MsgFabric::finish_endings() {
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

void MsgFabric::close_endpoint(Connection& link) noexcept {
  forget_sends(link);
  if (link.endpoint != nullptr) {
    by_endpoint_.erase(&link.endpoint->fid);
    link.endpoint.reset();
    if (link.info != nullptr) reject(link, {});
    // Nothing is added for it any more: after this no completion names what is freed here.
    while (lost_ == 0 && read_completions(UINT32_MAX)) {
    }
  }
  for (Operation& operation : operations_) {
    if (operation.link != &link) continue;
    if (!operation.sends && operation.slot != messages::kNoSlot)
      link.unused.push_back(operation.slot);
    put(operation);
  }
}

void MsgFabric::drop(Link& base, std::vector<std::uint32_t>* ret_slots) noexcept {
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

void MsgFabric::disconnect(Link& base) noexcept {
  Connection& link = own(base);
  if (link.state == State::ending || link.state == State::ended) return;
  if (link.endpoint != nullptr && link.state != State::made)
    ofi::attempt(host_, "fi_shutdown",
                 [&] { return static_cast<ssize_t>(fi_shutdown(link.endpoint.get(), 0)); });
  end(link, 0);
  link.refused = false;
}

}  // namespace landfall::ofi
