// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <span>

#include "landfall/abi/backend.h"

namespace landfall::devmem {

// Facts of the kernel's interface, newer than the headers of distributions
// (include/uapi/linux/uio.h, asm-generic/socket.h, include/linux/socket.h, Linux 7.3).
inline constexpr int kMsgSockDevmem = 0x2000000;
inline constexpr int kScmLinear = 78;   // bytes of this piece lie in the iovec
inline constexpr int kScmDmabuf = 79;   // bytes of this piece lie in a page of a dma-buf
inline constexpr int kSoDontneed = 80;  // gives pages back
inline constexpr int kSoIncomingNapiId = 56;
/// What a control buffer that cannot hold one message more is answered with, instead of any byte
/// (ETOOSMALL, include/linux/errno.h).
inline constexpr int kTooSmall = 525;

/// What the kernel says of one piece. frag_offset counts from the start of the dma-buf.
struct DmabufCmsg {
  std::uint64_t frag_offset;
  std::uint32_t frag_size, frag_token, dmabuf_id, flags;
};

/// Pages to give back, by the tokens of one socket.
struct TokenRange {
  std::uint32_t start, count;
};
/// Most ranges and pages in one call (MAX_DONTNEED_TOKENS, MAX_DONTNEED_FRAGS, net/core/sock.c).
inline constexpr std::uint32_t kRangesMax = 128;
inline constexpr std::uint32_t kPagesMax = 1024;

/// The calls that only sockets on a devmem queue answer. A table, so that tests can be the kernel.
struct Kernel {
  ssize_t (*recvmsg)(int fd, msghdr* message, int flags) noexcept;
  /// How many pages were given back, of the first ranges; -1: errno.
  int (*dontneed)(int fd, const TokenRange* ranges, std::uint32_t count) noexcept;
  /// Of the queue that the socket's last packet came by; 0: none.
  std::uint32_t (*incoming_napi)(int fd) noexcept;
};
extern const Kernel kRealKernel;

/// Does this kernel know devmem TCP at all? Asked of a socket that is closed again.
landfall_errc probe_kernel(const landfall_host* host, landfall_why* reterr_why);

}  // namespace landfall::devmem
