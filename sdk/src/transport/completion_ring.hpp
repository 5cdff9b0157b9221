// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <utility>
#include <vector>

#include "landfall/transport/completion.hpp"

namespace landfall::detail {

/// Completions that wait for room in the caller's span, first in, first out.
///
/// Memory is got ahead of time: ensure() may throw and changes nothing then, push() cannot fail. So
/// a record is either dealt with whole or not at all.
class CompletionRing {
 public:
  bool empty() const noexcept { return count_ == 0; }
  /// Room for `more` pushes.
  void ensure(std::size_t more) {
    if (ring_.size() - count_ < more) grow(more);
  }
  /// Only after ensure().
  Completion& push() noexcept { return ring_[(first_ + count_++) % ring_.size()]; }
  Completion& front() noexcept { return ring_[first_]; }
  Completion take() noexcept {
    Completion taken = std::exchange(ring_[first_], Completion{});
    first_ = (first_ + 1) % ring_.size();
    --count_;
    return taken;
  }
  void clear() noexcept {
    while (!empty()) take();
  }

 private:
  void grow(std::size_t more) {
    std::vector<Completion> larger((count_ + more) * 2);
    for (std::size_t i = 0; i < count_; ++i) {
      larger[i] = std::move(ring_[(first_ + i) % ring_.size()]);
    }
    ring_ = std::move(larger);
    first_ = 0;
  }

  std::vector<Completion> ring_;
  std::size_t first_ = 0;
  std::size_t count_ = 0;
};

}  // namespace landfall::detail
