// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string_view>

#include "landfall/base/error.hpp"
#include "landfall/transport/buffer.hpp"

namespace landfall {

class Flow;

/// One thing that happened on a Receiver. Overwriting or destroying it drops its Buffer.
struct Completion {
  enum class Kind : std::uint8_t {
    none,
    opened,         // the flow exists: accepted, connected, handed over
    data,           // buffer
    posted,         // a post() is done: tag, bytes
    landed,         // a land() is used up
    end_of_stream,  // the peer finished; the flow still has to be closed
    failed,    // error; no more data; the flow still has to be closed. flow null: a hand-over or
               // accept failed
    pressure,  // flow null: the Receiver's memory is nearly full; else: this flow is paused, it
               // holds its share
    relief,    // the pressure is over
    revoked,   // the binding is gone (broker, device): no flow receives any more
    closed     // last of its flow; the Flow dies at the next poll
  };
  Kind kind = Kind::none;
  ReasonCode reason = ReasonCode::none;  // pressure, revoked; data: why it is not direct
  Flow* flow = nullptr;
  Buffer buffer{};        // data
  std::uint64_t tag = 0;  // posted: the caller's; failed without a flow: the hand-over's fd number
  std::uint64_t bytes = 0;    // data, posted
  Error error{Errc::ok, ""};  // failed
};
LANDFALL_API std::string_view name(Completion::Kind kind) noexcept;

}  // namespace landfall
