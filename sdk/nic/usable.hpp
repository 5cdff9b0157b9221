// SPDX-License-Identifier: Apache-2.0
// Which receive queues can take memory, and why the others cannot: one list of reasons for `info`,
// `doctor` and the Decision.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "landfall/base/reason.hpp"
#include "nic/nic.hpp"

namespace landfall::nic {

/// What speaks against binding memory to any queue of the interface, by what was read of it.
std::vector<Reason> interface_reasons(const NicState& state);
/// What speaks against this queue. `interface_reasons` are not repeated.
std::vector<Reason> queue_reasons(const NicState& state, std::uint32_t queue_id);

/// Which of these the kernel has met when it refused to bind memory to the queues without naming a
/// cause; none: no setting that can be read.
ReasonCode likely_cause(const NicState& state, std::span<const std::uint32_t> queue_ids);

struct QueueUse {
  std::uint32_t queue_id = 0;
  std::vector<Reason> reasons;  // of this queue alone; empty: nothing speaks against it
};

/// An interface and what it can do for device memory.
struct InterfaceUse {
  NicState state;
  std::vector<Reason> reasons;   // of the interface: no queue is usable while there is one
  std::vector<QueueUse> queues;  // all of them
  std::vector<Reason>
      sending;  // why it cannot send from a dma-buf; empty: nothing speaks against it
  bool usable(const QueueUse& queue) const noexcept {
    return reasons.empty() && queue.reasons.empty();
  }
};

/// Reads the interface and tries what reading does not tell. Changes nothing.
/// Errors: those of Nic::read.
Result<InterfaceUse> assess(Nic& nic, std::uint32_t interface_index);

}  // namespace landfall::nic
