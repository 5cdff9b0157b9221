// SPDX-License-Identifier: Apache-2.0
#include "serial_writer.hpp"

#include <fcntl.h>
#include <poll.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>
#include <utility>

namespace landfall::cli {

SerialWriter::SerialWriter(int fd, int stop_fd) noexcept : fd_{fd}, stop_fd_{stop_fd} {
  struct stat st {};
  is_socket_ = ::fstat(fd, &st) == 0 && S_ISSOCK(st.st_mode);
}

Fd SerialWriter::unblocked(Fd fd) noexcept {
  struct stat st {};
  if (::fstat(fd.get(), &st) != 0 || !(S_ISFIFO(st.st_mode) || ::isatty(fd.get()) == 1)) return fd;
  // O_NONBLOCK is of the open file, not of the descriptor: opened once more, it is ours.
  const std::string self = "/proc/self/fd/" + std::to_string(fd.get());
  Fd again{::open(self.c_str(), O_WRONLY | O_NONBLOCK | O_NOCTTY | O_CLOEXEC)};
  return again ? std::move(again) : std::move(fd);
}

int SerialWriter::write(std::uint64_t offset, std::span<const std::byte> bytes) noexcept {
  static constexpr std::array<std::byte, 4096> kZeros{};
  while (at_ < offset) {
    const auto count = std::min<std::uint64_t>(offset - at_, kZeros.size());
    if (const int number = write_all(std::span{kZeros}.first(count))) return number;
  }
  return write_all(bytes);
}

int SerialWriter::write_all(std::span<const std::byte> bytes) noexcept {
  while (!bytes.empty()) {
    const ssize_t n = is_socket_
                          ? ::send(fd_, bytes.data(), bytes.size(), MSG_DONTWAIT | MSG_NOSIGNAL)
                          : ::write(fd_, bytes.data(), bytes.size());
    if (n < 0 && errno == EINTR) continue;
    if (n < 0 && errno != EAGAIN) return errno;
    if (n < 0) {
      if (const int number = wait()) return number;
      continue;
    }
    at_ += static_cast<std::uint64_t>(n);
    bytes = bytes.subspan(static_cast<std::size_t>(n));
  }
  return 0;
}

int SerialWriter::wait() const noexcept {
  std::array<pollfd, 2> fds{{{fd_, POLLOUT, 0}, {stop_fd_, POLLIN, 0}}};
  while (::poll(fds.data(), fds.size(), -1) < 0)
    if (errno != EINTR) return errno;
  return fds[0].revents == 0 ? ECANCELED : 0;
}

}  // namespace landfall::cli
