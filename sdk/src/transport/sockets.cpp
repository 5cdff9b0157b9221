// SPDX-License-Identifier: Apache-2.0
#include "transport/sockets.hpp"

#include <arpa/inet.h>
#include <linux/filter.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/ioctl.h>

#include <array>
#include <cstring>
#include <memory>
#include <string>

#include "landfall/base/limits.hpp"

namespace landfall::detail {

Result<std::vector<SocketAddress>> resolve(const ContextCore& context, const Address& address,
                                           bool passive) {
  if (const int number = context.fault("getaddrinfo"); number != 0) {
    return os_error("getaddrinfo", ReasonCode::fault_injected, number);
  }
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  hints.ai_protocol = IPPROTO_TCP;
  hints.ai_flags = AI_NUMERICSERV | (passive ? AI_PASSIVE : 0);
  const std::string port = std::to_string(address.port);
  const bool any = address.host.empty() || address.host == "*";
  // "" to listen on is :: first, which takes IPv4 too; a host without IPv6 answers 0.0.0.0 only.
  const char* host = any ? nullptr : address.host.c_str();
  addrinfo* found = nullptr;
  if (const int code = ::getaddrinfo(host, port.c_str(), &hints, &found); code != 0) {
    return Error{Errc::not_found, "getaddrinfo", ReasonCode::address_not_found, Origin::resolver,
                 code}
        .with("'" + address.host + "': " + ::gai_strerror(code));
  }
  const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner{found, ::freeaddrinfo};
  std::vector<SocketAddress> result;
  for (const addrinfo* entry = found; entry != nullptr; entry = entry->ai_next) {
    SocketAddress one;
    if (entry->ai_addrlen > sizeof one.storage) continue;
    std::memcpy(&one.storage, entry->ai_addr, entry->ai_addrlen);
    one.length = entry->ai_addrlen;
    if (passive && any && one.family() == AF_INET6) {
      result.insert(result.begin(), one);
    } else {
      result.push_back(one);
    }
  }
  if (result.empty()) {
    return Error{Errc::not_found, "getaddrinfo", ReasonCode::address_not_found};
  }
  return result;
}

Address to_address(const SocketAddress& address) {
  Address result;
  std::array<char, INET6_ADDRSTRLEN> text{};
  if (address.family() == AF_INET) {
    const auto* in = reinterpret_cast<const sockaddr_in*>(&address.storage);
    ::inet_ntop(AF_INET, &in->sin_addr, text.data(), text.size());
    result.port = ntohs(in->sin_port);
  } else if (address.family() == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&address.storage);
    ::inet_ntop(AF_INET6, &in6->sin6_addr, text.data(), text.size());
    result.port = ntohs(in6->sin6_port);
  }
  result.host = text.data();
  return result;
}

Result<Address> local_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return os_error("getsockname");
  }
  return to_address(address);
}

Result<Address> peer_address(int fd) {
  SocketAddress address;
  address.length = sizeof address.storage;
  if (::getpeername(fd, reinterpret_cast<sockaddr*>(&address.storage), &address.length) != 0) {
    return os_error("getpeername", ReasonCode::not_connected);
  }
  return to_address(address);
}

namespace {

Error listen_error(const char* op, const SocketAddress& at, int number) {
  const Address address = to_address(at);
  const ReasonCode reason = number == EADDRINUSE      ? ReasonCode::address_in_use
                            : number == EADDRNOTAVAIL ? ReasonCode::address_not_found
                            : number == EACCES        ? ReasonCode::not_permitted
                            : number == EMFILE        ? ReasonCode::nofile_limit
                                                      : ReasonCode::none;
  return os_error(op, reason, number)
      .with(address.host + " port " + std::to_string(address.port) + ": " + std::strerror(number));
}

}  // namespace

Result<Fd> listen_socket(const ContextCore& context, const SocketAddress& at, bool shared) {
  if (const int number = context.fault("socket"); number != 0) {
    return listen_error("socket", at, number);
  }
  Fd fd{::socket(at.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP)};
  if (!fd) return listen_error("socket", at, errno);
  const int one = 1;
  const int zero = 0;
  ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (shared && ::setsockopt(fd.get(), SOL_SOCKET, SO_REUSEPORT, &one, sizeof one) != 0) {
    return os_error("setsockopt(SO_REUSEPORT)");
  }
  if (at.family() == AF_INET6) {
    const auto* in6 = reinterpret_cast<const sockaddr_in6*>(&at.storage);
    if (IN6_IS_ADDR_UNSPECIFIED(&in6->sin6_addr)) {
      ::setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &zero, sizeof zero);
    }
  }
  if (const int number = context.fault("bind"); number != 0)
    return listen_error("bind", at, number);
  if (::bind(fd.get(), at.get(), at.length) != 0) return listen_error("bind", at, errno);
  if (const int number = context.fault("listen"); number != 0) {
    return listen_error("listen", at, number);
  }
  if (::listen(fd.get(), kListenBacklog) != 0) return listen_error("listen", at, errno);
  return fd;
}

Result<void> spread_by_queue(const ContextCore& context, int listener_fd,
                             std::span<const std::uint32_t> queue_ids) {
  // Drivers record queue + 1 (skb_record_rx_queue); an answer out of range leaves it to the hash.
  std::vector<sock_filter> program;
  program.push_back(
      BPF_STMT(BPF_LD | BPF_W | BPF_ABS, static_cast<std::uint32_t>(SKF_AD_OFF + SKF_AD_QUEUE)));
  for (std::uint32_t i = 0; i < queue_ids.size(); ++i) {
    program.push_back(BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, queue_ids[i] + 1, 0, 1));
    program.push_back(BPF_STMT(BPF_RET | BPF_K, i));
  }
  program.push_back(BPF_STMT(BPF_RET | BPF_K, 0xffffffffu));
  const sock_fprog filter{static_cast<unsigned short>(program.size()), program.data()};
  if (const int number = context.fault("setsockopt"); number != 0)
    return os_error("setsockopt(SO_ATTACH_REUSEPORT_CBPF)", ReasonCode::none, number);
  if (::setsockopt(listener_fd, SOL_SOCKET, SO_ATTACH_REUSEPORT_CBPF, &filter, sizeof filter) != 0)
    return os_error("setsockopt(SO_ATTACH_REUSEPORT_CBPF)");
  return {};
}

namespace {

Result<tcp_info> tcp_info_of(const ContextCore& context, int fd, const char* op) {
  if (const int number = context.fault("getsockopt"); number != 0) {
    return os_error("getsockopt", ReasonCode::fault_injected, number);
  }
  int protocol = 0;
  socklen_t length = sizeof protocol;
  // SO_PROTOCOL tells TCP from SCTP, MPTCP and UNIX streams; not a socket at all: ENOTSOCK, EBADF.
  if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0) {
    return Error{Errc::invalid_argument, op, ReasonCode::not_a_tcp_socket, Origin::os, errno};
  }
  if (protocol != IPPROTO_TCP) {
    return Error{Errc::invalid_argument, op, ReasonCode::not_a_tcp_socket};
  }
  tcp_info info{};
  length = sizeof info;
  if (::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length) != 0) {
    return os_error("getsockopt(TCP_INFO)", ReasonCode::not_a_tcp_socket);
  }
  return info;
}

/// A socket that neither sends nor receives: it was connected once if it has a pending error; a
/// listener never was.
Error not_connected(int fd, const tcp_info& info, const char* op) {
  int error = 0;
  socklen_t length = sizeof error;
  if (info.tcpi_state != TCP_LISTEN &&
      ::getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &length) == 0 && error != 0) {
    return os_error(op, ReasonCode::peer_reset, error);
  }
  return Error{Errc::invalid_argument, op, ReasonCode::not_connected};
}

}  // namespace

Result<void> check_sendable(const ContextCore& context, int fd, const char* op) {
  LANDFALL_TRY(const tcp_info info, tcp_info_of(context, fd, op));
  // Closed by the peer is fine: it may read what comes all the same.
  if (info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT) return {};
  return not_connected(fd, info, op);
}

Result<std::uint64_t> check_connected(const ContextCore& context, int fd) {
  constexpr auto kOp = "Receiver::attach";
  LANDFALL_TRY(const tcp_info info, tcp_info_of(context, fd, kOp));
  // Closed by the peer is fine: its bytes and its end are still to be read.
  const bool readable = info.tcpi_state == TCP_ESTABLISHED || info.tcpi_state == TCP_CLOSE_WAIT ||
                        info.tcpi_state == TCP_FIN_WAIT1 || info.tcpi_state == TCP_FIN_WAIT2;
  int queued = 0;
  if (::ioctl(fd, FIONREAD, &queued) != 0) queued = 0;
  if (!readable && queued == 0) return not_connected(fd, info, kOp);
  return static_cast<std::uint64_t>(queued);
}

}  // namespace landfall::detail
