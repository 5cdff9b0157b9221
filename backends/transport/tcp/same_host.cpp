// SPDX-License-Identifier: Apache-2.0
#include "tcp/same_host.hpp"

#include <arpa/inet.h>
#include <linux/socket.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace landfall::tcp {
namespace {

bool set(int fd, int level, int option, std::uint32_t value) noexcept {
  return ::setsockopt(fd, level, option, &value, sizeof value) == 0;
}

/// 0: it cannot be told.
std::uint32_t rcvbuf_of(int fd) noexcept {
  std::uint32_t bytes = 0;
  socklen_t length = sizeof bytes;
  return ::getsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length) == 0 ? bytes : 0;
}

/// SO_RCVLOWAT makes room for what it asks for: how much memory that is depends on the kernel and
/// on what came so far (tcp_set_rcvlowat, net/ipv4/tcp.c; tcp_space_from_win). So it is tried.
std::uint32_t grow_rcvbuf(int fd, std::uint32_t have, std::uint32_t want) noexcept {
  std::uint32_t now = have, lowat = want / 16;
  while (now == have && lowat < want) {
    lowat *= 2;
    if (!set(fd, SOL_SOCKET, SO_RCVLOWAT, lowat)) break;
    now = rcvbuf_of(fd);
  }
  if (now > have && now < want) {
    const std::uint64_t exact = std::uint64_t{lowat} * want / now;
    set(fd, SOL_SOCKET, SO_RCVLOWAT, static_cast<std::uint32_t>(exact));
  }
  set(fd, SOL_SOCKET, SO_RCVLOWAT, 1);
  return rcvbuf_of(fd);
}

}  // namespace

std::uint32_t same_host_rcvbuf() noexcept {
  static const auto bytes =
      static_cast<std::uint32_t>(std::clamp(::sysconf(_SC_LEVEL2_CACHE_SIZE), 1L << 20, 2L << 20));
  return bytes;
}

bool is_on_this_host(int fd) noexcept {
  sockaddr_in6 here{}, there{};  // the largest that TCP has
  socklen_t here_length = sizeof here, there_length = sizeof there;
  if (::getsockname(fd, reinterpret_cast<sockaddr*>(&here), &here_length) != 0 ||
      ::getpeername(fd, reinterpret_cast<sockaddr*>(&there), &there_length) != 0) {
    return false;
  }
  if (here.sin6_family == AF_INET6)
    return std::memcmp(&here.sin6_addr, &there.sin6_addr, sizeof here.sin6_addr) == 0;
  sockaddr_in here4{}, there4{};
  std::memcpy(&here4, &here, sizeof here4);
  std::memcpy(&there4, &there, sizeof there4);
  return here4.sin_addr.s_addr == there4.sin_addr.s_addr;
}

bool fix_rcvbuf(int fd) noexcept {
  std::uint32_t locks = 0;
  socklen_t length = sizeof locks;
  if (::getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &length) != 0) return false;
  const std::uint32_t have = rcvbuf_of(fd);
  if ((locks & SOCK_RCVBUF_LOCK) != 0 || have == 0) return false;
  const std::uint32_t want = same_host_rcvbuf();
  const std::uint32_t now = have < want / 8 * 7 ? grow_rcvbuf(fd, have, want) : have;
  // A smaller one would be worse than the kernel's; a larger one is the kernel's.
  if (now < want / 8 * 7 || now > want / 8 * 9) return false;
  // The mark has made the window as small as itself; a window of all that there is room for.
  return set(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, now) &&
         set(fd, SOL_SOCKET, SO_BUF_LOCK, locks | SOCK_RCVBUF_LOCK);
}

void unfix_rcvbuf(int fd) noexcept {
  std::uint32_t locks = 0;
  socklen_t length = sizeof locks;
  if (::getsockopt(fd, SOL_SOCKET, SO_BUF_LOCK, &locks, &length) == 0)
    set(fd, SOL_SOCKET, SO_BUF_LOCK, locks & ~std::uint32_t{SOCK_RCVBUF_LOCK});
}

}  // namespace landfall::tcp
