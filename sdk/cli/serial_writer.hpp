// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "landfall/base/fd.hpp"

namespace landfall::cli {

/// Bytes in order to what may take nothing for long: a pipe, a terminal, a socket, the input of a
/// program. Who waits for it can be stopped.
class SerialWriter {
 public:
  /// Both stay the caller's. `stop_fd`: readable when it is to end; -1: never.
  SerialWriter(int fd, int stop_fd) noexcept;

  /// Gaps are filled with zeros; `offset` never goes back. Answers 0 or the errno of write(2);
  /// ECANCELED: stop_fd is readable, and nothing was taken meanwhile.
  int write(std::uint64_t offset, std::span<const std::byte> bytes) noexcept;

  /// The same pipe or terminal as `fd`, which others may have too, so that this process alone does
  /// not block on it; `fd` itself where that cannot be.
  static Fd unblocked(Fd fd) noexcept;

 private:
  int write_all(std::span<const std::byte> bytes) noexcept;
  int wait() const noexcept;

  const int fd_, stop_fd_;
  bool is_socket_ = false;
  std::uint64_t at_ = 0;
};

}  // namespace landfall::cli
