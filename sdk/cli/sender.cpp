// SPDX-License-Identifier: Apache-2.0
#include "sender.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/sendfile.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "crc32c.hpp"

namespace landfall::cli {
namespace {

// One checksum and one system call or two per this many bytes; small enough to stay in the cache
// between reading it for the checksum and sending it.
constexpr std::uint32_t kChunk = 1u << 20;

Error broken(const char* call) {
  const int number = errno;
  if (number == EPIPE || number == ECONNRESET)
    return os_error("", ReasonCode::peer_reset, number)
        .with("the receiver ended the connection before it had everything: see its messages");
  return os_error(call, ReasonCode::none, number);
}

Error cannot_read(const std::string& path) {
  const int number = errno;
  return os_error("", ReasonCode::none, number)
      .with("cannot read '" + path + "': " + std::strerror(number));
}

Error changed(const std::string& path) {
  return Error{Errc::io, "", ReasonCode::stream_checksum}.with("'" + path +
                                                               "' shrank while it was sent");
}

std::string text_of_system(int number) {
  return std::strerror(number);
}

}  // namespace

Result<Fd> connect_to(const Address& to, std::chrono::milliseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto deadline = Clock::now() + timeout;
  addrinfo hints{};
  hints.ai_socktype = SOCK_STREAM;
  addrinfo* found = nullptr;
  const std::string host = to.host.empty() ? "localhost" : to.host;
  const int resolved = ::getaddrinfo(host.c_str(), std::to_string(to.port).c_str(), &hints, &found);
  if (resolved != 0)
    return Error{Errc::not_found, "getaddrinfo", ReasonCode::address_not_found, Origin::resolver,
                 resolved}
        .with("'" + host + "': " + ::gai_strerror(resolved));
  const std::unique_ptr<addrinfo, decltype(&::freeaddrinfo)> list{found, &::freeaddrinfo};
  int last = ETIMEDOUT;
  for (;;) {
    for (const addrinfo* a = list.get(); a != nullptr; a = a->ai_next) {
      Fd socket{::socket(a->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0)};
      if (!socket) {
        last = errno;
        continue;
      }
      if (::connect(socket.get(), a->ai_addr, a->ai_addrlen) != 0) {
        if (errno != EINPROGRESS) {
          last = errno;
          continue;
        }
        const auto left =
            std::chrono::duration_cast<std::chrono::milliseconds>(deadline - Clock::now());
        pollfd fd{socket.get(), POLLOUT, 0};
        ::poll(&fd, 1, static_cast<int>(std::max<std::int64_t>(left.count(), 0)));
        int error = ETIMEDOUT;
        socklen_t length = sizeof error;
        if ((fd.revents & (POLLOUT | POLLERR | POLLHUP)) != 0)
          ::getsockopt(socket.get(), SOL_SOCKET, SO_ERROR, &error, &length);
        if (error != 0) {
          last = error;
          continue;
        }
      }
      ::fcntl(socket.get(), F_SETFL, ::fcntl(socket.get(), F_GETFL) & ~O_NONBLOCK);
      return socket;
    }
    const auto left = deadline - Clock::now();
    if (left <= Clock::duration::zero()) break;
    // The receiver may be starting: knock again soon, but do not spin.
    std::this_thread::sleep_for(std::min<Clock::duration>(left, std::chrono::milliseconds{50}));
  }
  return os_error("connect", ReasonCode::peer_unreachable, last)
      .with(host + " port " + std::to_string(to.port) + ": " + text_of_system(last));
}

Result<void> Sender::write_all(std::span<const std::byte> bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return broken("send");
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return {};
}

Result<void> Sender::begin(const StreamHead& head) {
  return write_all(encode(head));
}

Result<void> Sender::send_file_range(int file, std::uint64_t offset, std::uint64_t length) {
  auto at = static_cast<off_t>(offset);
  while (length != 0) {
    // Linux moves at most 2 GiB - 4 KiB per call (sendfile(2)).
    const auto piece = static_cast<std::size_t>(std::min<std::uint64_t>(length, 1u << 30));
    const ssize_t n = ::sendfile(socket_.get(), file, &at, piece);
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return broken("sendfile");
    if (n == 0) return Error{Errc::io, "sendfile", ReasonCode::stream_truncated};
    length -= static_cast<std::uint64_t>(n);
    sent_bytes_.fetch_add(static_cast<std::uint64_t>(n), std::memory_order_relaxed);
  }
  return {};
}

Result<void> Sender::send_chunk(int file, std::uint64_t offset, std::uint32_t length) {
  // The checksum comes before the bytes: read them once for it, and let sendfile take the pages.
  constexpr std::size_t kPiece = 256u << 10;
  scratch_.resize(std::max(scratch_.size(), kPiece));
  std::uint32_t crc = 0;
  for (std::uint32_t done = 0; done < length;) {
    const std::size_t piece = std::min<std::size_t>(kPiece, length - done);
    const ssize_t n = ::pread(file, scratch_.data(), piece, static_cast<off_t>(offset + done));
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return os_error("pread");
    if (n == 0) return Error{Errc::io, "pread", ReasonCode::stream_truncated};
    crc = crc32c(std::span{scratch_}.first(static_cast<std::size_t>(n)), crc);
    done += static_cast<std::uint32_t>(n);
  }
  LANDFALL_CHECK(write_all(encode_chunk(offset, length, crc)));
  LANDFALL_CHECK(send_file_range(file, offset, length));
  object_bytes_ += length;
  return {};
}

/// The parts of the file that hold data; holes are not sent.
Result<void> Sender::send_extents(int file, const SendItem& item) {
  const std::uint64_t size = item.head.size_bytes;
  std::uint64_t at = 0;
  while (at < size) {
    off_t data = ::lseek(file, static_cast<off_t>(at), SEEK_DATA);
    off_t hole = static_cast<off_t>(size);
    if (data < 0 && errno == ENXIO) break;        // a hole up to the end
    if (data < 0) data = static_cast<off_t>(at);  // the file system cannot tell: all is data
    if (const off_t end = ::lseek(file, data, SEEK_HOLE); end > data) hole = end;
    at = static_cast<std::uint64_t>(data);
    const std::uint64_t end = std::min(static_cast<std::uint64_t>(hole), size);
    while (at < end) {
      const auto length = static_cast<std::uint32_t>(std::min<std::uint64_t>(end - at, kChunk));
      if (const auto sent = send_chunk(file, at, length); !sent)
        return sent.error().reason() == ReasonCode::stream_truncated ? changed(item.path)
                                                                     : sent.error();
      at += length;
    }
  }
  return {};
}

/// Standard input: its length shows at its end.
Result<void> Sender::send_unknown(int file, std::uint64_t* ret_size) {
  scratch_.resize(kChunk);
  std::uint64_t offset = 0;
  for (;;) {
    std::size_t filled = 0;
    while (filled < scratch_.size()) {
      const ssize_t n = ::read(file, &scratch_[filled], scratch_.size() - filled);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return cannot_read("-");
      if (n == 0) break;
      filled += static_cast<std::size_t>(n);
    }
    if (filled == 0) break;
    const auto bytes = std::span{scratch_}.first(filled);
    LANDFALL_CHECK(
        write_all(encode_chunk(offset, static_cast<std::uint32_t>(filled), crc32c(bytes))));
    LANDFALL_CHECK(write_all(bytes));
    sent_bytes_.fetch_add(filled, std::memory_order_relaxed);
    offset += filled;
  }
  object_bytes_ = offset;
  *ret_size = offset;
  return {};
}

Result<void> Sender::send(const SendItem& item) {
  Fd file;
  std::uint64_t size = item.head.size_bytes;
  if (item.path == "-") {
    LANDFALL_TRY(file, Fd::duplicate(STDIN_FILENO));
  } else if (item.head.kind == ObjectKind::file) {
    file.reset(::open(item.path.c_str(), O_RDONLY | O_CLOEXEC | O_NOFOLLOW));
    if (!file) return cannot_read(item.path);
  }
  LANDFALL_CHECK(write_all(encode(item.head)));
  LANDFALL_CHECK(write_all(std::as_bytes(std::span{item.head.name})));
  object_bytes_ = 0;
  if (size == kSizeUnknown) {
    LANDFALL_CHECK(send_unknown(file.get(), &size));
  } else if (file) {
    LANDFALL_CHECK(send_extents(file.get(), item));
  }
  LANDFALL_CHECK(write_all(encode_object_end(size, object_bytes_)));
  data_bytes_ += object_bytes_;
  ++objects_;
  return {};
}

Result<void> Sender::send_raw(const SendItem& item) {
  Fd file;
  if (item.path == "-") {
    LANDFALL_TRY(file, Fd::duplicate(STDIN_FILENO));
  } else {
    file.reset(::open(item.path.c_str(), O_RDONLY | O_CLOEXEC));
  }
  if (!file) return cannot_read(item.path);
  ++objects_;
  if (item.head.size_bytes != kSizeUnknown) {
    data_bytes_ = item.head.size_bytes;
    return send_file_range(file.get(), 0, item.head.size_bytes);
  }
  bool pipe = true;
  for (;;) {
    ssize_t n = -1;
    if (pipe) {
      n = ::splice(file.get(), nullptr, socket_.get(), nullptr, kChunk, SPLICE_F_MOVE);
      if (n < 0 && errno == EINVAL) {  // neither end is a pipe: by hand
        pipe = false;
        scratch_.resize(kChunk);
        continue;
      }
    } else {
      n = ::read(file.get(), scratch_.data(), scratch_.size());
    }
    if (n < 0 && errno == EINTR) continue;
    if (n < 0) return broken(pipe ? "splice" : "read");
    if (n == 0) return {};
    if (!pipe) LANDFALL_CHECK(write_all(std::span{scratch_}.first(static_cast<std::size_t>(n))));
    data_bytes_ += static_cast<std::uint64_t>(n);
    sent_bytes_.fetch_add(static_cast<std::uint64_t>(n), std::memory_order_relaxed);
  }
}

Result<void> Sender::finish(bool framed, std::chrono::milliseconds timeout) {
  if (framed) LANDFALL_CHECK(write_all(encode_stream_end(objects_, data_bytes_)));
  if (::shutdown(socket_.get(), SHUT_WR) != 0) return broken("shutdown");
  const auto deadline = std::chrono::steady_clock::now() + timeout;
  std::array<std::byte, 512> ignored;
  for (;;) {
    const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(
        deadline - std::chrono::steady_clock::now());
    pollfd fd{socket_.get(), POLLIN, 0};
    const int ready = left.count() > 0 ? ::poll(&fd, 1, static_cast<int>(left.count())) : 0;
    if (ready < 0 && errno == EINTR) continue;
    if (ready == 0)
      return Error{Errc::timed_out, ""}.with("the receiver did not finish in time",
                                             "a larger --finish-timeout");
    const ssize_t n = ::recv(socket_.get(), ignored.data(), ignored.size(), 0);
    if (n == 0) return {};
    if (n < 0 && errno != EINTR) return broken("recv");
  }
}

}  // namespace landfall::cli
