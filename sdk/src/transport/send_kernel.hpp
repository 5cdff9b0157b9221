// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>
#include <sys/uio.h>

#include <cstddef>
#include <cstdint>

namespace landfall::detail {

/// The kernel is through with the calls [first, last] that sent without copying; they are numbered
/// from 0 for each socket.
struct SendNotice {
  std::uint32_t first = 0, last = 0;
  bool copied = false;  // it has copied after all
};

/// The calls that send without copying. A table, so that tests can be the kernel.
struct SendKernel {
  /// `dmabuf_id` 0: `pieces` are addresses; else offsets in the dma-buf of that binding. -1: errno.
  ssize_t (*send)(int fd, iovec* pieces, std::size_t count, std::uint32_t dmabuf_id,
                  int flags) noexcept;
  /// 1: `*ret_notice` was read; 0: there is none now; -1: errno.
  int (*notice)(int fd, SendNotice* ret_notice) noexcept;
  /// 0: the kernel could hold the page at `address` while it is being sent; else errno.
  int (*hold)(const void* address) noexcept;
};
extern const SendKernel kRealSendKernel;
/// What Senders call. Tests put another one in its place.
extern const SendKernel* send_kernel;

}  // namespace landfall::detail
