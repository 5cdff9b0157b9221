// SPDX-License-Identifier: Apache-2.0
// The data path: receives, sends, and the order of what comes.
#include "ofi/rdm_fabric.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <bit>

namespace landfall::ofi {

using namespace authoring;
using messages::Link;
using messages::Outgoing;

namespace {

// While completions come all the time, sockets wait so many polls at most: looking at them costs a
// system call.
constexpr std::uint32_t kTurnsWithoutSockets = 16;
constexpr std::uint64_t kRoomLeast = 256;  // of an endpoint, for either direction

}  // namespace

RdmFabric::~RdmFabric() {
  // `ofi_rxm` crashes when it closes a connection whose other side has just granted credits of its
  // own (rxm_close_conn posts a receive to what it has closed, 1.17 and 2.1): so those are read.
  if (enabled_ && lost_ == 0)
    while (read_completions(UINT32_MAX)) {
    }
  endpoint_.reset();
  addresses_.reset();
  completions_.reset();
}

landfall_errc RdmFabric::open(landfall_why* why) {
  const std::uint64_t under_way =
      spec_.slots + std::uint64_t{spec_.links} * spec_.sends_per_link + 1;
  if (const auto code = open_completions(under_way, why)) return code;
  const auto step = [&](const char* call, auto&& body) {
    const int number = ofi::attempt(host_, call, [&] { return static_cast<ssize_t>(body()); });
    return number == 0 ? LANDFALL_ERRC_ok : refuse_call(why, call, number);
  };
  const auto made = [&](const char* call, auto* ret_object, auto&& body) {
    const int number = ofi::make(host_, call, ret_object, body);
    return number == 0 ? LANDFALL_ERRC_ok : refuse_call(why, call, number);
  };
  fi_av_attr attributes{};
  attributes.type = device_.info().domain_attr->av_type;
  attributes.count = std::max<std::size_t>(spec_.links, 1);
  landfall_errc code = made("fi_av_open", &addresses_, [&](fid_av** out) {
    return fi_av_open(&device_.domain(), &attributes, out, nullptr);
  });
  const Info info = info_for_endpoint();
  if (info == nullptr)
    return authoring::refuse(why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory);
  if (code == LANDFALL_ERRC_ok)
    code = made("fi_endpoint", &endpoint_, [&](fid_ep** out) {
      return fi_endpoint(&device_.domain(), info.get(), out, nullptr);
    });
  if (code != LANDFALL_ERRC_ok) return code;
  fid_ep* const endpoint = endpoint_.get();
  code = step("fi_ep_bind", [&] { return fi_ep_bind(endpoint, &addresses_->fid, 0); });
  if (code != LANDFALL_ERRC_ok) {
    // Where it was not so much as tried: `ofi_rxm` crashes when it closes an endpoint that has no
    // addresses (rxm_ep_close, 1.17).
    static_cast<void>(fi_ep_bind(endpoint, &addresses_->fid, 0));
    return code;
  }
  if (code == LANDFALL_ERRC_ok)
    code = step("fi_ep_bind",
                [&] { return fi_ep_bind(endpoint, &completions_->fid, FI_TRANSMIT | FI_RECV); });
  if (code == LANDFALL_ERRC_ok) code = step("fi_enable", [&] { return fi_enable(endpoint); });
  if (code != LANDFALL_ERRC_ok) return code;
  enabled_ = true;
  name_.resize(messages::kNameBytesMax);
  std::size_t bytes = name_.size();
  code = step("fi_getname", [&] { return fi_getname(&endpoint->fid, name_.data(), &bytes); });
  name_.resize(std::min(bytes, name_.size()));
  return code;
}

/// With room for what may be under way. Providers take memory for all of it at once.
Info RdmFabric::info_for_endpoint() const {
  Info info = copy_of(device_.info());
  if (info == nullptr) return info;
  const auto room_for = [](std::uint64_t number, std::size_t most) {
    return std::min<std::uint64_t>(std::bit_ceil(std::max(number, kRoomLeast)), most);
  };
  const std::uint64_t sends = receives() ? 0 : std::uint64_t{spec_.links} * spec_.sends_per_link;
  info->tx_attr->size = room_for(sends, info->tx_attr->size);
  info->rx_attr->size = room_for(spec_.slots, info->rx_attr->size);
  return info;
}

// ---- receives

int RdmFabric::post(Link&, std::span<const std::uint32_t> slots) noexcept {
  for (const std::uint32_t slot : slots)
    if (const int number = post_receive(*endpoint_, take(nullptr), slot))
      return number == EAGAIN ? ENOBUFS : errno_of(number);
  return 0;
}

void RdmFabric::post_again(std::uint32_t slot) noexcept {
  if (lost_ != 0) return;
  if (const int number = post_receive(*endpoint_, take(nullptr), slot)) lose(number);
}

void RdmFabric::post_early_again(Peer& peer) noexcept {
  for (const Event& event : peer.early) post_again(event.slot);
  peer.early.clear();
}

void RdmFabric::on_message(Peer& peer, const Event& event) {
  if (peer.state == State::established || peer.state == State::ending) {
    if (!messages::has_order(event.immediate)) return tell(event);
    if (messages::order_of(event.immediate) == peer.order % messages::kOrders) {
      deliver(peer, event);
      if (!peer.early.empty()) deliver_early(peer);
      return;
    }
  }
  // Whoever sends as many that are out of turn as may be under way keeps no rules.
  if (peer.early.size() == device_.window()) {
    post_again(event.slot);
    return end(peer, messages::kBrokeRules);
  }
  peer.early.push_back(event);
}

void RdmFabric::deliver(Peer& peer, Event event) {
  ++peer.order;
  event.immediate = messages::with_order(event.immediate, 0);
  tell(event);
  const auto said = messages::decode_from_sender(event.immediate, event.length);
  if (!said || said->kind != messages::Immediate::Kind::end) return;
  if (const int number = say(peer, messages::encode_word(messages::kEndHasCome))) end(peer, number);
}

void RdmFabric::deliver_early(Peer& peer) {
  const auto turn = [&] {
    return std::find_if(peer.early.begin(), peer.early.end(), [&](const Event& event) {
      return !messages::has_order(event.immediate) ||
             messages::order_of(event.immediate) == peer.order % messages::kOrders;
    });
  };
  for (auto next = turn(); next != peer.early.end(); next = turn()) {
    const Event event = *next;
    peer.early.erase(next);
    if (messages::has_order(event.immediate))
      deliver(peer, event);
    else
      tell(event);
  }
}

void RdmFabric::establish(Peer& peer) {
  peer.state = State::established;
  tell({.kind = Event::Kind::established,
        .link = &peer,
        .data =
            std::span{peer.contact}.first(std::min(peer.contact.size(), messages::kHelloBytes))});
  deliver_early(peer);
}

// ---- sends

int RdmFabric::send(Link& base, const Outgoing& what) noexcept {
  if (!receives()) return OfiFabric::send(base, what);
  if (const int number = say(own(base), messages::encode_word(what.immediate))) return number;
  tell({.kind = Event::Kind::sent, .link = &base, .cookie = what.cookie});
  return 0;
}

int RdmFabric::try_send(OfiLink& base, const Outgoing& what) noexcept {
  Peer& peer = own(base);
  if (peer.state != State::established) return ECONNRESET;
  Outgoing ordered = what;
  const bool has_order = messages::has_order(what.immediate);
  if (has_order) ordered.immediate = messages::with_order(what.immediate, peer.order);
  Operation& operation = take(&peer);
  if (const int number = post_send(*endpoint_, peer.address, operation, ordered, 0)) return number;
  operation.ends = has_order && what.length == 0;
  if (has_order) ++peer.order;
  peer.sends.push_back(&operation);
  return 0;
}

/// Providers are through with short messages before long ones that were sent earlier: those wait
/// until the receiver fetches them (`ofi_rxm`: over 128 KiB).
void RdmFabric::tell_sent(Peer& peer) {
  auto next = peer.sends.begin();
  for (; next != peer.sends.end(); ++next) {
    const Operation& operation = **next;
    if (!operation.done || (operation.ends && operation.number == 0)) break;
    if (peer.state != State::ended)
      tell({.kind = Event::Kind::sent,
            .number = operation.number,
            .link = &peer,
            .cookie = operation.cookie});
    put(**next);
  }
  peer.sends.erase(peer.sends.begin(), next);
}

/// The other side has everything, whether the provider has heard so or not.
void RdmFabric::tell_all_sent(Peer& peer) {
  for (Operation* operation : peer.sends) {
    tell({.kind = Event::Kind::sent, .link = &peer, .cookie = operation->cookie});
    forget(*operation);
  }
  peer.sends.clear();
}

/// Of a send: what becomes of it is of no interest.
void RdmFabric::forget(Operation& operation) noexcept {
  if (operation.done)
    put(operation);
  else
    operation.link = nullptr;  // its completion puts it
}

// ---- poll

std::uint32_t RdmFabric::poll(std::span<Event> out) noexcept {
  begin_poll(out);
  if (lost_ == 0 && count_ < out.size()) {
    retry_sends();
    if (quiet_ || ++turns_ % kTurnsWithoutSockets == 0) read_sockets();
    quiet_ = false;
    while (!quiet_ && lost_ == 0 && count_ < out.size())
      quiet_ = !read_completions(static_cast<std::uint32_t>(out.size() - count_));
    if (quiet_) finish_endings();
  }
  if (lost_ != 0 && !told_lost_) {
    told_lost_ = true;
    unwatch(completions_->fid);
    const std::lock_guard lock{doors_mutex_};
    for (const auto& door : doors_) door->socket.reset();
    strangers_.clear();
    tell({.kind = Event::Kind::lost, .number = lost_});
  }
  out_ = {};
  return count_;
}

bool RdmFabric::arm() noexcept {
  if (!pending_.empty() || !ending_.empty() || !waiting_.empty()) return false;
  if (lost_ != 0) return told_lost_;
  if (unwatched_ || !begin_arm()) return false;
  fid* completions[] = {&completions_->fid};
  return ofi::attempt(host_, "fi_trywait", [&] {
           return static_cast<ssize_t>(fi_trywait(&device_.fabric(), completions, 1));
         }) == 0;
}

void RdmFabric::on_completion(Operation& operation, const fi_cq_data_entry& entry) {
  if (operation.sends) return on_sent(operation, 0);
  const std::uint32_t slot = operation.slot;
  put(operation);
  const std::uint32_t immediate = immediate_of(entry);
  const auto found = by_number_.find(messages::flow_of(immediate));
  if (immediate == kNoImmediate || found == by_number_.end()) return post_again(slot);
  on_message(*found->second, {.kind = Event::Kind::message,
                              .slot = slot,
                              .length = static_cast<std::uint32_t>(entry.len),
                              .immediate = immediate,
                              .link = found->second});
}

/// Whose message it was that did not come whole is known where the provider says what stood beside
/// it; else the sender is told, and ends the connection.
void RdmFabric::on_failure(Operation& operation, const fi_cq_err_entry& entry) {
  const int number = errno_of(entry.err);
  if (operation.sends) return on_sent(operation, number);
  const std::uint32_t slot = operation.slot;
  put(operation);
  const auto found =
      (entry.flags & FI_REMOTE_CQ_DATA) != 0 && entry.data <= UINT32_MAX
          ? by_number_.find(messages::flow_of(static_cast<std::uint32_t>(entry.data)))
          : by_number_.end();
  if (found != by_number_.end()) end(*found->second, number);
  post_again(slot);
}

void RdmFabric::on_sent(Operation& operation, int number) {
  if (operation.link == nullptr) return put(operation);
  Peer& peer = own(*operation.link);
  operation.done = true;
  operation.number = number;
  if (number != 0) end(peer, number);
  tell_sent(peer);
}

// ---- how connections end

void RdmFabric::end(OfiLink& base, int cause) {
  Peer& peer = own(base);
  if (peer.cause == 0) peer.cause = cause;
  if (peer.state == State::ending || peer.state == State::ended) return;
  peer.refused = peer.state == State::connecting || peer.state == State::greeting;
  peer.state = State::ending;
  ending_.push_back(&peer);
}

void RdmFabric::forget_number(const Peer& peer) noexcept {
  const auto found = by_number_.find(peer.number);
  if (found != by_number_.end() && found->second == &peer) by_number_.erase(found);
}

/// What is still under way of it reads this side's memory at most: nothing is written for it that
/// is not thrown away.
void RdmFabric::finish_endings() {
  while (!ending_.empty()) {
    Peer& peer = *ending_.back();
    ending_.pop_back();
    peer.state = State::ended;
    if (!peer.out.empty()) static_cast<void>(flush(peer));
    peer.socket.reset();
    forget_number(peer);
    post_early_again(peer);
    forget_sends(peer);
    const std::size_t said =
        peer.refused ? std::min(peer.contact.size(), messages::kHelloBytes) : 0;
    tell({.kind = peer.refused ? Event::Kind::refused : Event::Kind::ended,
          .number = peer.cause,
          .link = &peer,
          .data = std::span{peer.contact}.first(said)});
  }
}

void RdmFabric::disconnect(Link& base) noexcept {
  Peer& peer = own(base);
  if (peer.state == State::ending || peer.state == State::ended) return;
  if (!peer.out.empty()) static_cast<void>(flush(peer));
  ::shutdown(peer.socket.get(), SHUT_RDWR);
  end(peer, 0);
  peer.refused = false;
}

void RdmFabric::drop(Link& base, std::vector<std::uint32_t>*) noexcept {
  if (take_caller(base) != nullptr) return;
  Peer& peer = own(base);
  if (peer.state == State::ending) std::erase(ending_, &peer);
  peer.state = State::ended;
  forget_sends(peer);
  forget_number(peer);
  post_early_again(peer);
  std::erase_if(pending_, [&](const Event& event) {
    if (event.link != &peer) return false;
    if (event.kind == Event::Kind::message && event.slot != messages::kNoSlot)
      post_again(event.slot);
    return true;
  });
  for (Operation* operation : peer.sends) forget(*operation);
  links_.erase(&base);
}

}  // namespace landfall::ofi
