// SPDX-License-Identifier: Apache-2.0
// What io_uring code here uses and liburing 2.3 (Debian 12) does not declare. Source of the
// numbers: include/uapi/linux/io_uring.h of the Linux version named.
#pragma once
#include <liburing.h>

#include <cstdint>

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)  // Linux 6.10
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)  // Linux 6.10
#endif
#ifndef IORING_FEAT_MIN_TIMEOUT
#define IORING_FEAT_MIN_TIMEOUT (1U << 15)  // Linux 6.12
#endif

namespace landfall::tcp {

/// struct io_uring_getevents_arg of Linux 6.12; min_wait_usec was padding before.
struct WaitArgument {
  std::uint64_t sigmask;
  std::uint32_t sigmask_bytes;
  std::uint32_t min_wait_usec;
  std::uint64_t timeout;  // a __kernel_timespec's address
};

}  // namespace landfall::tcp
