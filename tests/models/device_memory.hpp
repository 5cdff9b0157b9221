// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "landfall/abi/backend.h"

namespace landfall::test {

/// A memory source like a GPU's: `device-memory` has a device address and no host view. A memfd,
/// mapped privately in here, plays the device; exported as "dma-buf" it is that memfd, whole or in
/// ranges. Its companion (the pinned memory for a spill) is host memory of the usual kind.
extern const landfall_backend kDeviceMemory;

/// A stream of work on that device, as Group::fence takes it (its address). What was put on it is
/// done when finish() says so. Threads: any.
class DeviceStream {
 public:
  DeviceStream();
  ~DeviceStream();  // what is still waited for is never done: finish() first
  DeviceStream(const DeviceStream&) = delete;
  DeviceStream& operator=(const DeviceStream&) = delete;
  /// All fences recorded until now have passed; `lost`: because the device is gone.
  void finish(bool lost = false);

 private:
  friend struct DeviceFence;
  struct Fences;
  std::shared_ptr<Fences> fences_;
};

/// Only for model transports ("the NIC's DMA") and for tests: the bytes that a device address
/// stands for, up to the end of their region. Empty: nothing lives there. Threads: any.
std::span<std::byte> device_bytes(std::uint64_t device_address) noexcept;

/// The same for any memory: its host view, or what its device address stands for.
std::span<std::byte> bytes_of(const landfall_memory& memory) noexcept;

}  // namespace landfall::test
