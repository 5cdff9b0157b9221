// SPDX-License-Identifier: Apache-2.0
#include "conformance/peer.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "models/verbs_wire.hpp"

namespace landfall::test {
namespace {

bool send_all(int fd, const void* bytes, std::size_t length) {
  const auto* next = static_cast<const std::byte*>(bytes);
  while (length > 0) {
    const ssize_t sent = ::send(fd, next, length, MSG_NOSIGNAL);
    if (sent < 0 && errno == EINTR) continue;
    if (sent <= 0) return false;
    next += sent;
    length -= static_cast<std::size_t>(sent);
  }
  return true;
}

class SocketPeer : public Peer {
 public:
  explicit SocketPeer(Fd socket) : socket_{std::move(socket)} {
    const int on = 1;  // what is sent alone shall arrive alone
    ::setsockopt(socket_.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  }
  bool send(std::span<const std::byte> bytes) override {
    return send_all(socket_.get(), bytes.data(), bytes.size());
  }
  bool finish() override { return ::shutdown(socket_.get(), SHUT_WR) == 0; }
  void reset() override {
    const linger at_once{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    socket_.reset();
  }
  int wait_for_end() override {
    std::array<std::byte, 4096> ignored;
    for (;;) {
      const ssize_t got = ::recv(socket_.get(), ignored.data(), ignored.size(), 0);
      if (got == 0) return 0;
      if (got < 0 && errno != EINTR) return errno;
    }
  }
  void abort() noexcept override { ::shutdown(socket_.get(), SHUT_RDWR); }

 protected:
  Fd socket_;
};

class VerbsPeer final : public SocketPeer {
 public:
  using SocketPeer::SocketPeer;

  bool send(std::span<const std::byte> bytes) override {
    while (!bytes.empty()) {
      if (credit_ == 0 && !wait_for_credit()) return false;
      const std::span<const std::byte> now = bytes.first(std::min(bytes.size(), slot_bytes_));
      bytes = bytes.subspan(now.size());
      const VerbsFrame frame{static_cast<std::uint32_t>(now.size()),
                             bytes.empty() ? VerbsFrame::kMessageEnd : 0};
      --credit_;
      if (!send_all(socket_.get(), &frame, sizeof frame) || !SocketPeer::send(now)) return false;
    }
    return true;
  }
  bool finish() override {
    const VerbsFrame frame{0, VerbsFrame::kEndOfStream};
    return send_all(socket_.get(), &frame, sizeof frame);
  }

 private:
  bool wait_for_credit() {
    VerbsCredit credit;
    if (::recv(socket_.get(), &credit, sizeof credit, MSG_WAITALL) != sizeof credit) return false;
    credit_ += credit.slots;
    slot_bytes_ = credit.slot_bytes;
    return true;
  }
  std::uint64_t credit_ = 0;
  std::size_t slot_bytes_ = 0;
};

sockaddr_storage resolve(const Address& address, socklen_t& ret_length) {
  sockaddr_storage storage{};
  if (address.host.find(':') != std::string::npos) {
    auto& in6 = reinterpret_cast<sockaddr_in6&>(storage);
    in6.sin6_family = AF_INET6;
    in6.sin6_port = htons(address.port);
    ::inet_pton(AF_INET6, address.host.c_str(), &in6.sin6_addr);
    if (IN6_IS_ADDR_UNSPECIFIED(&in6.sin6_addr)) in6.sin6_addr = in6addr_loopback;
    ret_length = sizeof in6;
  } else {
    auto& in = reinterpret_cast<sockaddr_in&>(storage);
    in.sin_family = AF_INET;
    in.sin_port = htons(address.port);
    ::inet_pton(AF_INET, address.host.c_str(), &in.sin_addr);
    ret_length = sizeof in;
  }
  return storage;
}

}  // namespace

std::unique_ptr<Peer> socket_peer(Fd socket) {
  return std::make_unique<SocketPeer>(std::move(socket));
}
std::unique_ptr<Peer> verbs_peer(Fd socket) {
  return std::make_unique<VerbsPeer>(std::move(socket));
}

ListeningSocket listening_socket(bool ipv6) {
  ListeningSocket made;
  made.address = {ipv6 ? "::1" : "127.0.0.1", 0};
  socklen_t length = 0;
  sockaddr_storage at = resolve(made.address, length);
  made.socket.reset(::socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
  auto* generic = reinterpret_cast<sockaddr*>(&at);
  if (::bind(made.socket.get(), generic, length) != 0 ||
      ::listen(made.socket.get(), SOMAXCONN) != 0 ||
      ::getsockname(made.socket.get(), generic, &length) != 0)
    made.socket.reset();
  made.address.port = ntohs(ipv6 ? reinterpret_cast<sockaddr_in6&>(at).sin6_port
                                 : reinterpret_cast<sockaddr_in&>(at).sin_port);
  return made;
}

Fd connect_to(const Address& address) {
  socklen_t length = 0;
  const sockaddr_storage to = resolve(address, length);
  Fd socket{::socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length) != 0) socket.reset();
  return socket;
}

SocketPair tcp_pair(bool ipv6) {
  const ListeningSocket listening = listening_socket(ipv6);
  SocketPair pair;
  pair.theirs = connect_to(listening.address);
  pair.ours.reset(::accept4(listening.socket.get(), nullptr, nullptr, SOCK_CLOEXEC));
  return pair;
}

}  // namespace landfall::test
