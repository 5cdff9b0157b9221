// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <span>

#include "landfall/base/fd.hpp"
#include "landfall/transport/sender.hpp"

namespace landfall::detail {

/// What stands behind a Sender: a socket of the kernel's (SocketSender), or a transport with
/// connections of its own (MessageSender).
class SenderCore {
 public:
  virtual ~SenderCore() = default;
  virtual Result<void> send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag) = 0;
  virtual Result<void> send_inline(std::span<const std::byte> bytes) = 0;
  virtual Result<void> finish() = 0;
  virtual Result<std::size_t> poll(std::span<Sent> out) = 0;
  virtual Result<std::size_t> wait(std::span<Sent> out, std::chrono::nanoseconds timeout) = 0;
  virtual Result<bool> arm() = 0;
  virtual Result<Fd> detach() = 0;
  /// After finish(): waits until the receiver has ended the connection.
  virtual Result<void> wait_for_end(std::chrono::nanoseconds timeout) = 0;

  virtual int wait_fd() const noexcept = 0;
  virtual std::uint32_t ranges_out() const noexcept = 0;
  virtual std::uint64_t sent_bytes() const noexcept = 0;
  virtual const Verdict& verdict() const noexcept = 0;
  virtual const Decision& decision() const noexcept = 0;
};

}  // namespace landfall::detail
