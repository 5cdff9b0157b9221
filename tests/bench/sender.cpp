// SPDX-License-Identifier: Apache-2.0
// The sender of every row: port=N bytes=N [host=A.B.C.D] [flows=N] [burst=N] [splice=1]
// [finish=1] [pattern=1]. Connects, waits for a line on standard input, sends. finish: ends the
// streams, for receivers that want to see that. pattern: one flow is 'a' to 'z', again and again.
//   one flow       1 MiB at a time; splice: without a copy, as one sends what will not change
//   several flows  in turn, 16 KiB each; burst: of `flows`, `burst` neighbours at once send 256 KiB
//                  each, then the next ones
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <csignal>

#include "harness.hpp"

namespace {

constexpr std::size_t kTurn = 16 * 1024;
constexpr std::size_t kBurst = 256 * 1024;
constexpr std::size_t kPattern = 26;

int connect_to(const std::string& host, std::uint16_t port, bool small_buffer) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  // Ten thousand flows at full buffers would be limited by tcp_mem, not by the receiver.
  const int buffer_bytes = 512 * 1024;
  if (small_buffer) ::setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &buffer_bytes, sizeof buffer_bytes);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = ::inet_addr(host.c_str());
  at.sin_port = htons(port);
  if (::connect(fd, reinterpret_cast<sockaddr*>(&at), sizeof at) != 0) bench::die("connect");
  return fd;
}

/// The receiver closes when it has had enough: that ends the sender.
void check(ssize_t sent) {
  if (sent >= 0 || errno == EAGAIN) return;
  if (errno == ECONNRESET || errno == EPIPE) std::exit(0);
  bench::die("send");
}

/// What repeats after `period` bytes goes on where the last send() ended: `data` is so much longer.
void send_stream(int fd, const char* data, std::uint64_t bytes, std::size_t period) {
  for (std::uint64_t done = 0; done < bytes;) {
    const ssize_t sent =
        ::send(fd, data + done % period, std::min<std::uint64_t>(bytes - done, bench::kMessage),
               MSG_NOSIGNAL);
    check(sent);
    done += static_cast<std::uint64_t>(sent);
  }
}

/// Pages to refer to: small ones, because a huge one has one count of references for all of it,
/// over which the processors of sender and receiver would fight.
char* small_pages(std::size_t bytes) {
  void* at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (at == MAP_FAILED) bench::die("mmap");
  ::madvise(at, bytes, MADV_NOHUGEPAGE);
  std::memset(at, 1, bytes);
  return static_cast<char*>(at);
}

/// The kernel takes references to the pages, where send() copies them: vmsplice(2) and splice(2).
/// Who sends so may not change the bytes before the peer has acknowledged them.
void splice_stream(int fd, const char* data, std::uint64_t bytes) {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC) != 0 || ::fcntl(ends[1], F_SETPIPE_SZ, bench::kMessage) < 0)
    bench::die("pipe");
  while (bytes > 0) {
    iovec message{const_cast<char*>(data), std::min<std::uint64_t>(bytes, bench::kMessage)};
    ssize_t left = ::vmsplice(ends[1], &message, 1, 0);
    if (left <= 0) bench::die("vmsplice");
    bytes -= static_cast<std::uint64_t>(left);
    while (left > 0) {
      const ssize_t sent =
          ::splice(ends[0], nullptr, fd, nullptr, static_cast<std::size_t>(left), 0);
      check(sent);
      left -= sent;
    }
  }
}

/// Sends `each` bytes on every flow of [begin, end), in turns; a flow whose peer is behind waits.
void send_round(const std::vector<int>& flows, std::size_t begin, std::size_t end,
                std::uint64_t each, const char* data) {
  std::vector<std::pair<int, std::uint64_t>> left;
  for (std::size_t i = begin; i < end; ++i) left.emplace_back(flows[i], each);
  while (!left.empty()) {
    bool stuck = true;
    for (auto& [fd, bytes] : left) {
      const ssize_t sent =
          ::send(fd, data, std::min<std::uint64_t>(bytes, kTurn), MSG_DONTWAIT | MSG_NOSIGNAL);
      check(sent);
      if (sent > 0) bytes -= static_cast<std::uint64_t>(sent);
      stuck = stuck && sent <= 0;
    }
    std::erase_if(left, [](const auto& flow) { return flow.second == 0; });
    if (stuck && !left.empty()) {
      pollfd writable{.fd = left.front().first, .events = POLLOUT, .revents = 0};
      ::poll(&writable, 1, -1);
    }
  }
}

}  // namespace

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  const std::uint64_t bytes = arguments.number("bytes", 4ull << 30);
  const std::size_t flows = arguments.number("flows", 1);
  const std::size_t burst = arguments.number("burst", 0);
  bench::raise_descriptor_limit(flows + 64);
  bench::pin(0);
  std::string pages;
  const bool splices = flows == 1 && arguments.number("splice", 0) != 0;
  char* const data =
      splices ? small_pages(bench::kMessage) : bench::region(bench::kMessage + kPattern, pages);
  const bool pattern = flows == 1 && !splices && arguments.number("pattern", 0) != 0;
  if (pattern) {
    for (std::size_t i = 0; i < bench::kMessage + kPattern; ++i)
      data[i] = static_cast<char>('a' + i % kPattern);
  }
  std::vector<int> sockets;
  for (std::size_t i = 0; i < flows; ++i) {
    sockets.push_back(connect_to(arguments.text("host", "127.0.0.1"),
                                 static_cast<std::uint16_t>(arguments.number("port", 0)),
                                 flows > 1));
  }
  if (std::getchar() == EOF) return 1;
  if (splices) {
    ::signal(SIGPIPE, SIG_IGN);
    splice_stream(sockets[0], data, bytes);
  } else if (flows == 1) {
    send_stream(sockets[0], data, bytes, pattern ? kPattern : 1);
  } else if (burst == 0) {
    send_round(sockets, 0, flows, (bytes + flows - 1) / flows, data);
  } else {
    std::uint64_t sent = 0;
    for (std::size_t at = 0; sent < bytes; at = (at + burst) % flows) {
      const std::size_t end = std::min(at + burst, flows);
      send_round(sockets, at, end, kBurst, data);
      sent += (end - at) * kBurst;
    }
  }
  if (arguments.number("finish", 0) != 0) {
    for (const int fd : sockets) ::shutdown(fd, SHUT_WR);
  }
  // Until the receiver has had enough and closes; no flow ends before.
  char byte;
  while (::recv(sockets.front(), &byte, 1, 0) > 0) {
  }
}
