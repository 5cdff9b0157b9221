// SPDX-License-Identifier: Apache-2.0
// The flows of a queue whose bytes a NIC places.
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "shared/flow_list.hpp"
#include "shared/ordinary.hpp"
#include "shared/windows.hpp"

namespace landfall::transport {

/// What such a flow is to every transport; the transport's own `Flow` derives from it.
template <class Flow>
struct DirectFlow {
  enum class Listed : std::uint8_t { no, runnable, starved, done };

  Fd socket;
  std::uint32_t out = 0;      // extents
  landfall_flow_spec spec{};  // stream_offset: of the next byte
  Listed listed = Listed::no;
  bool paused = false;
  bool ended = false;  // END_OF_STREAM or FAILED was told
  bool closing = false;
  bool saw_direct = false;
  bool window_limited = false;

  Flow* previous = nullptr;  // in the list that `listed` names
  Flow* next = nullptr;
  Flow* older = nullptr;  // all flows of the queue
  Flow* newer = nullptr;

  std::uint64_t steered_at = 0;    // bytes before this one came before the flow was steered
  std::uint64_t settled_at = 0;    // ... and before this one may have been on their way then
  std::uint64_t since_direct = 0;  // bytes in ordinary pages since the last one placed

  /// Of the socket that it will have.
  void begin(int fd, const landfall_flow_spec& asked) noexcept {
    spec.flow_tag = asked.flow_tag;
    spec.stream_offset = steered_at = asked.stream_offset;
    if (LANDFALL_HAS(&asked, landfall_flow_spec, early_bytes)) steered_at += asked.early_bytes;
    settled_at = steered_at;
    if (steered_at != asked.stream_offset) settled_at += window_of(fd);
  }
  /// May the next byte have come before the flow was steered?
  bool early() const noexcept {
    return spec.stream_offset < (saw_direct ? steered_at : settled_at);
  }
};

/// All flows of a queue, and what is due for them.
///
/// Threads: one at a time.
template <class Flow>
struct DirectFlows {
  FlowList<Flow> runnable{Flow::Listed::runnable};
  FlowList<Flow> starved{Flow::Listed::starved};  // wait for memory
  FlowList<Flow> done{Flow::Listed::done};        // CLOSED is to be told
  Flow* newest = nullptr;

  void add(Flow& flow) noexcept {
    flow.older = newest;
    if (newest != nullptr) newest->newer = &flow;
    newest = &flow;
  }
  void forget(Flow& flow) noexcept {
    (flow.newer == nullptr ? newest : flow.newer->older) = flow.older;
    if (flow.older != nullptr) flow.older->newer = flow.newer;
  }
  void unlist(Flow& flow) noexcept {
    if (flow.listed == Flow::Listed::runnable) runnable.remove(flow);
    if (flow.listed == Flow::Listed::starved) starved.remove(flow);
  }
  /// Nothing more is received.
  void unlist_all() noexcept {
    while (!runnable.empty()) runnable.pop();
    while (!starved.empty()) starved.pop();
  }
  /// The windows' share has changed with the number of flows.
  void limit(const Windows& windows, std::uint32_t share_bytes) noexcept {
    for (Flow* flow = newest; flow != nullptr; flow = flow->older)
      if (flow->socket)
        flow->window_limited = windows.limit(flow->socket.get(), share_bytes, flow->window_limited);
  }
};

}  // namespace landfall::transport
