// SPDX-License-Identifier: Apache-2.0
// What a Sender hands to the kernel, and what the kernel says it is through with.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "landfall/base/limits.hpp"
#include "transport/send_group_core.hpp"

namespace landfall::detail {
namespace {

// Ranges that lie one behind another in the stream go in one call.
constexpr std::size_t kRangesPerCall = 16;
// Bytes after which a connection whose bytes the kernel copies all the same changes to `copy`.
constexpr std::uint64_t kCopiedEnough = 1u << 20;

/// What ENOBUFS is about: the kernel charges pages that it holds to RLIMIT_MEMLOCK (mm/account),
/// and each notice to net.core.optmem_max.
ReasonCode limit_behind_enobufs(SendMethod method) noexcept {
  rlimit limit{};
  if (method == SendMethod::zerocopy && ::getrlimit(RLIMIT_MEMLOCK, &limit) == 0 &&
      limit.rlim_cur < 2 * kSendCallBytes)
    return ReasonCode::memlock_limit;
  return ReasonCode::optmem_limit;
}

}  // namespace

Error SocketSender::connection_failed(const char* op, int number) noexcept {
  switch (number) {
    case EPIPE:
    case ECONNRESET:
      return fail(Error{Errc::flow_reset, op, ReasonCode::peer_reset, Origin::os, number});
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case ENETDOWN:
      return fail(Error{Errc::flow_reset, op, ReasonCode::peer_unreachable, Origin::os, number});
    default:
      return fail(os_error(op, ReasonCode::none, number));
  }
}

/// Has the connection ended? What waits to be sent is dropped then, and the kernel says that it is
/// through with it: so this is asked before that is believed. SO_ERROR alone also tells of what
/// TCP gets over, such as a router that finds no way for a while.
Result<void> SocketSender::check_connection() noexcept {
  LANDFALL_CHECK(check_whole());
  pollfd state{socket_.get(), 0, 0};
  if (::poll(&state, 1, 0) <= 0 || (state.revents & POLLHUP) == 0) return {};
  tcp_info info{};
  socklen_t length = sizeof info;
  if (::getsockopt(socket_.get(), IPPROTO_TCP, TCP_INFO, &info, &length) == 0 &&
      info.tcpi_state != TCP_CLOSE)
    return {};  // both sides have finished
  int number = 0;
  length = sizeof number;
  if (::getsockopt(socket_.get(), SOL_SOCKET, SO_ERROR, &number, &length) != 0) number = errno;
  if (number != 0) return connection_failed("Sender::poll", number);
  return {};
}

Result<void> SocketSender::push() {
  LANDFALL_CHECK(check_whole());
  while (unsent_ != next_) {
    LANDFALL_TRY(const Handed handed, hand_over());
    if (handed == Handed::nothing) return {};
  }
  if (finishing_ && !finished_) {
    errno = group_->context().fault("shutdown");
    if (errno != 0 || ::shutdown(socket_.get(), SHUT_WR) != 0)
      return connection_failed("shutdown", errno);
    finished_ = true;
  }
  return {};
}

/// The next bytes, of one inline piece or of ranges; at most kSendCallBytes.
std::size_t SocketSender::gather(std::span<iovec> ret_pieces) noexcept {
  const Piece& front = piece(unsent_);
  const std::uint64_t done = handed_ - front.begin;
  if (front.is_inline) {
    const std::uint64_t at = (front.offset + done) % kSendInlineBytesMax;
    const std::uint64_t length = std::min(front.end - handed_, kSendInlineBytesMax - at);
    ret_pieces[0] = {&inline_bytes_[at], length};
    return 1;
  }
  std::uint64_t room = kSendCallBytes;
  std::size_t count = 0;
  for (std::uint64_t i = unsent_; i != next_ && count < ret_pieces.size() && room != 0; ++i) {
    const Piece& one = piece(i);
    if (one.is_inline) break;
    const std::uint64_t from = std::max(one.begin, handed_);
    const std::uint64_t length = std::min(one.end - from, room);
    const std::uint64_t offset = one.offset + (from - one.begin);
    const std::uint64_t base = way_.method == SendMethod::devmem
                                   ? way_.dmabuf_offset
                                   : reinterpret_cast<std::uintptr_t>(group_->memory().abi().host);
    ret_pieces[count++] = {reinterpret_cast<void*>(base + offset), length};
    room -= length;
  }
  return count;
}

Result<SocketSender::Handed> SocketSender::hand_over() {
  std::array<iovec, kRangesPerCall> pieces;
  const std::size_t count = gather(pieces);
  const bool is_inline = piece(unsent_).is_inline;
  const bool direct = !is_inline && way_.method != SendMethod::copy;
  if (direct && next_call_ - oldest_call_ == calls_.size()) return Handed::nothing;
  const bool more = is_inline && (unsent_ + 1 != next_ || finishing_);
  const int flags =
      MSG_DONTWAIT | MSG_NOSIGNAL | (direct ? MSG_ZEROCOPY : 0) | (more ? MSG_MORE : 0);
  const bool devmem = direct && way_.method == SendMethod::devmem;
  ssize_t taken = -1;
  errno = group_->context().fault("sendmsg");
  if (errno == 0)
    taken =
        send_kernel->send(socket_.get(), pieces.data(), count, devmem ? way_.dmabuf_id : 0, flags);
  if (taken < 0) return not_taken(errno, direct);
  account(static_cast<std::uint64_t>(taken), direct);
  if (!direct) LANDFALL_CHECK(judge());
  return Handed::some;
}

/// `bytes` more have been handed over.
void SocketSender::account(std::uint64_t bytes, bool direct) noexcept {
  const std::uint64_t begin = handed_;
  handed_ += bytes;
  if (direct) call(next_call_++) = {begin, handed_, false, false};
  while (unsent_ != next_) {
    Piece& one = piece(unsent_);
    if (one.begin >= handed_) break;
    if (!direct && !one.is_inline) {
      one.copied = true;
      verdict_.add(Placement::copied, std::min(one.end, handed_) - std::max(one.begin, begin),
                   copy_reason_);
    }
    if (one.end > handed_) break;
    ++unsent_;
  }
  pass();
}

Result<SocketSender::Handed> SocketSender::not_taken(int number, bool direct) {
  const bool devmem = direct && way_.method == SendMethod::devmem;
  if (number == EAGAIN) return Handed::nothing;
  if (number == EINTR) return Handed::some;
  if (number == ENOBUFS && direct) {
    const ReasonCode limit = limit_behind_enobufs(way_.method);
    // It holds as much as it may: notices make room.
    if (next_call_ != oldest_call_) {
      if (!told_of_limit_)
        group_->context().event(reason_from(os_error("sendmsg(MSG_ZEROCOPY)", limit, number)));
      told_of_limit_ = true;
      return Handed::nothing;
    }
    if (!way_.may_copy)
      return fail(Error{Errc::limit_reached, "sendmsg(MSG_ZEROCOPY)", limit, Origin::os, number});
    way_.method = SendMethod::copy;
    copy_reason_ = limit;
    return Handed::some;
  }
  // net/core/devmem.c, net_devmem_get_binding.
  if (devmem && number == EINVAL)
    return fail(Error{Errc::revoked, "sendmsg(SCM_DEVMEM_DMABUF)", ReasonCode::binding_revoked,
                      Origin::os, number});
  if (devmem && number == ENODEV)
    return fail(Error{Errc::device_lost, "sendmsg(SCM_DEVMEM_DMABUF)", ReasonCode::route_elsewhere,
                      Origin::os, number});
  if (direct && number == EFAULT)
    return fail(Error{Errc::io, "sendmsg(MSG_ZEROCOPY)", ReasonCode::memory_not_pinnable,
                      Origin::os, number});
  return connection_failed("sendmsg", number);
}

Result<void> SocketSender::reap() {
  LANDFALL_CHECK(check_whole());
  bool any = false;
  for (SendNotice notice; next_call_ != oldest_call_;) {
    errno = group_->context().fault("recvmsg");
    const int got = errno != 0 ? -1 : send_kernel->notice(socket_.get(), &notice);
    if (got < 0) return connection_failed("recvmsg(MSG_ERRQUEUE)", errno);
    if (got == 0) break;
    LANDFALL_CHECK(check_connection());
    any = true;
    mark(notice);
    while (oldest_call_ != next_call_ && call(oldest_call_).done) {
      const Call& done = call(oldest_call_++);
      verdict_.add(done.copied ? Placement::copied : Placement::direct, done.end - done.begin,
                   done.copied ? ReasonCode::copied_on_the_way : ReasonCode::none);
    }
  }
  if (!any) return {};
  pass();
  return judge();
}

void SocketSender::mark(const SendNotice& notice) noexcept {
  // Notices number calls with 32 bits; those that are out are fewer.
  const std::uint32_t count = notice.last - notice.first + 1;
  const auto out = static_cast<std::uint32_t>(next_call_ - oldest_call_);
  for (std::uint32_t i = 0; i != std::min(count, static_cast<std::uint32_t>(calls_.size())); ++i) {
    const std::uint32_t since = notice.first + i - static_cast<std::uint32_t>(oldest_call_);
    if (since >= out) continue;
    Call& done = call(oldest_call_ + since);
    done.done = true;
    done.copied = notice.copied;
    if (!notice.copied) continue;
    for (std::uint64_t k = through_; k != next_ && piece(k).begin < done.end; ++k)
      if (piece(k).end > done.begin && !piece(k).is_inline) piece(k).copied = true;
  }
}

/// Pieces that are through now.
void SocketSender::pass() noexcept {
  const std::uint64_t to = oldest_call_ == next_call_ ? handed_ : call(oldest_call_).begin;
  while (through_ != unsent_ && piece(through_).end <= to) ++through_;
}

/// The contract, and whether asking for no copies is worth it here.
Result<void> SocketSender::judge() {
  const CopyContract& contract = group_->options().contract;
  if (verdict_.total() > contract.grace_bytes) {
    if (const ReasonCode why = contract.broken_by(verdict_); why != ReasonCode::none)
      return fail(Error{Errc::contract_broken, "Sender::poll", why});
  }
  const std::uint64_t copied = verdict_[Placement::copied];
  if (way_.may_copy && way_.method == SendMethod::zerocopy && copied == verdict_.total() &&
      copied >= kCopiedEnough) {
    way_.method = SendMethod::copy;
    copy_reason_ = ReasonCode::copied_on_the_way;
  }
  return {};
}

}  // namespace landfall::detail
