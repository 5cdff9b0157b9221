// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "landfall/base/context.hpp"
#include "landfall/memory/region.hpp"
#include "landfall/transport/decision.hpp"
#include "landfall/transport/flow.hpp"

namespace landfall {

namespace detail {
class SenderCore;
class SendGroupCore;
}  // namespace detail

/// A range that the connection needs no longer: it may be overwritten. That the peer's kernel has
/// it is not said by this for `copied` ones, and that the peer has read it by none.
struct Sent {
  std::uint64_t tag = 0;  // of the send() call
  std::uint64_t offset = 0, length = 0;
  Placement placement = Placement::copied;  // direct: it was sent from where it lies
};

/// One connection that sends ranges of its SendGroup's Region, in the order of the calls.
///
/// Owner: the caller. Destroyed while ranges are out, or after it failed (a broken contract too),
/// it resets the connection, so that the peer cannot take a part for the whole; otherwise it closes
/// it. What the kernel has taken keeps memory and binding until the last packet has gone, whatever
/// is destroyed.
/// Threads: one at a time. In a forked child every call is wrong_process.
class LANDFALL_API Sender {
 public:
  Sender(Sender&&) noexcept;
  Sender& operator=(Sender&&) noexcept;
  ~Sender();

  /// Queues [offset, offset + length) of the Region and hands the kernel what it takes now; poll()
  /// hands on the rest. The bytes must not change until their `Sent` has come.
  /// Cost: one system call per 512 KiB that the kernel takes; no allocation, but for the first
  /// send_inline().
  /// Errors: invalid_argument - LF1116, the range is empty or not inside; limit_reached - LF1352,
  /// poll first; closed - LF1353; and those of poll().
  Result<void> send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag = 0);
  /// Queues bytes of the caller's, which are copied: for headers. No `Sent` follows, and the
  /// verdict leaves them out. At most kSendInlineBytesMax wait at a time. Errors: as send().
  Result<void> send_inline(std::span<const std::byte> bytes);
  /// Ends the stream when all that is queued has been sent. Over a transport's own connection that
  /// goes on in poll(), and ranges_out() counts the end, until the receiver's device has it.
  /// Errors: those of poll().
  Result<void> finish();

  /// Hands on what is queued, fills `out` from the front with ranges that are through, in the order
  /// of the calls, and answers how many; 0: none yet.
  /// Cost: two system calls for each notice of the kernel, and those of send(); no allocation.
  /// Errors, for good once one has come (ranges that are out then get no `Sent`, and may be
  /// overwritten): flow_reset - LF1312, LF1313; contract_broken - LF1317; revoked - LF1326, the
  /// binding has gone; device_lost - LF1251, the connection has left the interface; limit_reached -
  /// LF1014, LF1004, LF1005; wrong_process; io.
  Result<std::size_t> poll(std::span<Sent> out) noexcept;
  /// Like poll, but sleeps until there is something, nothing is out any more or `timeout` has
  /// passed (then 0). Negative: for ever.
  Result<std::size_t> wait(std::span<Sent> out, std::chrono::nanoseconds timeout) noexcept;
  /// For one's own event loop: readable when poll has work, if arm() answered true since the last
  /// poll.
  int wait_fd() const noexcept;
  /// Before sleeping on wait_fd(): true - sleep now; false - there is work, poll first.
  Result<bool> arm() noexcept;

  /// finish(), and waits until every range is through and the receiver has ended the connection, so
  /// that it has read everything; what it says meanwhile is dropped. Negative: for ever. Ranges
  /// that were not polled for get no `Sent`. Errors: timed_out; flow_reset - LF1312, it ended
  /// before; those of poll().
  Result<void> close(std::chrono::nanoseconds timeout);

  /// The socket back, with SO_ZEROCOPY as it is. Errors: busy - LF1351, poll first; not_supported -
  /// LF1207, there is no socket.
  Result<Fd> detach();

  /// Ranges and inline pieces that are not through.
  std::uint32_t ranges_out() const noexcept;
  /// Bytes that were handed to the kernel, inline ones included.
  std::uint64_t sent_bytes() const noexcept;
  /// Over the ranges' bytes that are through. Kernels give one mark for several calls, so that
  /// copied bytes behind direct ones may be taken for direct.
  Verdict verdict() const noexcept;
  /// How it sends, and why not otherwise: devmem, zerocopy, copy; or which transport.
  const Decision& decision() const noexcept;

 private:
  friend class SendGroup;
  explicit Sender(std::unique_ptr<detail::SenderCore> core) noexcept;
  std::unique_ptr<detail::SenderCore> core_;
};

struct SendGroupOptions {
  /// By which connections leave; "": for each the one that has its local address.
  std::string interface {};
  /// devmem: the NIC reads the Region's dma-buf; zerocopy: the kernel sends the Region's pages;
  /// copy. In order of preference; empty: these, in this order.
  std::vector<std::string> methods{};
  /// require_direct forbids `copy`, and bytes that the kernel copied after all break it. Where it
  /// is not asked for, and `copy` may be used, a connection whose bytes the kernel copies anyway
  /// changes to it (they are `copied`, LF1350).
  CopyContract contract{};
  /// For connect(): transports that make their own connections ("verbs", "ofi"), in order of
  /// preference, and their options, as in GroupOptions.
  std::vector<std::string> transports{};
  std::vector<std::string> options{};
  /// Per Sender, ranges and inline pieces that are not through; at most kSendRangesMax.
  std::uint32_t ranges_max = 1024;
};

/// A Region from which connections send: one binding per interface, whatever their number.
///
/// Owner: the caller. It owns the Region; its Senders keep it, and it may be destroyed before them.
/// Threads: any; different Senders may be used on different threads.
class LANDFALL_API SendGroup {
 public:
  /// Takes `region` only on success. Needs no privilege.
  /// Errors: not_supported - LF1112, the memory has neither host view nor dma-buf;
  /// invalid_argument - a method's name, a limit, or an empty Region.
  static Result<SendGroup> open(const Context& context, const SendGroupOptions& options,
                                Region& region);
  SendGroup(SendGroup&&) noexcept;
  SendGroup& operator=(SendGroup&&) noexcept;
  ~SendGroup();

  const Memory& memory() const noexcept;

  /// A Sender over a connected TCP socket, by the first method that works for it, found out by
  /// trial. `fd` is taken only on success; its file status flags are left as they are. For devmem,
  /// better bind the socket to the interface before it is connected (SO_BINDTODEVICE): packets that
  /// a later route would take elsewhere are dropped.
  /// Errors: not_supported - no method works: `decision`, if given, says for each one why;
  /// invalid_argument - LF1302, LF1303; flow_reset - LF1312; limit_reached - LF1005; io.
  Result<Sender> attach(Fd& fd, Decision* decision = nullptr);

  /// A Sender over a connection that a transport of `options.transports` makes, the first that can:
  /// to a Receiver that listens by the same one. Ranges are sent from where they lie, and are
  /// through when the receiver's device has them. Blocks until the connection stands, or `timeout`
  /// has passed (negative: never). Errors: not_supported - no transport can: `decision`, if given,
  /// says for each one why; flow_reset - LF1313, LF1331, the peer refused; timed_out; not_found -
  /// LF1314.
  Result<Sender> connect(const Address& to, std::chrono::nanoseconds timeout,
                         Decision* decision = nullptr);
  /// ... or over one that a Receiver makes to here (Receiver::connect): listen() once, accept() for
  /// each, of several threads one after the other. Port 0: one that is free. Errors: as connect();
  /// address_in_use - LF1315; accept: timed_out; invalid_argument - listen() first.
  Result<Address> listen(const Address& at, Decision* decision = nullptr);
  Result<Sender> accept(std::chrono::nanoseconds timeout);

  /// The Region back. Errors: busy - LF1354, Senders are open, or another thread is in a call
  /// above.
  Result<Region> close();

 private:
  explicit SendGroup(std::shared_ptr<detail::SendGroupCore> core) noexcept;
  std::shared_ptr<detail::SendGroupCore> core_;
};

}  // namespace landfall
