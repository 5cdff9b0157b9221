// SPDX-License-Identifier: Apache-2.0
// What the verbs model and its senders say to each other over a TCP socket, which plays the fabric.
#pragma once
#include <cstdint>

namespace landfall::test {

/// Sender to receiver, before `length` bytes of payload. One frame takes one posted slot, hence one
/// credit; the end of the stream takes none.
struct VerbsFrame {
  static constexpr std::uint32_t kMessageEnd = 1, kEndOfStream = 2;
  std::uint32_t length = 0, flags = 0;
};

/// Receiver to sender: so many more slots of that size are posted for you.
struct VerbsCredit {
  std::uint32_t slots = 0, slot_bytes = 0;
};

}  // namespace landfall::test
