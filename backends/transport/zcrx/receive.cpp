// SPDX-License-Identifier: Apache-2.0
// How bytes come: one multishot receive for each flow tells of every piece that the NIC has put
// into the area. Where they lay before, and what the NIC put elsewhere: placement.cpp.
#include <cerrno>
#include <utility>

#include "zcrx/queue.hpp"
#include "zcrx/user_data.hpp"

namespace landfall::zcrx {
std::uint32_t Queue::poll(std::span<landfall_record> out) {
  out_ = out;
  count_ = 0;
  poll_bytes_ = 0;
  run_ = {};
  while (count_ < out_.size() && !backlog_.empty()) {
    out_[count_++] = backlog_.front();
    backlog_.pop_front();
  }
  if (enable() == LANDFALL_ERRC_ok) {
    if (const std::uint32_t share = windows_.share(); share != applied_share_) {
      applied_share_ = share;
      if (!domain_.options().no_device) flows_.limit(windows_, share);
    }
    if (told_starved_) tell_of_memory();  // before what comes now leaves no room for it
    work_off_runnable();
    take_completions();
    // Who has slept in wait() and was told of all that it woke for is about to sleep there again.
    const bool sleeper = count_ == 0 && std::exchange(slept_, false);
    if (count_ == 0 && !sleeper && is_due()) {
      prepare();
      static_cast<void>(enter());
      take_completions();
    }
  }
  if (!flows_.done.empty()) tell_closed();
  tell_of_memory();
  gathering_.told(poll_bytes_);
  out_ = {};
  return count_;
}

bool Queue::is_due() noexcept {
  return ring_.has_unsubmitted() || !flows_.runnable.empty() || ring_.kernel_wants_entry() ||
         (!lifeline_armed_ && domain_.lifeline() >= 0 && !revoked_);
}

void Queue::emit(const landfall_record& record) {
  run_ = {};
  if (backlog_.empty() && count_ < out_.size())
    out_[count_++] = record;
  else
    backlog_.push_back(record);
}

std::optional<Completion> Queue::next_completion() noexcept {
  const io_uring_cqe* cqe = ring_.peek();
  if (cqe == nullptr) return std::nullopt;
  Completion completion{.user_data = cqe->user_data,
                        .result = cqe->res,
                        .flags = cqe->flags,
                        .off = cqe->big_cqe[0],
                        .sure = true};
  ring_.done_with_one();
  if (sure_first_ != 0) {
    if (unsure_next_ != 0) --sure_first_;
  } else if (unsure_next_ != 0) {
    --unsure_next_;
    completion.sure = false;
  }
  return completion;
}

void Queue::take_completions() {
  while (room() && !stash_.empty()) {
    const Completion completion = stash_.front();
    stash_.pop_front();
    on_completion(completion);
  }
  while (room()) {
    take_run();
    const std::optional<Completion> completion = next_completion();
    if (!completion) break;
    on_completion(*completion);
  }
}

/// Those that prolong the last extent: the way of nearly all of a bulk stream.
void Queue::take_run() noexcept {
  if (run_.flow == nullptr || unsure_next_ != 0 || out_[count_ - 1].placement != LANDFALL_DIRECT)
    return;
  const std::uint64_t user_data = user_data_of(*run_.flow);
  const auto page = static_cast<std::int32_t>(domain_.page_bytes());
  const unsigned taken = ring_.take_while([&](const io_uring_cqe& cqe) {
    if (cqe.user_data != user_data || cqe.res != page || (cqe.flags & IORING_CQE_F_MORE) == 0 ||
        (cqe.big_cqe[0] & uapi::kOffsetMask) != run_.end || run_.room == 0)
      return false;
    run_.end += static_cast<std::uint64_t>(page);
    --run_.room;
    return true;
  });
  const std::uint64_t bytes = std::uint64_t{taken} * domain_.page_bytes();
  landfall_record& record = out_[count_ - 1];
  record.length += static_cast<std::uint32_t>(bytes);
  record.charge_bytes += static_cast<std::uint32_t>(bytes);
  record.token += Run{0, 0, taken}.packed();
  run_.flow->spec.stream_offset += bytes;
  poll_bytes_ += bytes;
  pages_out_ += taken;
  extents_told_ += taken;
}

void Queue::on_completion(const Completion& completion) {
  Flow* const flow = flow_in(completion.user_data);
  if (flow == nullptr) {
    if (completion.user_data == kControl) control_armed_ = false;
    if (completion.user_data == kLifeline) revoke();
    if (completion.user_data == kEvent) pool_dry_ = true;
    return;
  }
  if (completion.is_terminal()) flow->in_flight = flow->cancelling = false;
  if ((flow->paused || !flow->held.empty()) && !flow->closing) {
    flow->held.push_back(completion);
  } else {
    tell(*flow, completion);
  }
  if (flow->closing) return finish_if_quiet(*flow);
  run(*flow);
}

void Queue::tell(Flow& flow, const Completion& completion) {
  if (completion.result > 0) on_bytes(flow, completion);
  if (completion.result <= 0 && completion.is_terminal()) on_end(flow, completion.result);
}

/// What came while the flow was paused.
void Queue::tell_held(Flow& flow) {
  while (!flow.held.empty() && !flow.paused && room()) {
    const Completion completion = flow.held.front();
    flow.held.pop_front();
    tell(flow, completion);
  }
}

void Queue::on_bytes(Flow& flow, const Completion& completion) {
  const auto length = static_cast<std::uint32_t>(completion.result);
  const std::uint64_t at = completion.off & uapi::kOffsetMask;
  if (flow.closing) return give_back_untold(flow, completion);
  last_flow_ = &flow;
  if (extents_told_ >= look_at_ || flow.spec.stream_offset == flow.settled_at) look_for_heads(flow);
  const Cause cause = placement_of(flow, completion);
  if (!prolong(flow, at, length, cause)) {
    landfall_record record = authoring::record_of(LANDFALL_DATA, &flow, flow.spec);
    record.placement = cause.placement;
    record.code = cause.code;
    record.length = length;
    record.offset = sources_[flow.source].queue->area_offset() + at;
    record.token = Run{flow.source, at, 1}.packed();
    record.charge_bytes = domain_.page_bytes();
    out_[count_++] = record;
    const bool whole = length == domain_.page_bytes() && flow.held.empty();
    run_ = {whole ? &flow : nullptr, at + length, Run::kPagesMost - 1};
    ++flow.out;
    ++extents_out_;
  }
  flow.spec.stream_offset += length;
  poll_bytes_ += length;
  flow.saw_direct = flow.saw_direct || cause.placement == LANDFALL_DIRECT;
  flow.since_direct = 0;
  flow.queues_tried = 0;
  ++pages_out_;
  ++extents_told_;
}

/// Whole pages that lie one behind another are one extent.
bool Queue::prolong(const Flow& flow, std::uint64_t at, std::uint32_t length,
                    Cause cause) noexcept {
  if (run_.flow != &flow || run_.end != at || run_.room == 0 || length != domain_.page_bytes())
    return false;
  landfall_record& record = out_[count_ - 1];
  if (record.placement != cause.placement || record.code != cause.code) return false;
  record.length += length;
  record.token += Run{0, 0, 1}.packed();
  record.charge_bytes += length;
  run_.end += length;
  --run_.room;
  return true;
}

/// A receive has ended: the stream, or only the receive.
void Queue::on_end(Flow& flow, std::int32_t result) {
  if (flow.closing || flow.ended) return;
  switch (result) {
    case 0:
      return fail(flow, 0, 0);
    case -ECANCELED:  // paused or closing
    case -ENOSPC:     // no room for completions: there is now
    case -EINTR:
    case -EAGAIN:
      return;
    case -ENOMEM:
      // Bytes in ordinary pages, and no page of the area for them: with a NIC it may have them all.
      if (!domain_.options().no_device) {
        flow.drains = true;
      } else if (interface_->refill()->has_unread()) {
        interface_->flush(ring_);  // nobody reads the ring while the NIC has pages
      } else if (!flow.paused) {
        flows_.starved.push(flow);
      }
      return;
    case -EFAULT:  // in a page of another queue's area (io_zcrx_recv_frag)
      if (look_elsewhere(flow)) return;
      return fail(flow, EFAULT, LANDFALL_REASON_wrong_queue);
    default:
      return fail(flow, -result, authoring::reason_of_end(-result));
  }
}

/// The next byte lies in the area of another queue: of this Group, or of somebody else. False: of
/// somebody else.
bool Queue::look_elsewhere(Flow& flow) {
  const std::uint32_t queues = domain_.queue_count();
  run_ = {};
  while (flow.queues_tried++ < queues) {
    std::uint32_t next = (flow.source + 1) % queues;
    if (flow.queues_tried == 1)  // where its last packet came, most likely
      next = domain_.index_of(transport::incoming_napi(flow.socket.get())).value_or(next);
    if (next == flow.source) next = (next + 1) % queues;
    if (next == flow.source) return false;
    flow.source = next;
    if (import(next)) return true;
  }
  return false;
}

/// `number` 0: the end of the stream.
void Queue::fail(Flow& flow, int number, std::uint32_t code) {
  flow.ended = true;
  flows_.unlist(flow);
  landfall_record record = authoring::end_of(&flow, flow.spec, number);
  if (code != 0) record.code = code;
  emit(record);
}

void Queue::work_off_runnable() {
  for (std::uint32_t turns = flows_.runnable.size(); turns != 0 && room(); --turns) {
    Flow& flow = flows_.runnable.pop();
    tell_held(flow);
    if (flow.held.empty() && flow.drains && !flow.in_flight && !flow.ended) drain(flow);
    run(flow);
  }
}

/// The NIC found no page, or flows wait for memory; and when that is over.
void Queue::tell_of_memory() {
  const bool scarce = pages_out_ * domain_.page_bytes() >= slice_bytes_ / 2;
  if (pool_dry_ && !scarce) {
    interface_->arm_event(ring_, uapi::kEventAllocFail);
    pool_dry_ = false;
  }
  const bool waits_for_us = ring_.has_completion() || !stash_.empty();
  const bool starves = pool_dry_ || (!flows_.starved.empty() && !waits_for_us);
  if (starves == told_starved_ || !backlog_.empty() || count_ == out_.size()) return;
  told_starved_ = starves;
  landfall_record record{};
  record.kind = starves ? LANDFALL_STARVED : LANDFALL_FED;
  emit(record);
}

/// The lifeline hung up: nothing more is received, what is out stays valid.
void Queue::revoke() {
  revoked_ = true;
  flows_.unlist_all();
  landfall_record record{};
  record.kind = LANDFALL_REVOKED;
  record.code = LANDFALL_REASON_binding_revoked;
  emit(record);
}

}  // namespace landfall::zcrx
