// SPDX-License-Identifier: Apache-2.0
// What a socket, recvmsg(2) and sendmsg(2) know of device memory since Linux 6.12 and 6.16; Debian
// 12's headers do not.
// kernel/uapi/compare.sh holds it against newer headers.
#pragma once
#include <cstddef>
#include <cstdint>

namespace landfall::uapi::devmem {

inline constexpr int kMsgSockDevmem = 0x2000000;  // MSG_SOCK_DEVMEM, flag of recvmsg(2)
inline constexpr int kScmLinear = 78;             // SCM_DEVMEM_LINEAR: bytes in the iovec
/// SCM_DEVMEM_DMABUF. From recvmsg(2) a DmabufCmsg: bytes in the dma-buf. To sendmsg(2), with
/// MSG_ZEROCOPY, a 32 bit id of a bind-tx binding: iov_base is an offset in its dma-buf.
inline constexpr int kScmDmabuf = 79;
inline constexpr int kSoDontneed = 80;  // SO_DEVMEM_DONTNEED: gives tokens back

/// struct dmabuf_cmsg. For kScmLinear only `frag_size` means something.
struct DmabufCmsg {
  std::uint64_t frag_offset;  // in the dma-buf
  std::uint32_t frag_size;
  std::uint32_t frag_token;
  std::uint32_t dmabuf_id;  // which binding
  std::uint32_t flags;
};
static_assert(sizeof(DmabufCmsg) == 24);

/// struct dmabuf_token: tokens [token_start, token_start + token_count).
struct DmabufToken {
  std::uint32_t token_start;
  std::uint32_t token_count;
};
static_assert(sizeof(DmabufToken) == 8);

/// In one call of setsockopt(SO_DEVMEM_DONTNEED) (net/core/sock.c, MAX_DONTNEED_TOKENS and
/// MAX_DONTNEED_FRAGS); past the second it answers how many it took.
inline constexpr std::size_t kTokenRangesMax = 128;
inline constexpr std::size_t kTokensMax = 1024;

}  // namespace landfall::uapi::devmem
