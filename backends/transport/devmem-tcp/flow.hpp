// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "shared/flow_list.hpp"

namespace landfall::devmem {

class PendingTokens;

/// One connection. What each receive touches stands in the first cache line.
struct alignas(64) Flow {
  enum class Listed : std::uint8_t { no, runnable, starved, done };

  Fd socket;
  std::uint32_t out = 0;             // extents
  landfall_flow_spec spec{};         // stream_offset: of the next byte
  PendingTokens* pending = nullptr;  // tokens on their way back; nullptr: none
  Listed listed = Listed::no;
  bool readable = true;  // the last call left something, or an event came since
  bool by_copy = false;  // the last bytes came without control messages
  bool paused = false;
  bool ended = false;  // END_OF_STREAM or FAILED was told
  bool closing = false;

  Flow* previous = nullptr;  // in the list that `listed` names
  Flow* next = nullptr;
  Flow* older = nullptr;  // all flows of the queue
  Flow* newer = nullptr;

  std::uint64_t steered_at = 0;    // bytes before this one came before the flow was steered
  std::uint64_t settled_at = 0;    // ... and before this one may have been on their way then
  std::uint64_t since_direct = 0;  // bytes without control messages since the last one with
  bool saw_direct = false;
  bool window_limited = false;

  bool wants_bytes() const noexcept { return readable && !paused && !ended && !closing; }
};

using FlowList = transport::FlowList<Flow>;

}  // namespace landfall::devmem
