// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <deque>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "shared/flow_list.hpp"
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
struct alignas(64) Flow {
  enum class Listed : std::uint8_t { no, runnable, starved, done };

  Fd socket;
  std::uint32_t out = 0;           // extents
  std::uint32_t by = 0;            // index of the queue whose area its next bytes are looked for in
  std::uint32_t queues_tried = 0;  // since the last byte, in vain
  landfall_flow_spec spec{};       // stream_offset: of the next byte
  Listed listed = Listed::no;
  bool in_flight = false;   // a receive of it is the kernel's
  bool cancelling = false;  // ... and was asked back
  bool drains = false;      // the next bytes lie in ordinary pages: recv(2) into the spill
  bool paused = false;
  bool ended = false;  // END_OF_STREAM or FAILED was told
  bool closing = false;
  bool window_limited = false;
  bool saw_direct = false;
  bool by_our_queues = true;  // when it was last asked

  Flow* previous = nullptr;  // in the list that `listed` names
  Flow* next = nullptr;
  Flow* older = nullptr;  // all flows of the queue
  Flow* newer = nullptr;

  std::uint64_t steered_at = 0;    // bytes before this one came before the flow was steered
  std::uint64_t settled_at = 0;    // ... and before this one may have been on their way then
  std::uint64_t since_direct = 0;  // bytes in ordinary pages since the last one in the area
  std::uint64_t ask_queue_at = 0;  // when so many extents of the queue were told
  std::deque<Completion> held;     // came while it was paused: told when it is not

  bool wants_request() const noexcept { return !in_flight && !drains && held.empty(); }
  bool wants_work() const noexcept {
    return !paused && !ended && !closing && (!in_flight || !held.empty());
  }
  bool early() const noexcept {
    return spec.stream_offset < (saw_direct ? steered_at : settled_at);
  }
};

using FlowList = transport::FlowList<Flow>;

}  // namespace landfall::zcrx
