// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "nic/claim.hpp"
#include "nic/nic.hpp"

namespace landfall::nic {

/// A memory bound to receive queues: what their NIC receives lands in it. One binding for a memory,
/// whatever the number of queues.
///
/// Owner: whoever hands the memory out. Let it live until the last byte in it has been read: its
/// end gives the queues ordinary pages again, and the memory may be bound anew.
/// Threads: const calls from any; move and destroy from one.
class Binding {
 public:
  /// Refuses a memory that is bound already, as far as that can be seen: see Claim.
  /// Errors: invalid_argument - no queue, or more than kQueuesMax; busy - region_in_use; and those
  /// of Nic::bind_rx.
  static Result<Binding> open(Nic& nic, const BindRequest& request, const Backing& backing = {});

  Binding(Binding&&) = default;
  Binding& operator=(Binding&& other) noexcept {
    bound_ = std::move(other.bound_);  // ends what was bound, and then its claim
    claim_ = std::move(other.claim_);
    return *this;
  }

  /// Stands in the control messages of what lands in this memory.
  std::uint32_t dmabuf_id() const noexcept { return bound_.dmabuf_id; }
  /// Stays open as long as the binding. The kernel says nothing on it, not even when the interface
  /// goes away: see LinkWatch.
  int lifeline() const noexcept { return bound_.lifeline.get(); }

 private:
  Binding(Claim claim, Bound bound) : claim_{std::move(claim)}, bound_{std::move(bound)} {}
  Claim claim_;  // outlives the binding
  Bound bound_;
};

}  // namespace landfall::nic
