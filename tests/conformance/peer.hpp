// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

#include "landfall/base/fd.hpp"
#include "landfall_test/loopback.hpp"

namespace landfall::test {

/// The sending end of a flow, in plain blocking calls.
/// Threads: one sends; abort() from any.
class Peer {
 public:
  virtual ~Peer() = default;
  /// One send, or one message. False: the connection has ended.
  virtual bool send(std::span<const std::byte> bytes) = 0;
  /// The end of the stream; the receiver may still answer.
  virtual bool finish() = 0;
  /// Ends it at once, as a process that crashed: RST.
  virtual void reset() = 0;
  /// Waits until the receiver has ended the connection; errno how (0: orderly).
  virtual int wait_for_end() = 0;
  /// Lets a blocked call return.
  virtual void abort() noexcept = 0;
};

/// A sender over an ordinary socket.
std::unique_ptr<Peer> socket_peer(Fd socket);
/// A sender that speaks verbs_wire.hpp.
std::unique_ptr<Peer> verbs_peer(Fd socket);

}  // namespace landfall::test
