// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "uring/ring.hpp"

namespace landfall::tcp {

/// A ring with one ring of provided buffers.
class UringRing : public uring::Ring {
 public:
  UringRing() = default;
  ~UringRing() { close(); }

  /// `buffers`: a power of two. Errors: why says what this kernel or process lacks.
  landfall_errc open(const landfall_host* host, std::uint32_t entries, std::uint32_t completions,
                     std::uint32_t buffers, landfall_why* why);
  bool has_bundles() const noexcept { return (features() & IORING_FEAT_RECVSEND_BUNDLE) != 0; }

  /// Provides a buffer. They are used in the order in which they were added; its id is the count of
  /// those before it, modulo `buffers`. The kernel sees them after publish_buffers().
  std::uint16_t add_buffer(void* at, std::uint32_t length) noexcept {
    const auto id = static_cast<std::uint16_t>(next_buffer_ & buffer_mask_);
    io_uring_buf_ring_add(buffers_, at, length, id, buffer_mask_, added_);
    ++next_buffer_;
    ++added_;
    return id;
  }
  void publish_buffers() noexcept {
    if (added_ == 0) return;
    io_uring_buf_ring_advance(buffers_, added_);
    added_ = 0;
  }
  std::uint32_t buffer_mask() const noexcept { return static_cast<std::uint32_t>(buffer_mask_); }

  void close() noexcept;

 private:
  landfall_errc register_buffers(std::uint32_t buffers, landfall_why* why);

  io_uring_buf_ring* buffers_ = nullptr;
  std::size_t buffers_bytes_ = 0;
  int buffer_mask_ = 0;
  std::uint32_t next_buffer_ = 0;
  int added_ = 0;
};

}  // namespace landfall::tcp
