// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/epoll.h>
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "devmem-tcp/domain.hpp"
#include "devmem-tcp/flow.hpp"
#include "devmem-tcp/tokens.hpp"
#include "shared/gathering.hpp"
#include "shared/ordinary.hpp"
#include "shared/spill.hpp"

namespace landfall::devmem {

using transport::Cause;
using transport::Spill;

/// The tokens of an extent: of pieces that lie one behind another, and have neighbours as tokens.
struct Run {
  std::uint32_t token, pieces;
  std::uint64_t packed() const noexcept { return std::uint64_t{pieces} << 32 | token; }
  static Run of(std::uint64_t packed) noexcept {
    return {static_cast<std::uint32_t>(packed), static_cast<std::uint32_t>(packed >> 32)};
  }
};

/// One Receiver's share of the transport: its flows, the bytes that the kernel says have landed for
/// them, and the pages that go back.
///
/// Threads: as abi/backend.h says: the polling thread; after stop() any, one at a time.
class Queue {
 public:
  explicit Queue(Domain& domain) noexcept : domain_{domain} {}
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  landfall_errc open(const landfall_queue_spec& spec, landfall_why* why);
  /// Bytes are told of only by poll(): there is nothing under way.
  void stop() noexcept { stopped_ = true; }

  // receive.cpp
  std::uint32_t poll(std::span<landfall_record> out);
  std::uint32_t arm();
  landfall_errc wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control);
  std::int32_t wait_fd() const noexcept { return epoll_.get(); }

  void give_back(std::span<const landfall_return> returns) noexcept;

  landfall_errc attach(int fd, const landfall_flow_spec& spec, Flow** ret_flow, landfall_why* why);
  landfall_errc detach(Flow* flow, std::int32_t* ret_fd, landfall_why* why);
  void close(Flow* flow, bool reset) noexcept;
  void pause(Flow* flow, bool on) noexcept;

 private:
  // Most pieces that one call tells of; the core asks for fewer (kPollBatch).
  static constexpr std::uint32_t kPiecesMax = 256;
  // And at most this much of a stream, above any receive window in use: it is the control messages
  // that shall end a call.
  static constexpr std::size_t kBytesPerCall = 256u << 20;
  static constexpr std::size_t kPieceSpace = CMSG_SPACE(sizeof(DmabufCmsg));
  static constexpr std::size_t kInqSpace = CMSG_SPACE(sizeof(int));
  struct Unmap {
    void operator()(void* address) const noexcept;
  };

  // receive.cpp
  bool room() const noexcept { return backlog_.empty() && count_ < out_.size(); }
  void emit(const landfall_record& record);
  /// False: nothing has come.
  bool look(int timeout_ms, bool* ret_control);
  bool scarce() const noexcept;
  void nap(int control_fd, std::uint32_t us) noexcept;
  void receive(Flow& flow);
  /// True: try again at once.
  bool after_error(Flow& flow, int number);
  void take_pieces(Flow& flow, const msghdr& message, std::uint64_t bytes);
  std::uint32_t charge_of(const DmabufCmsg& piece) noexcept;
  bool prolong(const DmabufCmsg& piece, std::uint32_t charge) noexcept;
  void take_page(Flow& flow, const DmabufCmsg& piece, std::uint32_t charge) noexcept;
  void take_spilled(Flow& flow, std::uint32_t length, std::uint8_t placement, std::uint32_t code);
  Cause cause_of_copy(const Flow& flow, std::uint64_t length) const;
  void saw_direct(Flow& flow);
  void fail(Flow& flow, int number, std::uint32_t code);
  void tell_of_spill();

  void run(Flow& flow) noexcept;
  void feed_starved() noexcept;
  void finish_if_quiet(Flow& flow) noexcept;
  void tell_closed();
  void revoke();
  void destroy(Flow& flow) noexcept;
  int fault(const char* site) const noexcept { return authoring::fault(domain_.host(), site); }

  Domain& domain_;
  std::uint32_t extents_max_ = 0;
  Fd epoll_;
  std::optional<TokenReturns> returns_;
  std::optional<Spill> spill_;
  // Address space without memory: it lengthens the iovec, so that a call takes more than the spill
  // has room for, and a byte that would be copied there stops it (EFAULT) before it is taken.
  std::unique_ptr<void, Unmap> beyond_;
  std::unique_ptr<std::byte[]> control_;

  std::span<landfall_record> out_;  // of the poll under way
  std::uint32_t count_ = 0;
  std::deque<landfall_record> backlog_;  // what did not fit, or came outside of poll
  transport::DirectFlows<Flow> flows_;
  std::uint32_t extents_out_ = 0;
  std::uint32_t pieces_out_ = 0;          // direct ones
  std::uint64_t last_page_ = UINT64_MAX;  // that the last direct piece lay in
  // The extent that was told last, while pieces may be added to it: where the next one would lie.
  struct {
    std::uint64_t end = UINT64_MAX;
    std::uint32_t next_token = 0, room = 0;
  } run_;
  std::uint32_t polls_ = 0;
  std::uint32_t applied_share_ = 0;
  std::uint64_t poll_bytes_ = 0;  // told by the poll under way
  transport::Gathering gathering_{{.least_bytes_per_second = 32u << 20, .most_us = 2000}};
  bool slept_ = false;  // in wait(), and has not polled in vain since
  bool told_starved_ = false;
  bool revoked_ = false;
  bool stopped_ = false;
  int control_fd_ = -1;
  std::vector<std::uint32_t> napi_ids_;  // that direct bytes came by
  std::array<epoll_event, 64> events_;
};

}  // namespace landfall::devmem
