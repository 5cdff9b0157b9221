// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>

#include "landfall/abi/backend.h"
#include "landfall/base/result.hpp"

namespace landfall {

/// The memory that offsets refer to: a Region (id 0), a Group's spill (1), or what a transport made
/// (2 and up).
///
/// Owner: a view into its Region or Group; valid while those or any Buffer in it live.
/// Threads: any.
class Memory {
 public:
  Memory() = default;
  Memory(const landfall_memory& memory, std::uint16_t id) noexcept : memory_{memory}, id_{id} {}

  std::uint16_t id() const noexcept { return id_; }
  bool is_region() const noexcept { return id_ == 0; }
  std::uint64_t size_bytes() const noexcept { return memory_.size_bytes; }
  std::uint64_t page_bytes() const noexcept { return memory_.page_bytes; }

  bool has_host_view() const noexcept { return memory_.host != nullptr; }
  /// Writable only if writable(). Errors: not_supported - LF1112, no host view (device memory).
  Result<std::span<std::byte>> host_bytes() const noexcept {
    if (memory_.host == nullptr)
      return Error{Errc::not_supported, "Memory::host_bytes", ReasonCode::no_host_view};
    return std::span{static_cast<std::byte*>(memory_.host), memory_.size_bytes};
  }
  bool writable() const noexcept { return (memory_.flags & LANDFALL_MEM_CPU_WRITE) != 0; }

  bool on_device() const noexcept { return (memory_.flags & LANDFALL_MEM_DEVICE) != 0; }
  std::uint64_t device_address() const noexcept { return memory_.device_address; }  // 0: none
  std::int32_t device_kind() const noexcept { return memory_.device_kind; }  // DLPack's numbers
  std::int32_t device_id() const noexcept { return memory_.device_id; }
  std::int32_t numa_node() const noexcept { return memory_.numa_node; }  // -1: not known

  bool exports_dmabuf() const noexcept { return (memory_.flags & LANDFALL_MEM_DMABUF) != 0; }
  bool exports_ranges() const noexcept { return (memory_.flags & LANDFALL_MEM_DMABUF_RANGES) != 0; }
  bool locked() const noexcept { return (memory_.flags & LANDFALL_MEM_LOCKED) != 0; }
  bool borrowed() const noexcept { return (memory_.flags & LANDFALL_MEM_BORROWED) != 0; }

  /// The ABI's description of it.
  const landfall_memory& abi() const noexcept { return memory_; }

 private:
  landfall_memory memory_{};
  std::uint16_t id_ = 0;
};

}  // namespace landfall
