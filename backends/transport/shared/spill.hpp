// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

#include "landfall/abi/backend.h"

namespace landfall::transport {

/// Memory id 1: where the kernel copies what no page of the Region holds. Cut in blocks; one is
/// filled from its front, and is free again when its last extent is back.
///
///     block | extent | extent | room() ...    the one being filled
///
/// Threads: one at a time. Cost: no allocation after make().
class Spill {
 public:
  static constexpr std::uint32_t kBlockBytes = 64u << 10;  // a merged packet (GRO) and its like
  /// Less room than this is not worth a call: the next block is taken.
  static constexpr std::uint32_t kRoomLeast = 4096;

  /// Throws std::bad_alloc. `memory` nullptr: there is none.
  explicit Spill(const landfall_memory* memory)
      : base_{memory == nullptr ? nullptr : static_cast<std::byte*>(memory->host)},
        out_(base_ == nullptr ? 0 : memory->size_bytes / kBlockBytes) {
    free_.reserve(out_.size());
    for (auto i = static_cast<std::uint32_t>(out_.size()); i-- > 0;) free_.push_back(i);
  }

  /// Where the next bytes may go: at least kRoomLeast, or nothing where all blocks are out.
  std::span<std::byte> room() noexcept {
    if (kBlockBytes - used_ < kRoomLeast) renew();
    if (block_ == kNone) return {};
    return {base_ + std::uint64_t{block_} * kBlockBytes + used_, kBlockBytes - used_};
  }
  /// Goes on to a block that is empty. False: it is already, or there is none.
  bool renew() noexcept {
    if (used_ == 0 && block_ != kNone) return false;
    if (block_ != kNone && out_[block_] == 0) free_.push_back(block_);
    block_ = kNone;
    used_ = kBlockBytes;
    if (free_.empty()) return false;
    block_ = free_.back();
    free_.pop_back();
    used_ = 0;
    return true;
  }
  bool has_room() noexcept { return !room().empty(); }

  struct Place {
    std::uint64_t offset;
    std::uint32_t block;
  };
  /// The next `length` bytes of room() are an extent.
  Place take(std::uint32_t length) noexcept {
    const Place place{std::uint64_t{block_} * kBlockBytes + used_, block_};
    used_ += length;
    ++out_[block_];
    return place;
  }
  /// After all extents of a call: the next one begins a cache line.
  void align() noexcept { used_ = (used_ + 63) & ~63u; }
  void give_back(std::uint32_t block) noexcept {
    if (--out_[block] != 0) return;
    if (block == block_)
      used_ = 0;  // it is in the cache
    else
      free_.push_back(block);
  }

 private:
  static constexpr std::uint32_t kNone = 0xffffffffu;

  std::byte* base_;
  std::vector<std::uint32_t> out_;   // extents of each block
  std::vector<std::uint32_t> free_;  // a stack
  std::uint32_t block_ = kNone;
  std::uint32_t used_ = kBlockBytes;
};

}  // namespace landfall::transport
