// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <algorithm>
#include <cstdint>

namespace landfall::transport {

/// Do streams bring so much that it pays to be woken later, for more? They must bring 16 MiB at a
/// certain speed. Once that was in vain, they must bring twice as much before the next time, up to
/// 1 GiB: who exchanges large messages waits a few times in all, not for each.
///
/// Threads: one. Cost: an addition; a look at the clock for each 16 MiB.
class BulkWatch {
 public:
  explicit BulkWatch(std::uint64_t least_bytes_per_second) noexcept
      : least_{least_bytes_per_second} {}

  bool is_bulk() const noexcept { return bulk_; }
  /// True: enough for a look at the clock, which is end_window().
  bool count(std::uint64_t bytes) noexcept {
    bytes_ += bytes;
    return bytes_ >= goal_ && !bulk_;
  }
  /// `allowed`: whatever else must hold.
  void end_window(std::uint64_t now_ns, bool allowed) noexcept {
    const std::uint64_t spent_us = std::max<std::uint64_t>((now_ns - begin_ns_) / 1000, 1);
    speed_ = bytes_ * 1'000'000 / spent_us;
    bulk_ = allowed && speed_ >= least_;
    trust_ = kTrustFirst;
    begin_ns_ = now_ns;
    bytes_ = 0;
  }
  /// Bytes per second of the last window.
  std::uint64_t speed() const noexcept { return speed_; }
  /// So long it was waited, and that came: half of what the speed promised? A stream that often
  /// stands still is trusted, one that does so more than every second time is not.
  void waited(std::uint64_t us, std::uint64_t bytes, std::uint64_t now_ns) noexcept {
    if (bytes >= speed_ / 1'000'000 * us / 2) {
      trust_ = std::min(trust_ + 1, kTrustMost);
    } else if (--trust_ < 0) {
      was_in_vain(now_ns);
    }
  }
  /// It was waited for more than came.
  void was_in_vain(std::uint64_t now_ns) noexcept {
    bulk_ = false;
    goal_ = std::min(goal_ * 2, kGoalMost);
    begin_ns_ = now_ns;
    bytes_ = 0;
  }

 private:
  static constexpr std::uint64_t kGoal = 16u << 20, kGoalMost = 1u << 30;
  static constexpr int kTrustFirst = 4, kTrustMost = 16;

  std::uint64_t least_;
  std::uint64_t bytes_ = 0, goal_ = kGoal, begin_ns_ = 0, speed_ = 0;
  int trust_ = kTrustFirst;
  bool bulk_ = false;
};

}  // namespace landfall::transport
