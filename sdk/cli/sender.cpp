// SPDX-License-Identifier: Apache-2.0
#include "sender.hpp"

#include <fcntl.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <memory>
#include <thread>

#include "base/crc32c.hpp"

namespace landfall::cli {
namespace {

Error cannot_read(const std::string& path) {
  const int number = errno;
  return os_error("", ReasonCode::none, number)
      .with("cannot read '" + path + "': " + std::strerror(number));
}

Error changed(const std::string& path) {
  return Error{Errc::io, "", ReasonCode::stream_checksum}.with("'" + path +
                                                               "' shrank while it was sent");
}

/// Needs no privilege, as long as nobody else has bound the socket (Linux 5.7).
Result<void> leave_by(int socket, const std::string& interface) {
  if (interface.empty() || ::setsockopt(socket, SOL_SOCKET, SO_BINDTODEVICE, interface.c_str(),
                                        static_cast<socklen_t>(interface.size())) == 0)
    return {};
  if (errno == ENODEV)
    return Error{Errc::not_found, "", ReasonCode::interface_unknown}.with(
        "there is no interface '" + interface + "'");
  return os_error("setsockopt(SO_BINDTODEVICE)");
}

std::string text_of_system(int number) {
  return std::strerror(number);
}

}  // namespace

Result<Fd> connect_to(const Address& to, const std::string& interface,
                      std::chrono::milliseconds timeout) {
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
      LANDFALL_CHECK(leave_by(socket.get(), interface));
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

Result<void> Sender::begin(const StreamHead& head) {
  return outlet_->write(encode(head));
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
      const auto length =
          static_cast<std::uint32_t>(std::min<std::uint64_t>(end - at, kPieceBytes));
      if (const auto sent = outlet_->send_chunk(file, at, length); !sent)
        return sent.error().reason() == ReasonCode::stream_truncated ? changed(item.path)
                                                                     : sent.error();
      at += length;
      object_bytes_ += length;
    }
  }
  return {};
}

/// Standard input: its length shows at its end.
Result<void> Sender::send_unknown(int file, std::uint64_t* ret_size) {
  std::uint64_t offset = 0;
  for (;;) {
    LANDFALL_TRY(const std::span<std::byte> room, outlet_->piece());
    LANDFALL_TRY(const std::size_t filled, read_full(file, room));
    if (filled == 0) break;
    const std::uint32_t crc = detail::crc32c(room.first(filled));
    LANDFALL_CHECK(outlet_->write(encode_chunk(offset, static_cast<std::uint32_t>(filled), crc)));
    LANDFALL_CHECK(outlet_->send_piece(filled));
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
  LANDFALL_CHECK(outlet_->write(encode(item.head)));
  LANDFALL_CHECK(outlet_->write(std::as_bytes(std::span{item.head.name})));
  object_bytes_ = 0;
  if (size == kSizeUnknown) {
    LANDFALL_CHECK(send_unknown(file.get(), &size));
  } else if (file) {
    LANDFALL_CHECK(send_extents(file.get(), item));
  }
  LANDFALL_CHECK(outlet_->write(encode_object_end(size, object_bytes_)));
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
    return outlet_->send_range(file.get(), 0, item.head.size_bytes);
  }
  LANDFALL_TRY(data_bytes_, outlet_->send_to_end(file.get()));
  return {};
}

Result<void> Sender::finish(bool framed, std::chrono::milliseconds timeout) {
  if (framed) LANDFALL_CHECK(outlet_->write(encode_stream_end(objects_, data_bytes_)));
  return outlet_->close(timeout);
}

}  // namespace landfall::cli
