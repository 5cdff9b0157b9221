// SPDX-License-Identifier: Apache-2.0
// What io_uring code here uses and liburing 2.3 (Debian 12) does not declare. Source of the
// numbers: include/uapi/linux/io_uring.h of the Linux version named.
#pragma once
#include <liburing.h>

#ifndef IORING_RECVSEND_BUNDLE
#define IORING_RECVSEND_BUNDLE (1U << 4)  // Linux 6.10
#endif
#ifndef IORING_FEAT_RECVSEND_BUNDLE
#define IORING_FEAT_RECVSEND_BUNDLE (1U << 14)  // Linux 6.10
#endif
