// SPDX-License-Identifier: Apache-2.0
// How bytes come: one recvmsg(2) takes what there is, as pieces in pages of the Region that the
// kernel names by control messages, and what it had to copy in the spill.
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <utility>

#include "devmem-tcp/queue.hpp"
#include "landfall/abi/transport_authoring.hpp"
#include "landfall/base/limits.hpp"

namespace landfall::devmem {
namespace {

// A flow that has more waits for the others; who becomes readable meanwhile waits for so many
// polls.
constexpr std::uint32_t kPollsPerLook = 8;
constexpr std::uint32_t kOver = EPOLLERR | EPOLLHUP | EPOLLRDHUP;

}  // namespace

std::uint32_t Queue::poll(std::span<landfall_record> out) {
  out_ = out;
  count_ = 0;
  while (count_ < out_.size() && !backlog_.empty()) {
    out_[count_++] = backlog_.front();
    backlog_.pop_front();
  }
  if (const std::uint32_t share = domain_.windows().share(); share != applied_share_)
    flows_.limit(domain_.windows(), applied_share_ = share);
  if (!flows_.starved.empty()) feed_starved();
  // Who has slept in wait() and has received all that it woke for is about to sleep there again,
  // and looks then.
  const bool sleeper = flows_.runnable.empty() && std::exchange(slept_, false);
  if (!sleeper && (flows_.runnable.empty() || ++polls_ % kPollsPerLook == 0)) {
    bool control = false;
    look(0, &control);
  }
  for (std::uint32_t turns = flows_.runnable.size(); turns != 0; --turns) {
    if (flows_.runnable.empty() || !room() || extents_out_ == extents_max_) break;
    receive(flows_.runnable.pop());
  }
  if (count_ == 0) returns_->flush_idle();
  gathering_.told(std::exchange(poll_bytes_, 0));
  if (!flows_.done.empty()) tell_closed();
  tell_of_spill();
  out_ = {};
  return count_;
}

void Queue::emit(const landfall_record& record) {
  if (room())
    out_[count_++] = record;
  else
    backlog_.push_back(record);
}

bool Queue::look(int timeout_ms, bool* ret_control) {
  if (fault("epoll_wait") != 0) return false;
  const int count =
      ::epoll_wait(epoll_.get(), events_.data(), static_cast<int>(events_.size()), timeout_ms);
  for (int i = 0; i < count; ++i) {
    void* const whose = events_[static_cast<std::size_t>(i)].data.ptr;
    if (whose == nullptr) {
      *ret_control = true;
    } else if (whose == this) {
      revoke();
    } else {
      Flow& flow = *static_cast<Flow*>(whose);
      flow.readable = true;
      // TCP_INQ counts a FIN as a byte, and a reset as nothing (tcp_inq_hint, Linux 7.3); its event
      // may have come with that of the bytes.
      flow.over |= (events_[static_cast<std::size_t>(i)].events & kOver) != 0;
      run(flow);
    }
  }
  return count > 0;
}

/// The lifeline hung up: nothing more is received, what is out stays valid.
void Queue::revoke() {
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, domain_.lifeline(), nullptr);
  revoked_ = true;
  flows_.unlist_all();
  landfall_record record{};
  record.kind = LANDFALL_REVOKED;
  record.code = LANDFALL_REASON_binding_revoked;
  backlog_.push_back(record);
}

/// One call, and what it brought. The flow is in no list.
void Queue::receive(Flow& flow) {
  for (bool again = true; again;) {
    again = false;
    const auto pieces = std::min({static_cast<std::uint32_t>(out_.size()) - count_,
                                  extents_max_ - extents_out_, kPiecesMax});
    const std::span<std::byte> spill = spill_->room();
    if (flow.by_copy && spill.empty()) return flows_.starved.push(flow);
    iovec targets[2] = {{spill.data(), spill.size()}, {beyond_.get(), kBytesPerCall}};
    msghdr message{};
    message.msg_iov = targets;
    message.msg_iovlen = flow.by_copy ? 1 : 2;
    message.msg_control = control_.get();
    message.msg_controllen = pieces * kPieceSpace + kInqSpace;
    int number = fault("recvmsg");
    ssize_t got = -1;
    if (number == 0) {
      got = domain_.kernel().recvmsg(flow.socket.get(), &message, kMsgSockDevmem | MSG_DONTWAIT);
      if (got < 0) number = errno;
    }
    if (got > 0) {
      poll_bytes_ += static_cast<std::uint64_t>(got);
      take_pieces(flow, message, static_cast<std::uint64_t>(got));
    } else if (got < 0) {
      again = after_error(flow, number);
    } else {
      fail(flow, 0, 0);
    }
  }
  run(flow);
}

bool Queue::after_error(Flow& flow, int number) {
  switch (number) {
    case EAGAIN:
      flow.readable = false;
      return false;
    case EINTR:
      return false;
    case EFAULT:
      // It came to bytes that must be copied, and they did not fit: an empty block, then the iovec
      // no longer than that.
      if (spill_->renew()) return true;
      if (!spill_->has_room()) {
        flows_.starved.push(flow);
        return false;
      }
      if (!flow.by_copy) return flow.by_copy = true;
      break;
    case ENODEV:  // the page is no dma-buf's: another provider's queue (io_uring zcrx)
      fail(flow, number, LANDFALL_REASON_foreign_binding);
      return false;
    default:
      break;
  }
  fail(flow, number, authoring::reason_of_end(number));
  return false;
}

/// `number` 0: the end of the stream.
void Queue::fail(Flow& flow, int number, std::uint32_t code) {
  flow.ended = true;
  landfall_record record = authoring::end_of(&flow, flow.spec, number);
  if (code != 0) record.code = code;
  emit(record);
}

void Queue::take_pieces(Flow& flow, const msghdr& message, std::uint64_t bytes) {
  const std::byte* at = control_.get();
  const std::byte* const end = at + message.msg_controllen;
  std::uint64_t told = 0, direct = 0;
  bool foreign = false;
  run_ = {};
  int queued = 1;  // without the word of TCP_INQ: there may be more
  while (static_cast<std::size_t>(end - at) >= sizeof(cmsghdr)) {
    const auto& head = *reinterpret_cast<const cmsghdr*>(at);
    if (head.cmsg_len < sizeof(cmsghdr)) break;
    if (head.cmsg_level == SOL_SOCKET && head.cmsg_len == CMSG_LEN(sizeof(DmabufCmsg)) &&
        (head.cmsg_type == kScmDmabuf || head.cmsg_type == kScmLinear)) {
      DmabufCmsg piece;
      std::memcpy(&piece, CMSG_DATA(&head), sizeof piece);
      told += piece.frag_size;
      if (head.cmsg_type == kScmLinear) {
        run_ = {};
        if (!foreign)
          take_spilled(flow, piece.frag_size, LANDFALL_LINEAR,
                       LANDFALL_REASON_linear_in_packet_head);
      } else if (piece.dmabuf_id != domain_.dmabuf_id() || foreign) {
        foreign = true;  // its offset means nothing here, and what follows has a gap before it
        returns_->add(flow, piece.frag_token, 1);
      } else {
        direct += piece.frag_size;
        const std::uint32_t charge = charge_of(piece);
        if (!prolong(piece, charge)) take_page(flow, piece, charge);
        flow.spec.stream_offset += piece.frag_size;
        ++pieces_out_;
      }
    } else if (head.cmsg_level == SOL_TCP && head.cmsg_type == TCP_CM_INQ) {
      std::memcpy(&queued, CMSG_DATA(&head), sizeof queued);
    }
    at += CMSG_ALIGN(head.cmsg_len);
  }
  flow.readable = queued != 0 || flow.over;
  if (told == 0) {
    const Cause cause = cause_of_copy(flow, bytes);
    take_spilled(flow, static_cast<std::uint32_t>(bytes), cause.placement, cause.code);
    flow.by_copy = true;
    flow.since_direct += bytes;
  } else {
    flow.by_copy = false;
    if (direct != 0) {
      flow.since_direct = 0;
      if (!flow.saw_direct) saw_direct(flow);
    }
  }
  spill_->align();
  if (foreign)
    fail(flow, EXDEV, LANDFALL_REASON_foreign_binding);
  else if (told != 0 && told != bytes)
    fail(flow, EBADMSG, LANDFALL_REASON_none);
}

/// Some NICs put several packets in a page: the first holds it, the others are counted as they are.
inline std::uint32_t Queue::charge_of(const DmabufCmsg& piece) noexcept {
  const std::uint64_t page = piece.frag_offset >> domain_.page_shift();
  return std::exchange(last_page_, page) == page ? piece.frag_size : domain_.page_bytes();
}

/// What lies behind the last piece, and has the token behind the last one's: the same extent.
inline bool Queue::prolong(const DmabufCmsg& piece, std::uint32_t charge) noexcept {
  if (piece.frag_offset != run_.end || piece.frag_token != run_.next_token || run_.room == 0)
    return false;
  landfall_record& record = out_[count_ - 1];
  record.length += piece.frag_size;
  record.token += Run{0, 1}.packed();
  record.charge_bytes += charge;
  run_.end += piece.frag_size;
  ++run_.next_token;
  --run_.room;
  return true;
}

/// There is room in out_: receive() asked for no more pieces than that.
inline void Queue::take_page(Flow& flow, const DmabufCmsg& piece, std::uint32_t charge) noexcept {
  out_[count_++] = landfall_record{.kind = LANDFALL_DATA,
                                   .placement = LANDFALL_DIRECT,
                                   .memory = 0,
                                   .length = piece.frag_size,
                                   .offset = piece.frag_offset,
                                   .token = Run{piece.frag_token, 1}.packed(),
                                   .flow_tag = flow.spec.flow_tag,
                                   .stream_offset = flow.spec.stream_offset,
                                   .flow = authoring::handle_of<landfall_flow>(&flow),
                                   .code = 0,
                                   .flags = 0,
                                   .native = 0,
                                   .charge_bytes = charge};
  run_ = {piece.frag_offset + piece.frag_size, piece.frag_token + 1, kRunMost - 1};
  ++flow.out;
  ++extents_out_;
}

void Queue::take_spilled(Flow& flow, std::uint32_t length, std::uint8_t placement,
                         std::uint32_t code) {
  const Spill::Place place = spill_->take(length);
  landfall_record record = authoring::record_of(LANDFALL_DATA, &flow, flow.spec);
  record.placement = placement;
  record.memory = 1;
  record.length = length;
  record.offset = place.offset;
  record.token = place.block;
  record.code = code;
  record.charge_bytes = length;
  out_[count_++] = record;
  flow.spec.stream_offset += length;
  ++flow.out;
  ++extents_out_;
}

/// Why bytes came without a control message.
Cause Queue::cause_of_copy(const Flow& flow, std::uint64_t length) const {
  if (flow.early()) return transport::cause_of_copy(true, false, 0);
  const std::uint32_t napi = domain_.kernel().incoming_napi(flow.socket.get());
  const auto holds = [napi](const std::vector<std::uint32_t>& ids) {
    return std::find(ids.begin(), ids.end(), napi) != ids.end();
  };
  const bool right = napi != 0 && (holds(domain_.napi_ids()) || holds(napi_ids_));
  return transport::cause_of_copy(false, right, flow.since_direct + length);
}

/// Where the core does not know the numbers of the queues, what comes tells them.
void Queue::saw_direct(Flow& flow) {
  flow.saw_direct = true;
  if (!domain_.napi_ids().empty()) return;
  const std::uint32_t napi = domain_.kernel().incoming_napi(flow.socket.get());
  if (napi != 0 && std::find(napi_ids_.begin(), napi_ids_.end(), napi) == napi_ids_.end() &&
      napi_ids_.size() < kQueuesMax)
    napi_ids_.push_back(napi);
}

void Queue::feed_starved() noexcept {
  while (!flows_.starved.empty() && spill_->has_room()) run(flows_.starved.pop());
}

void Queue::tell_of_spill() {
  if (flows_.starved.empty() == !told_starved_ || !room()) return;
  told_starved_ = !told_starved_;
  landfall_record record{};
  record.kind = told_starved_ ? LANDFALL_STARVED : LANDFALL_FED;
  emit(record);
}

// ---- sleep
// ---------------------------------------------------------------------------------------

std::uint32_t Queue::arm() {
  feed_starved();
  std::uint32_t armed = 0;
  if (!backlog_.empty() || !flows_.done.empty() || flows_.starved.empty() == told_starved_)
    armed |= LANDFALL_ARM_READY;
  if (!flows_.runnable.empty())
    armed |= extents_out_ == extents_max_ ? LANDFALL_ARM_WANTS_RETURNS : LANDFALL_ARM_READY;
  // What a dry pool drops wakes nobody.
  if (!flows_.starved.empty() || scarce()) armed |= LANDFALL_ARM_WANTS_RETURNS;
  if ((armed & LANDFALL_ARM_READY) == 0) scarce() ? returns_->flush_all() : returns_->flush_idle();
  return armed;
}

bool Queue::scarce() const noexcept {
  return std::uint64_t{pieces_out_} * domain_.page_bytes() >= domain_.region_bytes() / 2;
}

/// Bytes gather meanwhile; whatever else comes ends it.
void Queue::nap(int control_fd, std::uint32_t us) noexcept {
  std::array<pollfd, 2> others{{{control_fd, POLLIN, 0}, {domain_.lifeline(), POLLRDHUP, 0}}};
  const timespec time{0, static_cast<long>(us) * 1000};
  ::ppoll(others.data(), others.size(), &time, nullptr);
}

landfall_errc Queue::wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control) {
  if (control_fd != control_fd_ && control_fd >= 0) {
    epoll_event event{};
    event.events = EPOLLIN;
    const int number = authoring::attempt(domain_.host(), "epoll_ctl", [&] {
      return ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, control_fd, &event);
    });
    if (number != 0) return authoring::errc_of(number);
    control_fd_ = control_fd;
  }
  bool control = false;
  const bool may_gather = flows_.starved.empty() && !scarce();
  const std::uint32_t us = may_gather ? gathering_.begin(timeout_ns) : 0;
  if (us != 0) nap(control_fd, us);
  if (us == 0 || !look(0, &control))
    look(authoring::milliseconds_of(timeout_ns - std::uint64_t{us} * 1000), &control);
  slept_ = true;
  *ret_control = control ? 1 : 0;
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::devmem
