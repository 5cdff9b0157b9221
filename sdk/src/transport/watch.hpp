// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <vector>

#include "landfall/base/fd.hpp"
#include "landfall/transport/flow.hpp"
#include "nic/steering.hpp"
#include "transport/sockets.hpp"

namespace landfall::detail {

struct FlowImpl;

/// What an epoll event of a Receiver points at.
struct Watch {
  enum class Kind : std::uint8_t { wake, transport, interface, listener, connecting };
  Kind kind;
};

struct Listener : Watch {
  Listener() : Watch{Kind::listener} {}
  Fd socket;
  FlowOptions options;
};

/// A connect(2) under way; the addresses that are still to be tried, last one first.
struct Connecting : Watch {
  Connecting() : Watch{Kind::connecting} {}
  FlowImpl* flow = nullptr;
  Fd socket;
  nic::Steered rule;  // of socket, from before its first packet
  std::vector<SocketAddress> left;
};

}  // namespace landfall::detail
