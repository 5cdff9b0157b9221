// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <deque>
#include <memory>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "landfall/transport/flow.hpp"
#include "nic/steering.hpp"
#include "transport/slot.hpp"
#include "transport/watch.hpp"

namespace landfall::detail {

class QueueCore;

/// One land() or post() of a demand flow, where the transport serves neither and the core slices
/// and gathers.
struct Demand {
  std::byte* target;  // nullptr: land()
  std::uint64_t length;
  std::uint64_t done = 0;
  std::uint64_t tag = 0;
};

/// What only a demand flow on such a transport needs.
struct DemandState {
  std::deque<Demand> requests;
  // Extents that came and are not asked for yet, oldest first, linked by Slot::next.
  Slot* first = nullptr;
  Slot* last = nullptr;
  std::uint32_t consumed = 0;  // of *first
  bool transport_paused = false;
  bool hungry = false;        // waits in the queue's list for a free slot
  bool stream_ended = false;  // told once the backlog is empty
};

/// A Flow as its Receiver sees it.
struct FlowImpl final : Flow {
  enum class State : std::uint8_t {
    connecting,  // the core's connect(2) is under way, or the transport's
    open,
    ended,    // the peer finished
    failed,   // error reported; nothing more is delivered
    closing,  // close() was called: what still comes is given back at once
    closed    // the `closed` Completion is under way
  };

  QueueCore* queue = nullptr;
  landfall_flow* backend = nullptr;  // null until the transport has it
  std::uint64_t id = 0;
  std::uint64_t tag = 0;  // index in the queue's table, and the table entry's generation
  void* user = nullptr;
  State state = State::open;
  Delivery delivery = Delivery::streaming;
  bool paused_by_user = false;
  bool paused_by_share = false;
  bool grace_passed = false;
  bool closed_early = false;       // the transport said CLOSED while extents were out
  bool contract_can_break = true;  // false: its terms allow everything
  CopyContract contract{};

  std::uint64_t next_offset = 0;  // of the stream: what comes next
  std::uint64_t mark = 0;         // the contract counts from this stream offset on
  std::uint64_t held = 0;         // charge of its extents
  std::uint32_t out = 0;          // its extents that the transport has not got back
  std::uint32_t requests = 0;     // land() and post() not yet answered
  std::uint64_t share_bytes = 0;
  Verdict verdict{};
  Verdict before_mark{};

  std::unique_ptr<Connecting> connecting{};  // while the core's connect(2) is under way
  nic::Steered rule{};                       // to the queue, for as long as the flow lives
  int socket_number = -1;  // of the transport's socket, for peer() and local(); -1: none
  std::unique_ptr<DemandState> demand{};  // the core serves land() and post()
  FlowImpl* next = nullptr;               // in the queue's list of flows to retire

  bool delivers() const noexcept { return state == State::open || state == State::ended; }
};

inline FlowImpl& impl(Flow& flow) noexcept {
  return static_cast<FlowImpl&>(flow);
}
inline const FlowImpl& impl(const Flow& flow) noexcept {
  return static_cast<const FlowImpl&>(flow);
}

}  // namespace landfall::detail
