// SPDX-License-Identifier: Apache-2.0
// The TCP connections that stand for flows.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "ofi/rdm_fabric.hpp"

namespace landfall::ofi {

using namespace authoring;
using messages::Link;

namespace {

constexpr int kBacklog = 1024;
// Who connects and says nothing has a place until so many others have come.
constexpr std::size_t kStrangersMax = 256;
constexpr std::size_t kEventsAtOnce = 64, kReadAtOnce = 4096;

void set_option(int fd, int level, int name, int value = 1) noexcept {
  static_cast<void>(::setsockopt(fd, level, name, &value, sizeof value));
}

/// Of a flow's connection. What is sent by it goes at once; one that nothing goes by asks whether
/// the other side is there, and nobody waits for longer than twice that time (tcp(7),
/// TCP_USER_TIMEOUT: it takes precedence over the number of tries).
void prepare_socket(int fd, std::uint32_t keepalive_s) noexcept {
  set_option(fd, IPPROTO_TCP, TCP_NODELAY);
  if (keepalive_s == 0) return;
  const int seconds = static_cast<int>(keepalive_s);
  set_option(fd, IPPROTO_TCP, TCP_KEEPIDLE, seconds);
  set_option(fd, IPPROTO_TCP, TCP_KEEPINTVL, std::max(seconds / 4, 1));
  set_option(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, 2000 * seconds);
  set_option(fd, SOL_SOCKET, SO_KEEPALIVE);
}

}  // namespace

int RdmFabric::watch(int fd, Watched& as, std::uint32_t events, int operation) noexcept {
  epoll_event event{};
  event.events = events;
  event.data.ptr = &as;
  return authoring::attempt(host_, "epoll_ctl",
                            [&] { return ::epoll_ctl(epoll_.get(), operation, fd, &event); });
}

std::unique_ptr<Peer> RdmFabric::take_caller(const Link& link) noexcept {
  const std::lock_guard lock{device_.requests_mutex};
  auto node = device_.callers.extract(&link);
  return node.empty() ? nullptr : std::move(node.mapped());
}

// ---- listening

landfall_errc RdmFabric::listen(const void* address, std::uint32_t length,
                                std::unique_ptr<messages::Place>* ret_place, void* ret_address,
                                std::uint32_t* ret_length, landfall_why* why) {
  const auto* at = static_cast<const sockaddr*>(address);
  auto door = std::make_shared<Door>();
  const auto failed = [&](const char* call, int number) {
    return refuse_os(why, call,
                     number == EADDRINUSE ? LANDFALL_REASON_address_in_use : LANDFALL_REASON_none,
                     number);
  };
  int fd = -1;
  int number = authoring::attempt(host_, "socket", [&] {
    return fd = ::socket(at->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
  });
  if (number != 0) return failed("socket", number);
  door->socket.reset(fd);
  set_option(fd, SOL_SOCKET, SO_REUSEADDR);
  number = authoring::attempt(host_, "bind", [&] { return ::bind(fd, at, length); });
  if (number != 0) return failed("bind", number);
  number = authoring::attempt(host_, "listen", [&] { return ::listen(fd, kBacklog); });
  if (number != 0) return failed("listen", number);
  if (ret_address != nullptr) {
    socklen_t bytes = *ret_length;
    number = authoring::attempt(host_, "getsockname", [&] {
      return ::getsockname(fd, static_cast<sockaddr*>(ret_address), &bytes);
    });
    if (number != 0) return failed("getsockname", number);
    *ret_length = bytes;
  }
  const std::lock_guard lock{doors_mutex_};
  number = watch(fd, *door, EPOLLIN, EPOLL_CTL_ADD);
  if (number != 0) return failed("epoll_ctl", number);
  *ret_place = std::make_unique<DoorPlace>(door);
  doors_.push_back(std::move(door));
  return LANDFALL_ERRC_ok;
}

/// The door itself stays until its Fabric goes: an event of it may be on its way.
void RdmFabric::close(messages::Place& base) noexcept {
  const std::lock_guard lock{doors_mutex_};
  Door& door = *static_cast<DoorPlace&>(base).door;
  door.socket.reset();
  door.closed = true;
}

void RdmFabric::admit(Door& door) {
  for (;;) {
    auto peer = std::make_unique<Peer>();
    {
      const std::lock_guard lock{doors_mutex_};
      if (!door.socket) return;
      int fd = -1;
      const int number = authoring::attempt(host_, "accept4", [&] {
        return fd = ::accept4(door.socket.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
      });
      if (number != 0) return;
      peer->socket.reset(fd);
      const auto by = std::find_if(doors_.begin(), doors_.end(),
                                   [&](const auto& one) { return one.get() == &door; });
      peer->by = *by;
    }
    prepare_socket(peer->socket.get(), spec_.keepalive_s);
    strangers_.push_back(std::move(peer));
  }
}

/// Those that have gone, and the oldest of too many, go; new ones are listened to. Not while events
/// may name them.
void RdmFabric::sweep_strangers() {
  std::erase_if(strangers_, [](const auto& one) { return one->state == State::ended; });
  while (strangers_.size() > kStrangersMax) strangers_.pop_front();
  unwatched_ = false;
  for (const auto& one : strangers_) {
    if (!one->watched) one->watched = watch(one->socket.get(), *one, EPOLLIN, EPOLL_CTL_ADD) == 0;
    unwatched_ = unwatched_ || !one->watched;
  }
}

void RdmFabric::on_stranger(Peer& peer) {
  const auto at = std::find_if(strangers_.begin(), strangers_.end(),
                               [&](const auto& one) { return one.get() == &peer; });
  const std::size_t whole =
      peer.in.size() < messages::kContactBytes ? 0 : messages::contact_bytes(peer.in);
  const bool malformed = peer.in.size() >= messages::kContactBytes && whole == 0;
  bool closed = false;
  {
    const std::lock_guard lock{doors_mutex_};
    closed = peer.by->closed;
  }
  if (malformed || closed || (whole != 0 && peer.in.size() > whole)) {
    peer.state = State::ended;
    peer.socket.reset();
    return;
  }
  if (whole == 0 || peer.in.size() < whole) return;
  static_cast<void>(watch(peer.socket.get(), peer, 0, EPOLL_CTL_DEL));
  peer.contact = std::exchange(peer.in, {});
  peer.state = State::requested;
  peer.by.reset();
  std::unique_ptr<Peer> request = std::move(*at);
  strangers_.erase(at);
  {
    const std::lock_guard lock{device_.requests_mutex};
    device_.callers.emplace(&peer, std::move(request));
  }
  tell({.kind = Event::Kind::request,
        .link = &peer,
        .data = std::span{peer.contact}.first(messages::kHelloBytes)});
}

// ---- who is who

/// The hello, and where messages go to where they come here.
int RdmFabric::introduce(Peer& peer, std::span<const std::byte> hello) noexcept {
  if (hello.size() < messages::kHelloBytes) return EINVAL;
  const std::size_t name_bytes = receives() ? name_.size() : 0;
  const auto contact = messages::encode_contact(hello, name_bytes);
  peer.out.insert(peer.out.end(), contact.begin(), contact.end());
  if (receives()) {
    peer.out.insert(peer.out.end(), name_.begin(), name_.end());
    messages::Hello mine;
    if (messages::decode(hello, messages::Role::receiver, &mine) == messages::Refusal::none) {
      peer.number = mine.flow;
      by_number_[mine.flow] = &peer;
    }
  }
  return 0;
}

/// Finds the endpoint that the other side named.
int RdmFabric::resolve(Peer& peer) noexcept {
  const auto name = std::span{peer.contact}.subspan(messages::kContactBytes);
  if (receives()) return 0;
  if (name.empty()) return messages::kBrokeRules;
  const std::string key{reinterpret_cast<const char*>(name.data()), name.size()};
  if (const auto found = known_.find(key); found != known_.end()) {
    peer.address = found->second;
    return 0;
  }
  ssize_t inserted = 0;
  const int number = ofi::attempt(
      host_, "fi_av_insert",
      [&] {
        return static_cast<ssize_t>(
            fi_av_insert(addresses_.get(), name.data(), 1, &peer.address, 0, nullptr));
      },
      &inserted);
  if (number != 0) return errno_of(number);
  if (inserted != 1) return EHOSTUNREACH;
  known_.emplace(key, peer.address);
  return 0;
}

landfall_errc RdmFabric::prepare(const void* address, std::uint32_t length, void* owner,
                                 Link** ret_link, landfall_why* why) {
  if (lost_ != 0)
    return authoring::refuse(why, LANDFALL_ERRC_device_lost, LANDFALL_REASON_rdma_device_lost);
  const auto* to = static_cast<const std::byte*>(address);
  auto made = std::make_unique<Peer>();
  Peer& peer = *made;
  peer.owner = owner;
  peer.state = State::made;
  peer.to.assign(to, to + length);
  int fd = -1;
  if (const int number = authoring::attempt(host_, "socket", [&] {
        return fd = ::socket(static_cast<const sockaddr*>(address)->sa_family,
                             SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
      }))
    return refuse_os(why, "socket", LANDFALL_REASON_none, number);
  peer.socket.reset(fd);
  prepare_socket(fd, spec_.keepalive_s);
  links_.emplace(&peer, std::move(made));
  *ret_link = &peer;
  return LANDFALL_ERRC_ok;
}

int RdmFabric::connect(Link& base, std::span<const std::byte> data) noexcept {
  Peer& peer = own(base);
  if (const int number = introduce(peer, data)) return number;
  peer.state = State::connecting;
  const int number = authoring::attempt(host_, "connect", [&] {
    return ::connect(peer.socket.get(), reinterpret_cast<const sockaddr*>(peer.to.data()),
                     static_cast<socklen_t>(peer.to.size()));
  });
  if (number != 0 && number != EINPROGRESS) {
    end(peer, number);
    return 0;
  }
  return watch(peer.socket.get(), peer, EPOLLIN | EPOLLOUT, EPOLL_CTL_ADD);
}

int RdmFabric::adopt(Link& base, void* owner) {
  auto request = take_caller(base);
  if (request == nullptr) return EINVAL;
  Peer& peer = *request;
  int number = lost_ != 0 ? ENODEV : resolve(peer);
  if (number == 0) number = watch(peer.socket.get(), peer, EPOLLIN, EPOLL_CTL_ADD);
  if (number != 0) {
    // Nobody can have it any more; who asked has it until it is refused.
    peer.socket.reset();
    const std::lock_guard lock{device_.requests_mutex};
    device_.callers.emplace(&peer, std::move(request));
    return number;
  }
  peer.owner = owner;
  links_.emplace(&peer, std::move(request));
  return 0;
}

int RdmFabric::accept(Link& base, std::span<const std::byte> data) noexcept {
  Peer& peer = own(base);
  if (peer.state != State::requested) return ENOTCONN;
  int number = introduce(peer, data);
  if (number == 0) number = flush(peer);
  if (number == 0) establish(peer);
  return number;
}

void RdmFabric::refuse(Link& base, std::span<const std::byte> data) noexcept {
  const auto request = take_caller(base);
  if (request == nullptr || data.size() < messages::kHelloBytes) return;
  const auto contact = messages::encode_contact(data, 0);
  static_cast<void>(::send(request->socket.get(), contact.data(), contact.size(), MSG_NOSIGNAL));
}

// ---- what is said by them

int RdmFabric::say(Peer& peer, std::span<const std::byte> bytes) noexcept {
  if (peer.state != State::established) return ECONNRESET;
  const bool waits = !peer.out.empty();
  peer.out.insert(peer.out.end(), bytes.begin(), bytes.end());
  return waits ? 0 : flush(peer);
}

int RdmFabric::flush(Peer& peer) noexcept {
  const bool waited = peer.state == State::connecting;  // for EPOLLOUT
  ssize_t sent = 0;
  const int number = authoring::attempt(host_, "send", [&] {
    return sent = ::send(peer.socket.get(), peer.out.data(), peer.out.size(), MSG_NOSIGNAL);
  });
  if (number != 0 && number != EAGAIN) return errno_of(number);
  if (number == 0) peer.out.erase(peer.out.begin(), peer.out.begin() + sent);
  const bool waits = !peer.out.empty();
  if (!waits && !waited) return 0;
  return watch(peer.socket.get(), peer, waits ? EPOLLIN | EPOLLOUT : EPOLLIN, EPOLL_CTL_MOD);
}

void RdmFabric::read_sockets() {
  std::array<epoll_event, kEventsAtOnce> events;
  int count = 0;
  if (authoring::attempt(host_, "epoll_wait", [&] {
        return count = ::epoll_wait(epoll_.get(), events.data(), kEventsAtOnce, 0);
      }) != 0)
    return;
  for (const epoll_event& event : std::span{events}.first(static_cast<std::size_t>(count))) {
    auto* const watched = static_cast<Watched*>(event.data.ptr);
    if (watched == nullptr) continue;  // completions
    if (watched->listens)
      admit(static_cast<Door&>(*watched));
    else
      on_socket(static_cast<Peer&>(*watched), event.events);
  }
  sweep_strangers();
}

void RdmFabric::on_socket(Peer& peer, std::uint32_t events) {
  if (peer.state == State::ending || peer.state == State::ended) return;
  if (peer.state == State::connecting) {
    int number = 0;
    socklen_t bytes = sizeof number;
    if (::getsockopt(peer.socket.get(), SOL_SOCKET, SO_ERROR, &number, &bytes) != 0) number = errno;
    if (number == 0) number = flush(peer);
    if (number != 0) return end(peer, number);
    peer.state = State::greeting;
    return;
  }
  if ((events & EPOLLOUT) != 0 && !peer.out.empty())
    if (const int number = flush(peer)) return end(peer, number);
  if ((events & (EPOLLIN | EPOLLHUP | EPOLLERR)) == 0) return;
  const bool more = read_socket(peer);
  if (peer.state == State::strange) {
    on_stranger(peer);
    if (peer.state == State::strange && !more) {
      peer.state = State::ended;
      peer.socket.reset();
    }
    return;
  }
  if (peer.state == State::greeting) on_contact(peer);
  if (peer.state == State::established) read_words(peer);
  if (!more) end(peer, peer.cause);
}

bool RdmFabric::read_socket(Peer& peer) {
  std::array<std::byte, kReadAtOnce> bytes;
  ssize_t got = 0;
  const int number = authoring::attempt(host_, "recv", [&] {
    return got = ::recv(peer.socket.get(), bytes.data(), bytes.size(), 0);
  });
  if (number == EAGAIN || number == EINTR) return true;
  // Nobody would hear of it that somebody came, so what is not the connection's own end is tried
  // again.
  if (peer.state == State::strange && number != 0 && errno_of(number) != ECONNRESET &&
      number != ETIMEDOUT && number != EHOSTUNREACH)
    return true;
  if (number != 0) peer.cause = errno_of(number);
  if (number != 0 || got == 0) return false;
  peer.in.insert(peer.in.end(), bytes.begin(), bytes.begin() + got);
  return true;
}

/// The answer to who this is.
void RdmFabric::on_contact(Peer& peer) {
  if (peer.in.size() < messages::kContactBytes) return;
  const std::size_t whole = messages::contact_bytes(peer.in);
  if (whole == 0) return end(peer, messages::kBrokeRules);
  if (peer.in.size() < whole) return;
  const auto end_of_it = peer.in.begin() + static_cast<std::ptrdiff_t>(whole);
  peer.contact.assign(peer.in.begin(), end_of_it);
  peer.in.erase(peer.in.begin(), end_of_it);
  const auto other = receives() ? messages::Role::sender : messages::Role::receiver;
  messages::Hello theirs;
  const bool refused = messages::decode(peer.contact, other, &theirs) == messages::Refusal::none &&
                       theirs.role == messages::Role::refusal;
  if (refused) return end(peer, 0);
  // A hello that is none is told as it came, and found to be none.
  if (const int number = resolve(peer); number != 0 && number != messages::kBrokeRules)
    return end(peer, number);
  establish(peer);
}

void RdmFabric::read_words(Peer& peer) {
  if (receives()) {
    if (!peer.in.empty()) end(peer, messages::kBrokeRules);
    return;
  }
  std::size_t read = 0;
  for (; peer.in.size() - read >= messages::kWordBytes; read += messages::kWordBytes) {
    const std::uint32_t word =
        messages::decode_word(std::span{peer.in}.subspan(read).first<messages::kWordBytes>());
    if (word != messages::kEndHasCome) {
      tell({.kind = Event::Kind::message, .immediate = word, .link = &peer});
    } else if (!peer.sends.empty() && peer.sends.back()->ends) {
      tell_all_sent(peer);
    } else {
      return end(peer, messages::kBrokeRules);
    }
  }
  peer.in.erase(peer.in.begin(), peer.in.begin() + static_cast<std::ptrdiff_t>(read));
}

}  // namespace landfall::ofi
