// SPDX-License-Identifier: Apache-2.0
// Numbers of the kernel's netlink family "netdev" (Linux 7.3), which Debian 12's headers lack.
// kernel/uapi/compare.sh holds them against newer headers.
#pragma once
#include <cstdint>

namespace landfall::uapi::netdev {

inline constexpr char kFamily[] = "netdev";

enum Command : std::uint8_t {
  kPagePoolGet = 5,
  kQueueGet = 10,
  kQstatsGet = 12,
  kBindRx = 13,  // Linux 6.12
  kBindTx = 15,  // Linux 6.16
  kQueueCreate = 16,
};

enum QueueType : std::uint32_t { kRx = 0, kTx = 1 };

enum QueueAttribute : std::uint16_t {
  kQueueId = 1,
  kQueueIfindex = 2,
  kQueueType = 3,
  kQueueNapiId = 4,
  kQueueDmabuf = 5,   // the binding's id
  kQueueIoUring = 6,  // nest
  kQueueXsk = 7,      // nest
  kQueueLease = 8,    // nest
};

enum LeaseAttribute : std::uint16_t { kLeaseIfindex = 1 };

enum PagePoolAttribute : std::uint16_t {
  kPoolId = 1,
  kPoolIfindex = 2,
  kPoolNapiId = 3,
  kPoolInflight = 4,
  kPoolInflightBytes = 5,
  kPoolDetachTime = 6,
  kPoolDmabuf = 7,
  kPoolIoUring = 8,
};

/// Of bind-rx and bind-tx.
enum DmabufAttribute : std::uint16_t {
  kDmabufIfindex = 1,
  kDmabufQueues = 2,  // nest: kQueueId, kQueueType; once for each queue
  kDmabufFd = 3,
  kDmabufId = 4,
  kDmabufRxPageSize = 5,  // newer than Linux 6.12
};

}  // namespace landfall::uapi::netdev
