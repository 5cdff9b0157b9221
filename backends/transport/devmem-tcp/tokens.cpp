// SPDX-License-Identifier: Apache-2.0
#include "devmem-tcp/tokens.hpp"

#include <cerrno>
#include <utility>

#include "landfall/abi/authoring.hpp"

namespace landfall::devmem {

void PendingTokens::remove(std::uint32_t pages) noexcept {
  pages_ -= std::min(pages, pages_);
  while (first_ != kTokenRangesMax && pages >= ranges_[first_].token_count)
    pages -= ranges_[first_++].token_count;
  if (first_ == kTokenRangesMax) return;
  ranges_[first_].token_start += pages;
  ranges_[first_].token_count -= pages;
}

TokenReturns::TokenReturns(const Kernel& kernel, const landfall_host* host, std::uint32_t flows_max,
                           std::uint64_t held_back_max)
    : kernel_{kernel},
      host_{host},
      blocks_(std::clamp(flows_max, 1u, kBlocksMax)),
      held_back_max_{held_back_max} {
  for (PendingTokens& block : blocks_) block.next = std::exchange(free_, &block);
}

/// Another block for a flow: where all are in use, those that wait longest make room.
PendingTokens& TokenReturns::open(Flow& flow) noexcept {
  if (free_ == nullptr && !flush(*oldest_->flow)) abandon(*oldest_);
  PendingTokens& pending = *free_;
  free_ = pending.next;
  pending.clear();
  pending.flow = &flow;
  pending.older = flow.pending;
  pending.previous = newest_;
  pending.next = nullptr;
  (newest_ == nullptr ? oldest_ : newest_->next) = &pending;
  newest_ = &pending;
  flow.pending = &pending;
  return pending;
}

void TokenReturns::release(PendingTokens& pending) noexcept {
  PendingTokens** link = &pending.flow->pending;
  while (*link != &pending) link = &(*link)->older;
  *link = pending.older;
  (pending.previous == nullptr ? oldest_ : pending.previous->next) = pending.next;
  (pending.next == nullptr ? newest_ : pending.next->previous) = pending.previous;
  pending.next = std::exchange(free_, &pending);
}

/// The kernel takes them when the socket is closed (tcp_release_user_frags).
void TokenReturns::abandon(PendingTokens& pending) noexcept {
  held_back_ -= pending.pages();
  release(pending);
}

void TokenReturns::give_some(Flow& flow) noexcept {
  const bool many = flow.pending->pages() >= kPagesPerCall || flow.pending->full();
  flush(many ? flow : *oldest_->flow);
}

bool TokenReturns::flush(Flow& flow) noexcept {
  while (flow.pending != nullptr) {
    if (!give(*flow.pending)) return false;
    release(*flow.pending);
  }
  return true;
}

bool TokenReturns::give(PendingTokens& pending) noexcept {
  while (!pending.empty()) {
    int number = authoring::fault(host_, "setsockopt");
    int back = -1;
    if (number == 0) {
      const std::span<const DmabufToken> ranges = pending.ranges();
      back = kernel_.dontneed(pending.flow->socket.get(), ranges.data(),
                              static_cast<std::uint32_t>(ranges.size()));
      if (back < 0) number = errno;
    }
    if (number == EINTR || number == ENOMEM) return false;
    // Fewer than asked: those in front are back. None at all, or another error: it knows none of
    // them, and asking again would not change that.
    const std::uint32_t gone =
        back > 0 ? std::min(static_cast<std::uint32_t>(back), pending.pages()) : pending.pages();
    pending.remove(gone);
    held_back_ -= gone;
  }
  return true;
}

void TokenReturns::flush_where(std::uint32_t pages_least) noexcept {
  PendingTokens* pending = oldest_;
  while (pending != nullptr) {
    PendingTokens* const next = pending->next;
    // Of a flow with more blocks the newest speaks for all.
    const bool newest_of_flow = pending->flow->pending == pending;
    if (newest_of_flow && pending->pages() >= pages_least) flush(*pending->flow);
    pending = next;
  }
}

void TokenReturns::leave(Flow& flow) noexcept {
  if (flush(flow) || flush(flow)) return;
  while (flow.pending != nullptr) abandon(*flow.pending);
}

}  // namespace landfall::devmem
