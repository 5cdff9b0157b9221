// SPDX-License-Identifier: Apache-2.0
// Plain TCP sockets, made without landfall.
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "landfall/base/fd.hpp"
#include "landfall/transport/flow.hpp"

namespace landfall::test {

/// `address`, whose host is in figures. Another: AF_UNSPEC.
inline sockaddr_storage resolve(const Address& address, socklen_t& ret_length) {
  sockaddr_storage storage{};
  if (auto& v4 = reinterpret_cast<sockaddr_in&>(storage);
      ::inet_pton(AF_INET, address.host.c_str(), &v4.sin_addr) == 1) {
    v4.sin_family = AF_INET;
    v4.sin_port = htons(address.port);
    ret_length = sizeof v4;
  } else if (auto& v6 = reinterpret_cast<sockaddr_in6&>(storage);
             ::inet_pton(AF_INET6, address.host.c_str(), &v6.sin6_addr) == 1) {
    v6.sin6_family = AF_INET6;
    v6.sin6_port = htons(address.port);
    ret_length = sizeof v6;
  }
  return storage;
}

/// Empty: errno says why.
inline Fd try_connect_to(const Address& address) {
  socklen_t length = 0;
  const sockaddr_storage to = resolve(address, length);
  Fd socket{::socket(to.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::connect(socket.get(), reinterpret_cast<const sockaddr*>(&to), length) != 0) socket.reset();
  return socket;
}

/// A listening socket on a free port, of the loopback unless `at` names another address of this
/// host. Empty where there is none.
struct ListeningSocket {
  explicit ListeningSocket(bool ipv6 = false)
      : ListeningSocket{Address{ipv6 ? "::1" : "127.0.0.1", 0}} {}
  explicit ListeningSocket(Address at_address) : address{std::move(at_address)} {
    socklen_t length = 0;
    sockaddr_storage at = resolve(address, length);
    socket.reset(::socket(at.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0));
    auto* generic = reinterpret_cast<sockaddr*>(&at);
    if (::bind(socket.get(), generic, length) != 0 || ::listen(socket.get(), SOMAXCONN) != 0 ||
        ::getsockname(socket.get(), generic, &length) != 0)
      socket.reset();
    address.port = ntohs(at.ss_family == AF_INET6 ? reinterpret_cast<sockaddr_in6&>(at).sin6_port
                                                  : reinterpret_cast<sockaddr_in&>(at).sin_port);
  }
  /// Waits for the next one.
  Fd accept() const { return Fd{::accept4(socket.get(), nullptr, nullptr, SOCK_CLOEXEC)}; }

  Fd socket;
  Address address;
};

/// Two ends of a TCP connection over loopback.
struct SocketPair {
  Fd ours, theirs;
};
inline SocketPair tcp_pair(bool ipv6 = false) {
  const ListeningSocket listening{ipv6};
  Fd theirs = try_connect_to(listening.address);
  return {listening.accept(), std::move(theirs)};
}

}  // namespace landfall::test
