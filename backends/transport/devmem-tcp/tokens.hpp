// SPDX-License-Identifier: Apache-2.0
// How pages go back to the kernel: tokens are gathered by socket, joined to ranges, and given back
// many in one call, the newest first.
#pragma once
#include <algorithm>
#include <array>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "devmem-tcp/flow.hpp"
#include "devmem-tcp/kernel.hpp"

namespace landfall::devmem {

/// Pieces that lie one behind another are told as one extent, up to so many.
inline constexpr std::uint32_t kRunMost = 16;

/// Tokens of one socket as ranges, at most what one call takes. The kernel counts tokens from the
/// lowest free number, so those that were received together are neighbours, in whatever order they
/// come back.
class PendingTokens {
 public:
  bool empty() const noexcept { return first_ == kTokenRangesMax; }
  /// Is there no room for another run for certain?
  bool full() const noexcept { return first_ == 0 || pages_ > kTokensMax - kRunMost; }
  std::uint32_t pages() const noexcept { return pages_; }
  /// The newest first: what was used last is the likeliest to be in a cache.
  std::span<const DmabufToken> ranges() const noexcept {
    return std::span{ranges_}.subspan(first_);
  }

  /// `count` tokens from `token` on, at most kRunMost. Not when it is full().
  void add(std::uint32_t token, std::uint32_t count) noexcept {
    pages_ += count;
    if (first_ != kTokenRangesMax) {
      DmabufToken& newest = ranges_[first_];
      if (token == newest.token_start + newest.token_count) {
        newest.token_count += count;
        return join();
      }
      if (token + count == newest.token_start) {
        newest.token_start = token;
        newest.token_count += count;
        return join();
      }
    }
    ranges_[--first_] = {token, count};
  }
  /// The first `pages` of ranges() are back.
  void remove(std::uint32_t pages) noexcept;
  void clear() noexcept {
    first_ = kTokenRangesMax;
    pages_ = 0;
  }

  Flow* flow = nullptr;
  PendingTokens* older = nullptr;     // of the same flow: full, and the kernel did not take it yet
  PendingTokens* previous = nullptr;  // in the list of blocks in use, the oldest first
  PendingTokens* next = nullptr;

 private:
  /// The newest range has grown: does it meet the one before it?
  void join() noexcept {
    if (first_ + 1 >= kTokenRangesMax) return;
    const DmabufToken newest = ranges_[first_];
    DmabufToken& before = ranges_[first_ + 1];
    if (newest.token_start == before.token_start + before.token_count) {
      before.token_count += newest.token_count;
    } else if (newest.token_start + newest.token_count == before.token_start) {
      before = {newest.token_start, newest.token_count + before.token_count};
    } else {
      return;
    }
    ++first_;
  }

  std::array<DmabufToken, kTokenRangesMax> ranges_;  // filled from the back
  std::uint32_t first_ = kTokenRangesMax;
  std::uint32_t pages_ = 0;
};

/// The tokens of all flows of a queue.
///
/// Threads: one at a time. Cost: no allocation after make(); one system call for up to 1024 pages.
class TokenReturns {
 public:
  /// `held_back_max` pages may wait in all before the oldest go back. Throws std::bad_alloc.
  TokenReturns(const Kernel& kernel, const landfall_host* host, std::uint32_t flows_max,
               std::uint64_t held_back_max);

  /// `count` tokens from `token` on, at most kRunMost. May give some back.
  void add(Flow& flow, std::uint32_t token, std::uint32_t count) noexcept {
    PendingTokens* pending = flow.pending;
    if (pending == nullptr || pending->full()) pending = &open(flow);
    pending->add(token, count);
    held_back_ += count;
    if (held_back_ > held_back_max_ || pending->pages() >= kPagesPerCall || pending->full())
      give_some(flow);
  }
  /// All of this flow. False: the kernel will not take them now; they are kept.
  bool flush(Flow& flow) noexcept;
  /// What is worth a call of its own, because nothing else is to be done.
  void flush_idle() noexcept { flush_where(kPagesIdle); }
  void flush_all() noexcept { flush_where(1); }
  /// The flow's socket is about to be closed, or to leave: all of it, and nothing is kept.
  void leave(Flow& flow) noexcept;

  /// A flow's tokens go back when so many are there.
  static constexpr std::uint32_t kPagesPerCall = 512;
  /// Fewer than this wait for more even where there is time: a call costs more than they are worth.
  static constexpr std::uint32_t kPagesIdle = 64;
  static constexpr std::uint32_t kBlocksMax = 256;

 private:
  PendingTokens& open(Flow& flow) noexcept;
  void flush_where(std::uint32_t pages_least) noexcept;
  void give_some(Flow& flow) noexcept;
  bool give(PendingTokens& pending) noexcept;
  void abandon(PendingTokens& pending) noexcept;
  void release(PendingTokens& pending) noexcept;

  const Kernel& kernel_;
  const landfall_host* host_;
  std::vector<PendingTokens> blocks_;
  PendingTokens* free_ = nullptr;    // linked by next
  PendingTokens* oldest_ = nullptr;  // in use
  PendingTokens* newest_ = nullptr;
  std::uint64_t held_back_ = 0;
  std::uint64_t held_back_max_;
};

}  // namespace landfall::devmem
