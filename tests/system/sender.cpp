// SPDX-License-Identifier: Apache-2.0
#include "sender.hpp"

#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <vector>

#include "landfall_test/loopback.hpp"
#include "pattern.hpp"

namespace landfall::test {

Fd connect_to(const Address& to) {
  Fd fd = try_connect_to(to);
  if (!fd)
    ADD_FAILURE() << "connect to " << to.host << " port " << to.port << ": "
                  << std::strerror(errno);
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
