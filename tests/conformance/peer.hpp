// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>

#include "landfall/base/fd.hpp"
#include "landfall/transport/flow.hpp"
#include "landfall_test/loopback.hpp"

namespace landfall::test {

/// The sending end of a flow, in plain blocking calls.
/// Threads: one sends; abort() from any.
class Peer {
 public:
  virtual ~Peer() = default;
  /// Does the connection stand, or has it failed? Does not block; the calls below do until it does.
  virtual bool connected() { return true; }
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

struct Subject;
/// A Sender by the subject's own transport. The connection may still be under way: whoever is
/// connected to must poll.
std::unique_ptr<Peer> message_peer(const Subject& subject, const Address& to);
/// Somebody who waits for a Receiver to connect.
struct ListeningPeer {
  Address address{};
  std::function<std::unique_ptr<Peer>()> accept{};
};
ListeningPeer listening_message_peer(const Subject& subject, bool ipv6);

}  // namespace landfall::test
