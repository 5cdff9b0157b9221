// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <utility>

#include "landfall/base/result.hpp"
#include "landfall/memory/memory.hpp"
#include "landfall/transport/fence.hpp"
#include "landfall/transport/placement.hpp"

namespace landfall {

namespace detail {
struct Slot;
LANDFALL_API void drop(Slot* slot) noexcept;
}  // namespace detail

/// A move-only lease of received bytes; dropping it gives the extent back.
///
/// Threads: any, one at a time. May outlive Receiver, Group and Context: nothing under it is freed
/// or reused. Does nothing in a forked child. Cost: 8 bytes. A drop is a few writes on the polling
/// thread (before Linux 4.14 as elsewhere) and one compare-and-swap on others; no lock, allocation
/// or system call, except that it writes an eventfd if the Receiver sleeps and waits for memory,
/// and that the last drop after its Receiver died closes the binding.
class LANDFALL_API Buffer {
 public:
  Buffer() = default;
  Buffer(Buffer&& other) noexcept : slot_{std::exchange(other.slot_, nullptr)} {}
  Buffer& operator=(Buffer&& other) noexcept {
    if (this != &other) reset(std::exchange(other.slot_, nullptr));
    return *this;
  }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  ~Buffer() { reset(); }

  explicit operator bool() const noexcept { return slot_ != nullptr; }
  /// Gives the extent back now.
  void reset() noexcept { reset(nullptr); }
  /// Gives the extent back when the device has passed `fence`, which the Receiver's poll looks at;
  /// until then it counts as out. Without a Receiver (gone, or going with Buffers waiting) the
  /// calling thread sleeps until it has passed. A lost device counts as passed, with an event
  /// (LF1122). Cost: one compare-and-swap, an eventfd write for the first since the last poll.
  void release_after(const Fence& fence) && noexcept;

  /// The rest only with operator bool, in the process that received it.
  const Memory& memory() const& noexcept;
  const Memory& memory() && = delete;
  std::uint64_t offset() const noexcept;         // in memory()
  std::uint32_t length() const noexcept;         // bytes, > 0
  std::uint64_t stream_offset() const noexcept;  // of the first byte in its flow
  std::uint64_t flow_id() const noexcept;
  std::uint32_t charge_bytes() const noexcept;  // the memory that it really holds back
  Placement placement() const noexcept;
  bool ends_message() const noexcept;
  /// Errors: not_supported - LF1112, no host view (device memory); wrong_process - a forked child.
  Result<std::span<std::byte>> host_bytes() const& noexcept;
  Result<std::span<std::byte>> host_bytes() && = delete;

  /// For C, Python, DLPack: an opaque handle, no address, given back once by from_handle() or
  /// landfall_buffer_drop() on any thread. Null for an empty Buffer. Cost: one atomic addition on a
  /// counter that all threads share.
  void* into_handle() && noexcept;
  /// Empty where the handle was given back already, was made up, is of a Receiver that is gone, or
  /// of the parent of this forked process; a stale one is taken for its successor in 1 of 65535
  /// cases. Cost: a shared lock, which only making and freeing a Receiver holds alone.
  static Buffer from_handle(void* handle) noexcept;

 private:
  friend struct detail::Slot;
  explicit Buffer(detail::Slot* slot) noexcept : slot_{slot} {}
  void reset(detail::Slot* next) noexcept {
    if (detail::Slot* old = std::exchange(slot_, next); old != nullptr) detail::drop(old);
  }
  detail::Slot* slot_ = nullptr;
};
static_assert(sizeof(Buffer) == sizeof(void*));

}  // namespace landfall
