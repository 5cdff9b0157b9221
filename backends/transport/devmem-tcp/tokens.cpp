// SPDX-License-Identifier: Apache-2.0
#include "devmem-tcp/tokens.hpp"

#include <cerrno>
#include <utility>

#include "landfall/abi/authoring.hpp"

namespace landfall::devmem {

void PendingTokens::remove(std::uint32_t pages) noexcept {
  pages_ -= std::min(pages, pages_);
  while (first_ != kRangesMax && pages >= ranges_[first_].count) pages -= ranges_[first_++].count;
  if (first_ == kRangesMax) return;
  ranges_[first_].start += pages;
  ranges_[first_].count -= pages;
}

TokenReturns::TokenReturns(const Kernel& kernel, const landfall_host* host, std::uint32_t flows_max,
                           std::uint64_t held_back_max)
    : kernel_{kernel},
      host_{host},
      blocks_(std::clamp(flows_max, 1u, kBlocksMax)),
      held_back_max_{held_back_max} {
  for (PendingTokens& block : blocks_) block.next = std::exchange(free_, &block);
}

/// A block for a flow that has none: the flow whose tokens wait longest makes room.
PendingTokens& TokenReturns::open(Flow& flow) noexcept {
  if (free_ == nullptr) {
    Flow& oldest = *oldest_->flow;
    if (!flush(oldest)) {
      // Left to the kernel, which takes them when the socket is closed (tcp_v4_destroy_sock).
      held_back_ -= oldest.pending->pages();
      release(*oldest.pending);
    }
  }
  PendingTokens& pending = *free_;
  free_ = pending.next;
  pending.clear();
  pending.flow = &flow;
  pending.previous = newest_;
  pending.next = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->next) = &pending;
  newest_ = &pending;
  flow.pending = &pending;
  return pending;
}

void TokenReturns::release(PendingTokens& pending) noexcept {
  (pending.previous == nullptr ? oldest_ : pending.previous->next) = pending.next;
  (pending.next == nullptr ? newest_ : pending.next->previous) = pending.previous;
  pending.flow->pending = nullptr;
  pending.next = std::exchange(free_, &pending);
}

void TokenReturns::make_room(Flow& flow) noexcept {
  if (flow.pending->pages() >= kPagesPerCall || flow.pending->full()) {
    if (!flush(flow) && flow.pending->full()) {
      held_back_ -= flow.pending->pages();
      release(*flow.pending);  // as above
    }
    return;
  }
  flush(*oldest_->flow);
}

bool TokenReturns::flush(Flow& flow) noexcept {
  PendingTokens* const pending = flow.pending;
  if (pending == nullptr) return true;
  while (!pending->empty()) {
    int number = authoring::fault(host_, "setsockopt");
    int back = -1;
    if (number == 0) {
      const std::span<const TokenRange> ranges = pending->ranges();
      back = kernel_.dontneed(flow.socket.get(), ranges.data(),
                              static_cast<std::uint32_t>(ranges.size()));
      ++calls_;
      if (back < 0) number = errno;
    }
    if (number == EINTR || number == ENOMEM) return false;
    // Fewer than asked: those in front are back. None at all, or another error: it knows none of
    // them, and asking again would not change that.
    const std::uint32_t gone =
        back > 0 ? std::min(static_cast<std::uint32_t>(back), pending->pages()) : pending->pages();
    pending->remove(gone);
    held_back_ -= gone;
  }
  release(*pending);
  return true;
}

void TokenReturns::flush_idle() noexcept {
  for (PendingTokens* pending = oldest_; pending != nullptr;) {
    PendingTokens* const next = pending->next;
    if (pending->pages() >= kPagesIdle) flush(*pending->flow);
    pending = next;
  }
}

void TokenReturns::flush_all() noexcept {
  for (PendingTokens* pending = oldest_; pending != nullptr;) {
    PendingTokens* const next = pending->next;
    flush(*pending->flow);
    pending = next;
  }
}

void TokenReturns::leave(Flow& flow) noexcept {
  if (flush(flow) || flush(flow)) return;
  held_back_ -= flow.pending->pages();
  release(*flow.pending);  // closing the socket gives them back
}

}  // namespace landfall::devmem
