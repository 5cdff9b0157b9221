// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "landfall/base/fd.hpp"
#include "landfall/transport/completion.hpp"
#include "landfall/transport/flow.hpp"

namespace landfall {

namespace detail {
class QueueCore;
class GroupCore;
}  // namespace detail

/// A flow and what it keeps from being used again.
struct Holder {
  Flow* flow = nullptr;
  std::uint64_t held_bytes = 0;  // charge of its Buffers
  std::uint32_t buffers_out = 0;
};

/// One receive queue of a Group. The first poll binds it to its thread; poll, wait, arm, attach,
/// connect and all Flow calls belong to that thread ever after (wrong_thread otherwise). hand_over
/// and dropping Buffers are for any thread.
///
/// Owner: its Group.
class LANDFALL_API Receiver {
 public:
  Receiver(const Receiver&) = delete;
  Receiver& operator=(const Receiver&) = delete;

  /// Fills `out` from the front and answers how many; 0: nothing yet.
  /// Cost: at most one transport call per batch and one for all extents that came back since; no
  /// allocation, lock, log or throw per completion. Errors: wrong_thread, wrong_process,
  /// device_lost, io.
  Result<std::size_t> poll(std::span<Completion> out) noexcept;
  /// Like poll, but sleeps until there is something or `timeout` has passed (then 0). Negative: for
  /// ever.
  Result<std::size_t> wait(std::span<Completion> out, std::chrono::nanoseconds timeout) noexcept;

  /// For one's own event loop: readable when poll has work, provided that arm() answered true since
  /// the last poll. Made on the first call, which belongs to the polling thread or comes before its
  /// first poll; -1: the transport cannot be slept on, poll instead.
  int wait_fd() const noexcept;
  /// Before sleeping on wait_fd(): true - sleep now; false - there is work, poll first.
  Result<bool> arm() noexcept;

  /// Takes a connected TCP socket; bytes already queued in it come first. `fd` is taken only on
  /// success, so that the caller can go on with it; its file status flags are left as they are. No
  /// `opened` follows: the flow is returned. Errors: invalid_argument - LF1302, LF1303; busy -
  /// LF1304 with refuse_queued; limit_reached - LF1307; not_supported - LF1207, the transport makes
  /// its own connections.
  Result<Flow*> attach(Fd& fd, const FlowOptions& options = {});
  /// Starts a connection; `opened` or `failed` follows. Resolves names in the call.
  /// Errors: not_found - LF1314; limit_reached - LF1307.
  Result<Flow*> connect(const Address& to, const FlowOptions& options = {});
  /// Any thread: a connected socket for this Receiver; `opened`, or `failed` with the socket
  /// closed, follows there. Errors: limit_reached - kInboxMax sockets wait already; closed -
  /// LF1322. `fd` is taken only on success.
  Result<void> hand_over(Fd& fd, const FlowOptions& options = {});

  std::uint32_t buffers_out() const noexcept;
  std::uint32_t flows() const noexcept;
  /// Charge of all Buffers out, as of the last poll; of slice_bytes().
  std::uint64_t held_bytes() const noexcept;
  std::uint64_t slice_bytes() const noexcept;
  /// Which flows hold memory, the largest holder first. Threads: the polling one.
  /// Errors: no_memory.
  Result<std::vector<Holder>> holders() const;
  /// Over all its flows, ended ones too.
  Verdict verdict() const noexcept;

 private:
  friend class detail::GroupCore;
  explicit Receiver(detail::QueueCore* core) noexcept : core_{core} {}
  detail::QueueCore* core_;
};

}  // namespace landfall
