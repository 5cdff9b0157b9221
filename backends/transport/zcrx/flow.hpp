// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <deque>

#include "shared/direct_flow.hpp"
#include "uring/abi.hpp"

namespace landfall::zcrx {

/// A completion that was taken out of the ring.
struct Completion {
  std::uint64_t user_data;
  std::int32_t result;
  std::uint32_t flags;
  std::uint64_t off;  // where the bytes are, with the area's token
  bool sure;          // the kernel counted no copy in the call that brought it

  bool is_terminal() const noexcept { return (flags & IORING_CQE_F_MORE) == 0; }
};

/// One connection. Aligned: the low bits of its address say in a completion what was asked of it.
struct alignas(64) Flow : transport::DirectFlow<Flow> {
  bool in_flight = false;          // a receive of it is the kernel's
  bool cancelling = false;         // ... and was asked back
  bool drains = false;             // the next bytes lie in ordinary pages: recv(2) into the spill
  bool by_our_queues = true;       // when it was last asked
  std::uint32_t source = 0;        // index of the queue whose area its next bytes are looked for in
  std::uint32_t queues_tried = 0;  // since the last byte, in vain
  std::uint64_t ask_queues_at = 0;  // when so many extents of the queue were told
  std::deque<Completion> held;      // came while it was paused: told when it is not

  bool wants_request() const noexcept { return !in_flight && !drains && held.empty(); }
  bool wants_work() const noexcept {
    return !paused && !ended && !closing && (!in_flight || !held.empty());
  }
};

}  // namespace landfall::zcrx
