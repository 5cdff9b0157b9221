// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "shared/flow_list.hpp"

namespace landfall::tcp {

/// One land() or post() not yet answered.
struct Request {
  std::byte* target;  // nullptr: land()
  std::uint64_t length;
  std::uint64_t done;
  std::uint64_t token;  // of a post()
};

/// Requests of a demand flow, first in first out. Grows to at most kDemandMax and stays there.
class RequestQueue {
 public:
  bool empty() const noexcept { return count_ == 0; }
  std::uint32_t size() const noexcept { return count_; }
  Request& front() noexcept { return ring_[first_]; }
  /// Throws std::bad_alloc.
  void push(const Request& request) {
    if (count_ == ring_.size()) grow();
    ring_[(first_ + count_++) % ring_.size()] = request;
  }
  void pop() noexcept {
    first_ = static_cast<std::uint32_t>((first_ + 1) % ring_.size());
    --count_;
  }

 private:
  void grow() {
    std::vector<Request> larger(ring_.empty() ? 4 : ring_.size() * 2);
    for (std::uint32_t i = 0; i < count_; ++i) larger[i] = ring_[(first_ + i) % ring_.size()];
    ring_.swap(larger);
    first_ = 0;
  }

  std::vector<Request> ring_;
  std::uint32_t first_ = 0, count_ = 0;
};

/// A stream that brought this much, fast, may be gathered.
inline constexpr std::uint64_t kWindowGoal = 16u << 20;
/// One that stood still while it gathered must bring twice as much before it may again.
inline constexpr std::uint64_t kWindowGoalMax = 1u << 30;
/// A stream is bulk above this. Below it a wake-up for each piece costs little of a core.
inline constexpr std::uint64_t kBulkBytesPerSecond = 512u << 20;

/// One connection. Small: there may be 10,000 of them, mostly idle. Aligned so that an engine can
/// keep a few bits of its own in a pointer to it.
struct alignas(16) Flow {
  Fd socket;
  std::uint64_t tag = 0;
  std::uint64_t stream_offset = 0;  // of the next byte
  std::uint32_t out = 0;            // extents
  std::uint32_t excess_bytes =
      0;                          // what its smallest cells hold back beyond four times their bytes
  std::uint32_t lowat_bytes = 1;  // SO_RCVLOWAT
  std::int32_t file_flags = 0;    // of the socket when it came
  // Streaming: how fast? Bytes since window_begin_ns; at window_goal of them the clock decides.
  std::uint64_t window_bytes = 0;
  std::uint64_t window_goal = kWindowGoal;
  std::uint64_t window_begin_ns = 0;
  std::uint64_t bytes_at_tick = 0;  // gathering: window_bytes a tick ago

  bool demand = false;
  bool paused = false;
  bool choked = false;  // too much excess: the kernel shall gather its bytes for a while
  bool ended = false;   // END_OF_STREAM or FAILED was told
  bool closing = false;
  bool rcvbuf_fixed = false;  // same_host.hpp
  bool gathering = false;     // a bulk stream: the kernel wakes us for many bytes at once

  // The engines'.
  bool in_flight = false;   // io_uring: a receive is in the ring
  bool cancelling = false;  // io_uring: ... and shall end
  bool readable = false;    // recv: the last call did not empty the socket
  bool last_bytes = false;  // recv: FIN, RST or urgent data was seen, read until the end
  bool served = true;       // io_uring: got bytes since it last waited for a slot
  bool fresh = false;       // io_uring: got bytes since the last look
  std::uint32_t reach = 1;  // recv: slots that the next call may fill
  static constexpr std::uint32_t kNotRecent = ~0u;
  std::uint32_t recent_at = kNotRecent;  // io_uring: its place among those that got bytes of late
  enum class Listed : std::uint8_t { no, runnable, first, starved, done };
  Listed listed = Listed::no;

  Flow* previous = nullptr;  // in the list that `listed` names
  Flow* next = nullptr;
  Flow* older = nullptr;  // all flows of the queue
  Flow* newer = nullptr;
  RequestQueue requests;

  bool wants_bytes() const noexcept {
    return !closing && !ended && !paused && !choked && (!demand || !requests.empty());
  }
};

inline landfall_flow* handle(Flow* flow) noexcept {
  return reinterpret_cast<landfall_flow*>(flow);
}
inline Flow* flow_of(landfall_flow* flow) noexcept {
  return reinterpret_cast<Flow*>(flow);
}

using FlowList = transport::FlowList<Flow>;

}  // namespace landfall::tcp
