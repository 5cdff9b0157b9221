// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "landfall/base/fd.hpp"
#include "landfall/transport/sender.hpp"
#include "transport/send_kernel.hpp"
#include "transport/sender_core.hpp"

namespace landfall::detail {

enum class SendMethod : std::uint8_t { devmem, zerocopy, copy };

/// What the trial of a connection has found out.
struct SendWay {
  SendMethod method = SendMethod::copy;
  bool may_copy = false;            // what cannot go without
  std::uint32_t dmabuf_id = 0;      // devmem
  std::uint64_t dmabuf_offset = 0;  // of the Region in its dma-buf
};

/// One connection that sends from a Region.
///
/// What is queued is a stream: pieces lie one behind another in it, and so do the calls by which
/// they were handed to the kernel. A piece is through when all calls are that cover it, and all
/// before.
class SocketSender final : public SenderCore {
 public:
  /// `events`: an epoll descriptor that has edges of the socket. take() must follow.
  SocketSender(std::shared_ptr<SendGroupCore> group, const SendWay& way, Fd events,
               Decision decision);
  ~SocketSender() override;
  SocketSender(const SocketSender&) = delete;
  SocketSender& operator=(const SocketSender&) = delete;

  void take(Fd& socket) noexcept { socket_ = std::move(socket); }
  Result<void> send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag) override;
  Result<void> send_inline(std::span<const std::byte> bytes) override;
  Result<void> finish() override;
  Result<std::size_t> poll(std::span<Sent> out) override;
  Result<std::size_t> wait(std::span<Sent> out, std::chrono::nanoseconds timeout) override;
  Result<bool> arm() override;
  Result<Fd> detach() override;
  Result<void> wait_for_end(std::chrono::nanoseconds timeout) override;

  int wait_fd() const noexcept override { return events_.get(); }
  std::uint32_t ranges_out() const noexcept override {
    return static_cast<std::uint32_t>(next_ - through_);
  }
  std::uint64_t sent_bytes() const noexcept override { return handed_; }
  const Verdict& verdict() const noexcept override { return verdict_; }
  const Decision& decision() const noexcept override { return decision_; }

 private:
  struct Piece {
    std::uint64_t begin = 0, end = 0;  // in the stream
    std::uint64_t offset = 0;          // in the Region; inline: in the order of inline bytes
    std::uint64_t tag = 0;
    bool is_inline = false, copied = false;
  };
  struct Call {
    std::uint64_t begin = 0, end = 0;  // in the stream
    bool done = false, copied = false;
  };
  enum class Handed : std::uint8_t { some, nothing };

  Piece& piece(std::uint64_t number) noexcept { return pieces_[number % pieces_.size()]; }
  Call& call(std::uint64_t number) noexcept { return calls_[number % calls_.size()]; }

  /// First in each call from outside: whose process it is costs a system call.
  Result<void> check() const noexcept;
  Result<void> check_whole() const noexcept;
  Result<void> check_room(const char* op) const;
  Error fail(const Error& error) noexcept;
  Error connection_failed(const char* op, int number) noexcept;
  Result<void> check_connection() noexcept;

  Result<void> push();
  Result<Handed> hand_over();
  std::size_t gather(std::span<iovec> ret_pieces) noexcept;
  Result<Handed> not_taken(int number, bool direct);
  void account(std::uint64_t bytes, bool direct) noexcept;

  Result<void> reap();
  void mark(const SendNotice& notice) noexcept;
  void pass() noexcept;
  Result<void> judge();
  std::size_t collect(std::span<Sent> out) noexcept;

  const std::shared_ptr<SendGroupCore> group_;
  Fd socket_, events_;
  SendWay way_;
  ReasonCode copy_reason_ = ReasonCode::copied_by_kernel;
  const Decision decision_;
  const int owner_pid_;

  // first_ <= through_ <= unsent_ <= next_
  std::vector<Piece> pieces_;
  std::uint64_t first_ = 0;    // the oldest that has not been collected
  std::uint64_t through_ = 0;  // the oldest that is not through
  std::uint64_t unsent_ = 0;   // the oldest that is not handed over whole
  std::uint64_t next_ = 0;
  std::uint64_t queued_ = 0, handed_ = 0;  // ends in the stream

  std::vector<Call> calls_;  // those that send without copying
  std::uint64_t oldest_call_ = 0, next_call_ = 0;

  std::vector<std::byte> inline_bytes_;  // a ring, made when it is needed
  std::uint64_t inline_begin_ = 0, inline_end_ = 0;

  Verdict verdict_;
  bool finishing_ = false, finished_ = false, told_of_limit_ = false;
  std::optional<Error> broken_;
};

}  // namespace landfall::detail
