// SPDX-License-Identifier: Apache-2.0
#include "sender.hpp"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "pattern.hpp"

namespace landfall::test {

Fd connect_to(const Address& to) {
  sockaddr_storage storage{};
  socklen_t length = 0;
  if (auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
      ::inet_pton(AF_INET, to.host.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(to.port);
    length = sizeof *v4;
  } else {
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    EXPECT_EQ(::inet_pton(AF_INET6, to.host.c_str(), &v6->sin6_addr), 1) << to.host;
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(to.port);
    length = sizeof *v6;
  }
  Fd fd{::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd || ::connect(fd.get(), reinterpret_cast<sockaddr*>(&storage), length) != 0) {
    ADD_FAILURE() << "connect to " << to.host << " port " << to.port << ": "
                  << std::strerror(errno);
    fd.reset();
  }
  return fd;
}

bool send_pattern(int fd, std::uint64_t seed, std::uint64_t offset, std::uint64_t bytes,
                  std::size_t chunk) {
  std::vector<std::byte> buffer(std::min<std::uint64_t>(chunk, std::max<std::uint64_t>(bytes, 1)));
  while (bytes > 0) {
    const std::size_t part = std::min<std::uint64_t>(buffer.size(), bytes);
    write_pattern(seed, offset, std::span{buffer}.first(part));
    for (std::size_t done = 0; done < part;) {
      const ssize_t sent = ::send(fd, buffer.data() + done, part - done, MSG_NOSIGNAL);
      if (sent < 0 && errno == EINTR) continue;
      if (sent <= 0) return false;
      done += static_cast<std::size_t>(sent);
    }
    offset += part;
    bytes -= part;
  }
  return true;
}

void set_no_delay(int fd) {
  const int on = 1;
  EXPECT_EQ(::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on), 0);
}

void close_with_reset(Fd& fd) {
  const linger now{1, 0};
  EXPECT_EQ(::setsockopt(fd.get(), SOL_SOCKET, SO_LINGER, &now, sizeof now), 0);
  fd.reset();
}

void finish(int fd) {
  ::shutdown(fd, SHUT_WR);
}

StreamSender::StreamSender(const Address& to, std::uint64_t seed, std::uint64_t bytes,
                           std::size_t chunk)
    : thread_{[=] {
        const Fd fd = connect_to(to);
        if (fd && send_pattern(fd.get(), seed, 0, bytes, chunk)) finish(fd.get());
      }} {}

void StreamSender::join() {
  if (thread_.joinable()) thread_.join();
}

}  // namespace landfall::test
