// SPDX-License-Identifier: Apache-2.0
// How far apart processors 0 and 1 are: of a guest its host decides, anew every few seconds. Bytes
// that one writes and the other reads take several times as long where the two share no cache, so
// runs in different places say nothing about each other.
#pragma once
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <thread>

#include "harness.hpp"

namespace bench {

/// Of a cache line, there and back, in ns; 0 where there is one processor only. Takes about a
/// millisecond.
inline double round_trip_ns() {
  if (std::thread::hardware_concurrency() < 2) return 0;
  constexpr std::uint32_t kRounds = 5000;
  struct alignas(128) Line {
    std::atomic<std::uint32_t> round{0};
  } there, back;
  std::thread far_end{[&] {
    pin(1);
    for (std::uint32_t i = 1; i <= kRounds; ++i) {
      while (there.round.load(std::memory_order_acquire) != i) {
      }
      back.round.store(i, std::memory_order_release);
    }
  }};
  std::chrono::duration<double, std::nano> took{0};
  std::thread{[&] {
    pin(0);
    auto began = std::chrono::steady_clock::now();
    for (std::uint32_t i = 1; i <= kRounds; ++i) {
      if (i == kRounds / 5) began = std::chrono::steady_clock::now();  // both are awake
      there.round.store(i, std::memory_order_release);
      while (back.round.load(std::memory_order_acquire) != i) {
      }
    }
    took = std::chrono::steady_clock::now() - began;
  }}.join();
  far_end.join();
  return took.count() / (kRounds - kRounds / 5);
}

/// Whether they are as far apart as they were most of the time at the start.
class CoreDistance {
 public:
  explicit CoreDistance(double usual_ns) : usual_{usual_ns} {}
  CoreDistance() {
    std::array<double, 21> seen;
    for (double& one : seen) {
      one = round_trip_ns();
      std::this_thread::sleep_for(std::chrono::milliseconds{100});
    }
    std::nth_element(seen.begin(), seen.begin() + seen.size() / 2, seen.end());
    usual_ = seen[seen.size() / 2];
  }
  double usual_ns() const { return usual_; }
  bool is_usual() const {
    const double now = round_trip_ns();
    return now >= 0.67 * usual_ && now <= 1.5 * usual_;
  }

 private:
  double usual_;
};

}  // namespace bench
