// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

#include "landfall/abi/backend.h"
#include "shared/bulk.hpp"

namespace landfall::transport {

/// Lets the bytes of bulk streams gather while the polling thread sleeps. Each packet or message
/// would wake it, and a wake-up costs more than what it brings.
///
/// Threads: the polling thread.
class Gathering {
 public:
  struct Limits {
    std::uint64_t least_bytes_per_second = 0;  // else it is not bulk
    std::uint64_t most_us = 0;  // a stream that stops in the middle has its last bytes so late
  };
  explicit Gathering(const Limits& limits) noexcept
      : limits_{limits}, bulk_{limits.least_bytes_per_second} {}

  /// `most_bytes`: may gather, so that the sender need not stop. Not `allowed`: it never does.
  void open(const landfall_host* host, std::uint64_t most_bytes, bool allowed) noexcept {
    host_ = host;
    most_bytes_ = most_bytes;
    allowed_ = allowed;
  }
  /// A poll has told of so many bytes.
  void told(std::uint64_t bytes) noexcept {
    bytes_ += bytes;
    if (bulk_.count(bytes)) bulk_.end_window(now_ns(), allowed_);
  }
  /// How long the thread that is about to sleep may do so although something has come, in
  /// microseconds; 0: not at all, as where fewer than `least_bytes` would come.
  std::uint32_t begin(std::uint64_t timeout_ns, std::uint64_t least_bytes = 0) noexcept {
    if (us_ != 0) bulk_.waited(us_, bytes_, now_ns());
    us_ = 0;
    bytes_ = 0;
    if (!bulk_.is_bulk()) return 0;
    const std::uint64_t us = std::min(most_bytes_ * 1'000'000 / bulk_.speed(), limits_.most_us);
    if (timeout_ns / 1000 > us && bulk_.speed() * us / 1'000'000 >= least_bytes)
      us_ = static_cast<std::uint32_t>(us);
    return us_;
  }

 private:
  std::uint64_t now_ns() const noexcept { return host_->now_ns(host_->ctx); }

  const Limits limits_;
  const landfall_host* host_ = nullptr;
  BulkWatch bulk_;
  std::uint64_t most_bytes_ = 0;
  std::uint64_t bytes_ = 0;  // that were told since the last sleep
  std::uint32_t us_ = 0;     // so long that one let them gather
  bool allowed_ = false;
};

}  // namespace landfall::transport
