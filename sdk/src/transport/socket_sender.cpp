// SPDX-License-Identifier: Apache-2.0
// The queue of a Sender: what comes in, what is through, and how it ends. send_calls.cpp has what
// goes to the kernel and comes back from it.
#include "transport/socket_sender.hpp"

#include <poll.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <string>

#include "base/deadline.hpp"
#include "base/process.hpp"
#include "landfall/base/limits.hpp"
#include "transport/send_group_core.hpp"

namespace landfall::detail {

SocketSender::SocketSender(std::shared_ptr<SendGroupCore> group, const SendWay& way, Fd events,
                           Decision decision)
    : group_{std::move(group)},
      events_{std::move(events)},
      way_{way},
      decision_{std::move(decision)},
      owner_pid_{this_process()},
      pieces_(group_->options().ranges_max),
      calls_(way.method == SendMethod::copy ? 1 : kSendCallsMax) {
  group_->senders.fetch_add(1, std::memory_order_relaxed);
}

SocketSender::~SocketSender() {
  if (socket_ && (through_ != next_ || broken_) && owner_pid_ == this_process()) {
    const linger at_once{1, 0};
    ::setsockopt(socket_.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
  }
  socket_.reset();
  group_->senders.fetch_sub(1, std::memory_order_release);
}

Result<void> SocketSender::check() const noexcept {
  if (owner_pid_ != this_process())
    return Error{Errc::wrong_process, "Sender", ReasonCode::forked_child};
  return check_whole();
}

Result<void> SocketSender::check_whole() const noexcept {
  if (broken_) return *broken_;
  return {};
}

/// For another piece.
Result<void> SocketSender::check_room(const char* op) const {
  LANDFALL_CHECK(check());
  if (finishing_) return Error{Errc::closed, op, ReasonCode::stream_finished};
  if (next_ - first_ == pieces_.size())
    return Error{Errc::limit_reached, op, ReasonCode::ranges_limit};
  return {};
}

/// The first failure stays: nothing is sent or told any more.
Error SocketSender::fail(const Error& error) noexcept {
  if (!broken_) broken_ = error;
  return *broken_;
}

Result<void> SocketSender::send(std::uint64_t offset, std::uint64_t length, std::uint64_t tag) {
  constexpr const char* kOp = "Sender::send";
  LANDFALL_CHECK(check_room(kOp));
  const std::uint64_t size = group_->memory().size_bytes();
  if (length == 0 || offset > size || length > size - offset)
    return Error{Errc::invalid_argument, kOp, ReasonCode::range_outside}.with(
        "offset " + std::to_string(offset) + " and length " + std::to_string(length) +
        " do not lie inside the " + std::to_string(size) + " bytes of the Region");
  piece(next_++) = {queued_, queued_ + length, offset, tag, false, false};
  queued_ += length;
  return push();
}

Result<void> SocketSender::send_inline(std::span<const std::byte> bytes) {
  constexpr const char* kOp = "Sender::send_inline";
  LANDFALL_CHECK(check_room(kOp));
  if (bytes.empty()) return {};
  if (bytes.size() > kSendInlineBytesMax - (inline_end_ - inline_begin_))
    return Error{Errc::limit_reached, kOp, ReasonCode::ranges_limit}.with(
        "of " + std::to_string(kSendInlineBytesMax) + " inline bytes that may wait, " +
        std::to_string(inline_end_ - inline_begin_) + " do, and there are " +
        std::to_string(bytes.size()) + " more");
  inline_bytes_.resize(kSendInlineBytesMax);
  const std::uint64_t at = inline_end_ % kSendInlineBytesMax;
  const std::uint64_t first = std::min<std::uint64_t>(bytes.size(), kSendInlineBytesMax - at);
  std::memcpy(&inline_bytes_[at], bytes.data(), first);
  std::memcpy(inline_bytes_.data(), bytes.data() + first, bytes.size() - first);
  piece(next_++) = {queued_, queued_ + bytes.size(), inline_end_, 0, true, true};
  inline_end_ += bytes.size();
  queued_ += bytes.size();
  return {};  // it goes with what follows
}

Result<void> SocketSender::finish() {
  LANDFALL_CHECK(check());
  finishing_ = true;
  return push();
}

Result<std::size_t> SocketSender::poll(std::span<Sent> out) {
  LANDFALL_CHECK(check());
  const auto told = reap();
  const auto pushed = told ? push() : told;
  const std::size_t count = collect(out);
  if (!pushed && count == 0) return pushed.error();
  return count;
}

Result<std::size_t> SocketSender::wait(std::span<Sent> out, std::chrono::nanoseconds timeout) {
  using Clock = std::chrono::steady_clock;
  const auto began = Clock::now();
  for (;;) {
    LANDFALL_TRY(const std::size_t count, poll(out));
    if (count != 0 || ranges_out() == 0 || out.empty()) return count;
    LANDFALL_TRY(const bool may_sleep, arm());
    if (!may_sleep) continue;
    pollfd events{events_.get(), POLLIN, 0};
    const auto left = timeout - (Clock::now() - began);
    if (timeout.count() >= 0 && left.count() <= 0) return 0;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(left);
    const timespec limit{seconds.count(), (left - seconds).count()};
    ::ppoll(&events, 1, timeout.count() < 0 ? nullptr : &limit, nullptr);
  }
}

Result<bool> SocketSender::arm() {
  LANDFALL_CHECK(check());
  // Edges: what has happened is taken away first, and then looked at.
  epoll_event event{};
  const bool seen = ::epoll_wait(events_.get(), &event, 1, 0) == 1;
  if (!reap() || !push()) return false;
  if (seen && (event.events & (EPOLLERR | EPOLLHUP)) != 0 && !check_connection()) return false;
  return first_ == through_;
}

Result<Fd> SocketSender::detach() {
  LANDFALL_CHECK(check());
  if (through_ != next_)
    return Error{Errc::busy, "Sender::detach", ReasonCode::ranges_out}.with(
        std::to_string(ranges_out()) + " ranges and inline pieces are out");
  events_.reset();
  return std::move(socket_);
}

Result<void> SocketSender::wait_for_end(std::chrono::nanoseconds timeout) {
  constexpr const char* kOp = "Sender::close";
  const auto deadline = deadline_after(timeout);
  const auto left = [&] { return deadline - std::chrono::steady_clock::now(); };
  std::array<Sent, 64> through;
  while (ranges_out() != 0) {
    LANDFALL_TRY(const std::size_t count, wait(through, std::max(left(), left().zero())));
    if (count == 0 && left() <= left().zero()) return Error{Errc::timed_out, kOp};
  }
  std::array<std::byte, 512> dropped;
  for (;;) {
    const ssize_t got = ::recv(socket_.get(), dropped.data(), dropped.size(), MSG_DONTWAIT);
    if (got == 0) return {};
    if (got < 0 && errno != EAGAIN && errno != EINTR) return connection_failed("recv", errno);
    if (got > 0 || errno == EINTR) continue;
    const auto ms = std::chrono::ceil<std::chrono::milliseconds>(left()).count();
    if (ms <= 0) return Error{Errc::timed_out, kOp};
    pollfd fd{socket_.get(), POLLIN, 0};
    ::poll(&fd, 1, static_cast<int>(std::min<std::int64_t>(ms, 3'600'000)));
  }
}

std::size_t SocketSender::collect(std::span<Sent> out) noexcept {
  std::size_t count = 0;
  for (; first_ != through_; ++first_) {
    const Piece& done = piece(first_);
    if (done.is_inline) {
      inline_begin_ += done.end - done.begin;
      continue;
    }
    if (count == out.size()) break;
    out[count++] = {done.tag, done.offset, done.end - done.begin,
                    done.copied ? Placement::copied : Placement::direct};
  }
  return count;
}

}  // namespace landfall::detail
