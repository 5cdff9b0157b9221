// SPDX-License-Identifier: Apache-2.0
#include "tcp/queue.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>

#include "landfall/abi/transport_authoring.hpp"
#include "landfall/base/limits.hpp"
#include "tcp/same_host.hpp"

namespace landfall::tcp {

Queue::Queue(const QueueSetup& setup)
    : setup_{setup}, pool_{setup.spec.slice_offset, setup.spec.slice_length, setup.slot_bytes} {
  gathering_.reserve(kGatheringMax);
}

Queue::~Queue() {
  while (newest_ != nullptr) destroy(*newest_);
}

// ---- records
// -------------------------------------------------------------------------------------

landfall_errc Queue::poll(std::span<landfall_record> out, std::uint32_t* ret_count) {
  out_ = out;
  count_ = 0;
  while (count_ < out_.size() && !backlog_.empty()) {
    out_[count_++] = backlog_.front();
    backlog_.pop_front();
  }
  const landfall_errc code = room() ? receive() : LANDFALL_ERRC_ok;
  emit_closed();
  if (is_dry() != told_dry_ && room()) {
    told_dry_ = !told_dry_;
    emit(told_dry_ ? LANDFALL_STARVED : LANDFALL_FED);
  }
  *ret_count = count_;
  out_ = {};
  return code;
}

landfall_record& Queue::emit(std::uint8_t kind) {
  landfall_record& record = room() ? out_[count_++] : backlog_.emplace_back();
  record = landfall_record{};
  record.kind = kind;
  return record;
}

landfall_record& Queue::emit(std::uint8_t kind, Flow& flow) {
  landfall_record& record = emit(kind);
  record.placement = LANDFALL_COPIED;
  record.flow_tag = flow.tag;
  record.stream_offset = flow.stream_offset;
  record.flow = handle(&flow);
  return record;
}

void Queue::emit_data(Flow& flow, const SlotPool::Place& place, std::uint32_t length,
                      std::uint32_t reason) {
  landfall_record& record = emit(LANDFALL_DATA, flow);
  record.length = length;
  record.offset = place.offset;
  record.token = place.slot;
  record.code = reason;
  record.charge_bytes = place.charge_bytes;
  flow.stream_offset += length;
  ++flow.out;
  held_bytes_ += length;
}

/// May a small extent keep the slot that it came in? The rule is at most four times the undelivered
/// bytes, and a slot per flow; and never so many that large extents starve.
bool Queue::may_stay(std::uint32_t length) const noexcept {
  const std::uint64_t pinned = std::uint64_t{slots_pinned()} * pool_.slot_bytes();
  const std::uint64_t slot_per_flow = std::uint64_t{flow_count_} * pool_.slot_bytes();
  return pool_.carved_slots() < pool_.slots() / 8 &&
         pinned <= 4 * (held_bytes_ + length) + slot_per_flow;
}

void Queue::received(Flow& flow, std::uint32_t slot, std::uint32_t length) {
  if (flow.closing || flow.ended) return pool_.put(slot);
  if (!pool_.is_small(length)) {
    emit_data(flow, pool_.whole(slot), length, LANDFALL_REASON_copied_by_kernel);
  } else {
    // A small extent stays where it is, in the first cell of a slot that others may share. Beyond
    // that it moves together with others: the second copy is smaller than the slot that it frees.
    SlotPool::Place place{SlotPool::kNone, 0, 0};
    if (!may_stay(length)) place = pool_.take_cell(length);
    if (place.slot == SlotPool::kNone) {
      place = pool_.carve(slot, length);
      emit_data(flow, place, length, LANDFALL_REASON_copied_by_kernel);
    } else {
      std::memcpy(setup_.region + place.offset, setup_.region + pool_.offset_of(slot), length);
      pool_.put(slot);
      emit_data(flow, place, length, LANDFALL_REASON_copied_to_cell);
    }
    // Only extents below 16 bytes hold more than four times their bytes.
    if (place.charge_bytes > 4 * length) {
      flow.excess_bytes += place.charge_bytes - 4 * length;
      if (!flow.choked && flow.excess_bytes > pool_.slot_bytes() / 2) {
        flow.choked = true;
        ++choked_;
        halt(flow);
      }
    }
  }
  if (!flow.demand) return count_bytes(flow, length);
  Request& land = flow.requests.front();
  land.done += length;
  if (land.done < land.length) return;
  flow.requests.pop();
  emit(LANDFALL_LANDED, flow);
}

void Queue::posted(Flow& flow, std::uint64_t length) {
  if (flow.closing || flow.ended) return;
  Request& post = flow.requests.front();
  post.done += length;
  if (post.done < post.length) return;
  const Request done = post;
  flow.requests.pop();
  landfall_record& record = emit(LANDFALL_POSTED, flow);
  record.length = static_cast<std::uint32_t>(done.done);
  record.token = done.token;
  record.code = LANDFALL_REASON_copied_by_kernel;
  flow.stream_offset += done.done;
}

/// Nothing more comes: each request gets what there was for it.
void Queue::answer_requests(Flow& flow) {
  while (!flow.requests.empty()) {
    const Request rest = flow.requests.front();
    flow.requests.pop();
    if (rest.target == nullptr) {
      emit(LANDFALL_LANDED, flow);
      continue;
    }
    landfall_record& record = emit(LANDFALL_POSTED, flow);
    record.length = static_cast<std::uint32_t>(rest.done);
    record.token = rest.token;
    record.code = LANDFALL_REASON_ended_before_post;
    flow.stream_offset += rest.done;
  }
}

void Queue::ended(Flow& flow) {
  if (flow.closing || flow.ended) return;
  answer_requests(flow);
  flow.ended = true;
  emit(LANDFALL_END_OF_STREAM, flow);
}

void Queue::failed(Flow& flow, int number) {
  if (flow.closing || flow.ended) return;
  answer_requests(flow);
  flow.ended = true;
  landfall_record& record = emit(LANDFALL_FAILED, flow);
  record.native = number;
  record.code = authoring::reason_of_end(number);
}

// ---- returns and sleep
// -----------------------------------------------------------------------------

void Queue::give_back(std::span<const landfall_return> returns) noexcept {
  // The list begins with the newest: put last, it is the first to be used again.
  for (std::size_t i = returns.size(); i-- > 0;) {
    const landfall_return& back = returns[i];
    Flow& flow = *flow_of(back.flow);
    const std::uint32_t charge =
        pool_.give_back(static_cast<std::uint32_t>(back.token), back.offset);
    --flow.out;
    held_bytes_ -= back.length;
    if (charge > 4 * back.length && pool_.is_small(back.length)) {
      flow.excess_bytes -= charge - 4 * back.length;
      if (flow.choked && flow.excess_bytes <= pool_.slot_bytes() / 4) {
        flow.choked = false;
        --choked_;
        run(flow);
      }
    }
    if (flow.closing) finish_if_quiet(flow);
  }
}

landfall_errc Queue::arm(std::uint32_t* ret_armed) {
  *ret_armed = 0;
  if (!backlog_.empty() || !done_.empty()) {
    *ret_armed = LANDFALL_ARM_READY;
    return LANDFALL_ERRC_ok;
  }
  if (choked_ != 0) *ret_armed = LANDFALL_ARM_WANTS_RETURNS;
  return engine_arm(ret_armed);
}

// ---- flows
// ---------------------------------------------------------------------------------------

landfall_errc Queue::attach(int fd, const landfall_flow_spec& spec, Flow** ret_flow,
                            landfall_why* why) {
  int protocol = 0;
  socklen_t length = sizeof protocol;
  if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 ||
      (protocol != IPPROTO_TCP && protocol != IPPROTO_MPTCP)) {
    return authoring::refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_not_a_tcp_socket);
  }
  if (setup_.spec.flows_max != 0 && flow_count_ >= setup_.spec.flows_max) {
    return authoring::refuse(why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_flows_limit);
  }
  if (setup_.options.rcvbuf_bytes.value_or(0) != 0) {
    const auto bytes = static_cast<int>(*setup_.options.rcvbuf_bytes);
    if (const int number = fault("setsockopt"); number != 0)
      return authoring::refuse_os(why, "setsockopt(SO_RCVBUF)", LANDFALL_REASON_none, number);
    if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes) != 0)
      return authoring::refuse_os(why, "setsockopt(SO_RCVBUF)", LANDFALL_REASON_none, errno);
  }
  auto flow = std::make_unique<Flow>();
  flow->tag = spec.flow_tag;
  flow->stream_offset = spec.stream_offset;
  flow->demand = spec.demand != 0;
  flow->file_flags = ::fcntl(fd, F_GETFL);
  flow->socket.reset(fd);
  flow->window_begin_ns = setup_.host->now_ns(setup_.host->ctx);
  flow->rcvbuf_fixed = !setup_.options.rcvbuf_bytes && protocol == IPPROTO_TCP &&
                       flow_count_ < kSameHostFlows && is_on_this_host(fd) && fix_rcvbuf(fd);
  // Only with TCP proper does a lower SO_RCVLOWAT tell of bytes that are there already.
  if (protocol != IPPROTO_TCP) flow->window_goal = UINT64_MAX;
  if (const landfall_errc code = start(*flow, why); code != LANDFALL_ERRC_ok) {
    if (flow->rcvbuf_fixed) unfix_rcvbuf(fd);
    flow->socket.release();
    return code;
  }
  flow->older = newest_;
  if (newest_ != nullptr) newest_->newer = flow.get();
  newest_ = flow.get();
  ++flow_count_;
  *ret_flow = flow.release();
  return LANDFALL_ERRC_ok;
}

landfall_errc Queue::detach(Flow& flow, std::int32_t* ret_fd, landfall_why* why) {
  if (flow.out != 0 || !flow.requests.empty() || !backlog_.empty()) {
    return authoring::refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_extents_out);
  }
  if (const landfall_errc code = settle(flow); code != LANDFALL_ERRC_ok) {
    return authoring::refuse(
        why, code, code == LANDFALL_ERRC_busy ? LANDFALL_REASON_bytes_queued : LANDFALL_REASON_none,
        LANDFALL_ORIGIN_LANDFALL, 0, "bytes arrived while the flow was being detached");
  }
  ::fcntl(flow.socket.get(), F_SETFL, flow.file_flags);
  gather_no_more(flow);
  if (!set_lowat(flow)) return LANDFALL_ERRC_io;
  if (flow.rcvbuf_fixed) unfix_rcvbuf(flow.socket.get());
  *ret_fd = flow.socket.release();
  destroy(flow);
  return LANDFALL_ERRC_ok;
}

void Queue::close(Flow& flow, bool reset) noexcept {
  if (flow.closing) return;
  flow.closing = true;
  unlist(flow);
  authoring::end_connection(flow.socket.get(), reset);
  halt(flow);
  finish_if_quiet(flow);
}

void Queue::finish_if_quiet(Flow& flow) noexcept {
  if (flow.closing && flow.out == 0 && !flow.in_flight && flow.listed == Flow::Listed::no)
    done_.push(flow);
}

void Queue::emit_closed() {
  while (!done_.empty() && room()) {
    Flow& flow = done_.pop();
    emit(LANDFALL_CLOSED, flow);
    leave(flow);
    destroy(flow);
  }
}

landfall_errc Queue::pause(Flow& flow, bool on) {
  if (flow.paused == on) return LANDFALL_ERRC_ok;
  flow.paused = on;
  on ? halt(flow) : run(flow);
  return LANDFALL_ERRC_ok;
}

landfall_errc Queue::request(Flow& flow, const Request& request) {
  if (!flow.demand) return LANDFALL_ERRC_invalid_argument;
  if (flow.ended || flow.closing) return LANDFALL_ERRC_closed;
  if (flow.requests.size() >= kDemandMax) return LANDFALL_ERRC_limit_reached;
  flow.requests.push(request);
  if (flow.requests.size() == 1) run(flow);
  return LANDFALL_ERRC_ok;
}

void Queue::unlist(Flow& flow) noexcept {
  if (flow.listed == Flow::Listed::runnable) runnable_.remove(flow);
  if (flow.listed == Flow::Listed::first) first_.remove(flow);
  if (flow.listed == Flow::Listed::starved) starved_.remove(flow);
  if (flow.listed == Flow::Listed::done) done_.remove(flow);
}

void Queue::destroy(Flow& flow) noexcept {
  unlist(flow);
  gather_no_more(flow);
  if (flow.choked) --choked_;
  if (newest_ == &flow) newest_ = flow.older;
  if (flow.older != nullptr) flow.older->newer = flow.newer;
  if (flow.newer != nullptr) flow.newer->older = flow.older;
  --flow_count_;
  delete &flow;
}

}  // namespace landfall::tcp
