// SPDX-License-Identifier: Apache-2.0
// Fails outside calls on purpose, through ContextOptions::fault.
#pragma once
#include <cerrno>
#include <functional>
#include <limits>
#include <mutex>
#include <string>
#include <string_view>
#include <vector>

namespace landfall::test {

/// Which outside call fails: the k-th asked about from now, the k-th of one site, or none.
/// Threads: any. It must outlive the Context that asks it.
class FaultPlan {
 public:
  /// For ContextOptions::fault.
  std::function<int(std::string_view)> hook() {
    return [this](std::string_view site) { return ask(site); };
  }

  /// Call number `call` (from 0) that is asked about from now on fails with `number`; an empty
  /// `site` counts the calls of all sites.
  void fail(std::size_t call, int number = EIO, std::string_view site = {}) {
    const std::lock_guard lock{mutex_};
    seen_.clear();
    site_ = site;
    left_ = call;
    number_ = number;
    always_ = false;
    hit_ = false;
  }
  /// From now on every call of `site` fails.
  void fail_always(std::string_view site, int number) {
    fail(0, number, site);
    const std::lock_guard lock{mutex_};
    always_ = true;
  }
  void clear() {
    const std::lock_guard lock{mutex_};
    seen_.clear();
    left_ = kNever;
    always_ = false;
  }

  /// Has the call that was to fail been reached?
  bool hit() const {
    const std::lock_guard lock{mutex_};
    return hit_;
  }
  /// The sites asked about since fail() or clear().
  std::vector<std::string> seen() const {
    const std::lock_guard lock{mutex_};
    return seen_;
  }

 private:
  static constexpr std::size_t kNever = std::numeric_limits<std::size_t>::max();

  int ask(std::string_view site) {
    const std::lock_guard lock{mutex_};
    seen_.emplace_back(site);
    if (left_ == kNever || (!site_.empty() && site != site_)) return 0;
    if (left_ > 0) {
      --left_;
      return 0;
    }
    if (!always_) left_ = kNever;
    hit_ = true;
    return number_;
  }

  mutable std::mutex mutex_;
  std::vector<std::string> seen_;
  std::string site_;
  std::size_t left_ = kNever;
  int number_ = 0;
  bool always_ = false;
  bool hit_ = false;
};

}  // namespace landfall::test
