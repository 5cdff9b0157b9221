// SPDX-License-Identifier: Apache-2.0
#include "lab/direct/calls.hpp"

#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <atomic>

#include "landfall/uapi/devmem.hpp"

namespace {
std::atomic<std::uint64_t> g_receives{0}, g_returns{0};
}  // namespace

// The program's own definitions come before the C library's, for every library in the process.
extern "C" {
ssize_t recvmsg(int fd, msghdr* message, int flags) {
  if ((flags & landfall::uapi::devmem::kMsgSockDevmem) != 0) ++g_receives;
  return ::syscall(SYS_recvmsg, fd, message, flags);
}
int setsockopt(int fd, int level, int optname, const void* optval, socklen_t optlen) {
  if (level == SOL_SOCKET && optname == landfall::uapi::devmem::kSoDontneed) ++g_returns;
  return static_cast<int>(::syscall(SYS_setsockopt, fd, level, optname, optval, optlen));
}
}

namespace landfall::lab {

Calls calls_so_far() noexcept {
  return {g_receives.load(), g_returns.load()};
}

}  // namespace landfall::lab
