// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "landfall/abi/backend.h"
#include "shared/bulk.hpp"

namespace landfall::zcrx {

/// Lets the bytes of bulk streams gather while the polling thread sleeps. Each packet would wake
/// it, and a wake-up costs more than the pages that it brings.
///
/// Threads: the polling thread.
class Gathering {
 public:
  /// `pool_bytes`: what the NIC fills meanwhile. Not `allowed`: it never does.
  void open(const landfall_host* host, std::uint64_t pool_bytes, bool allowed) noexcept {
    host_ = host;
    pool_bytes_ = pool_bytes;
    allowed_ = allowed;
  }
  /// A poll has told of so many bytes.
  void told(std::uint64_t bytes) noexcept {
    bytes_ += bytes;
    if (bulk_.count(bytes)) bulk_.end_window(now_ns(), allowed_);
  }
  /// How long the thread that is about to sleep may do so although something has come, in
  /// microseconds; 0: not at all.
  std::uint32_t begin(std::uint64_t timeout_ns) noexcept {
    if (us_ != 0) bulk_.waited(us_, bytes_, now_ns());
    us_ = 0;
    bytes_ = 0;
    if (!bulk_.is_bulk()) return 0;
    // No longer than a sixteenth of the pool lasts: the rest is for the window to open.
    const std::uint64_t lasts_us = pool_bytes_ / 16 * 1'000'000 / bulk_.speed();
    if (const auto us = std::min(lasts_us, kMostUs); timeout_ns / 1000 > us)
      us_ = static_cast<std::uint32_t>(us);
    return us_;
  }

 private:
  static constexpr std::uint64_t kBulkBytesPerSecond = 128u << 20;
  // The last bytes of a stream come so late, where it stops in the middle.
  static constexpr std::uint64_t kMostUs = 2000;

  std::uint64_t now_ns() const noexcept { return host_->now_ns(host_->ctx); }

  const landfall_host* host_ = nullptr;
  transport::BulkWatch bulk_{kBulkBytesPerSecond};
  std::uint64_t pool_bytes_ = 0;
  std::uint64_t bytes_ = 0;  // that were told since the last sleep
  std::uint32_t us_ = 0;     // so long that one let them gather
  bool allowed_ = false;
};

}  // namespace landfall::zcrx
