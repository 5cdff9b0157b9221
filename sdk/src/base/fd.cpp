// SPDX-License-Identifier: Apache-2.0
#include "landfall/base/fd.hpp"

#include <fcntl.h>
#include <unistd.h>

namespace landfall {

void Fd::reset(int fd) noexcept {
  // close(2) gives the descriptor back on Linux even where it fails: never repeated.
  if (fd_ >= 0) ::close(fd_);
  fd_ = fd;
}

Result<Fd> Fd::duplicate(int fd) noexcept {
  const int copy = ::fcntl(fd, F_DUPFD_CLOEXEC, 0);
  if (copy >= 0) return Fd{copy};
  const int number = errno;
  return os_error("fcntl(F_DUPFD_CLOEXEC)",
                  number == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none, number);
}

}  // namespace landfall
