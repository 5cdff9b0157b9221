// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

namespace landfall::lab {

/// What this process, its libraries too, has asked of the kernel for device memory.
struct Calls {
  std::uint64_t receives = 0;  // recvmsg(MSG_SOCK_DEVMEM)
  std::uint64_t returns = 0;   // setsockopt(SO_DEVMEM_DONTNEED)
};
Calls calls_so_far() noexcept;

}  // namespace landfall::lab
