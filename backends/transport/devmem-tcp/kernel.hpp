// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <span>

#include "landfall/abi/backend.h"
#include "landfall/uapi/devmem.hpp"

namespace landfall::devmem {

using uapi::devmem::DmabufCmsg;
using uapi::devmem::DmabufToken;
using uapi::devmem::kMsgSockDevmem;
using uapi::devmem::kScmDmabuf;
using uapi::devmem::kScmLinear;
using uapi::devmem::kTokenRangesMax;
using uapi::devmem::kTokensMax;

/// The calls that only sockets on a devmem queue answer. A table, so that tests can be the kernel.
struct Kernel {
  ssize_t (*recvmsg)(int fd, msghdr* message, int flags) noexcept;
  /// How many pages were given back, of the first ranges; -1: errno.
  int (*dontneed)(int fd, const DmabufToken* ranges, std::uint32_t count) noexcept;
  /// Of the queue that the socket's last packet came by; 0: none.
  std::uint32_t (*incoming_napi)(int fd) noexcept;
};
extern const Kernel kRealKernel;

/// Does this kernel know devmem TCP at all? Asked of a socket that is closed again.
landfall_errc probe_kernel(const landfall_host* host, landfall_why* reterr_why);

}  // namespace landfall::devmem
