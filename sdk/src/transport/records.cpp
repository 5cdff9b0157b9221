// SPDX-License-Identifier: Apache-2.0
// What a transport reports becomes Completions.
#include <algorithm>
#include <cstddef>
#include <cstring>

#include "transport/group_core.hpp"
#include "transport/queue_core.hpp"

namespace landfall::detail {

namespace {

/// Kind, placement and memory, to be compared at once.
std::uint32_t likeness_of(const landfall_record& record) noexcept {
  static_assert(offsetof(landfall_record, length) == sizeof(std::uint32_t));
  std::uint32_t likeness;
  std::memcpy(&likeness, &record, sizeof likeness);
  return likeness;
}

}  // namespace

Result<void> QueueCore::take_records() {
  if (record_next_ != record_count_) return {};
  const std::size_t room =
      std::min<std::size_t>({out_span_.size() - out_count_, records_.size(), slots_.available()});
  if (room == 0) return {};
  std::uint32_t count = 0;
  const landfall_errc code =
      ops_.poll(queue_, records_.data(), static_cast<std::uint32_t>(room), &count);
  record_next_ = 0;
  record_count_ = std::min(count, static_cast<std::uint32_t>(room));
  work_off_records();
  if (code == LANDFALL_ERRC_ok) return {};
  return Error{static_cast<Errc>(code), "transport poll"};
}

/// Each record whole or not at all: what one can lead to outside of serve() fits in what is ensured
/// here, and a record for which there is no memory stays for the next poll.
void QueueCore::work_off_records() {
  while (record_next_ != record_count_) {
    pending_.ensure(4);
    const std::uint32_t at = record_next_;
    record_next_ += on_data_run(records_.data() + at, record_count_ - at);
    if (record_next_ == at) on_record(records_[record_next_++]);
  }
}

void QueueCore::on_record(const landfall_record& record) {
  if (record.kind == LANDFALL_OPENED) return on_opened(record);
  FlowImpl* flow = find_flow(record.flow_tag);
  // Without a backend the transport does not have it yet, or has said CLOSED.
  if (flow != nullptr && flow->backend == nullptr) flow = nullptr;
  if (record.kind == LANDFALL_REVOKED && (flow != nullptr || record.flow_tag == 0)) {
    return on_revoked(flow, record);
  }
  if (record.kind == LANDFALL_STARVED || record.kind == LANDFALL_FED) {
    transport_starves_ = record.kind == LANDFALL_STARVED;
    return;  // watch_pressure() tells
  }
  if (flow == nullptr) {
    // The transport speaks of a flow that it does not have: a bug there. Its memory goes back.
    if (record.kind == LANDFALL_DATA) give_back_now(record);
    Reason reason;
    reason.code = ReasonCode::flow_ended;
    reason.text = "the transport reported a flow that has ended";
    return context_.event(reason);
  }
  switch (record.kind) {
    case LANDFALL_DATA:
      return on_data(*flow, record);
    case LANDFALL_POSTED:
      return on_posted(*flow, record);
    case LANDFALL_LANDED:
      if (!takes_answer(*flow)) return;
      emit(Completion::Kind::landed, flow);
      return;
    case LANDFALL_END_OF_STREAM:
      if (flow->state != FlowImpl::State::open) return;
      flow->state = FlowImpl::State::ended;
      if (flow->demand) {
        flow->demand->stream_ended = true;
        return serve(*flow);
      }
      emit(Completion::Kind::end_of_stream, flow);
      return;
    case LANDFALL_FAILED:
      if (flow->state == FlowImpl::State::closing || flow->state == FlowImpl::State::failed) return;
      return fail(*flow, Error{errc_from_errno(record.native), "receive",
                               static_cast<ReasonCode>(record.code), Origin::os, record.native});
    case LANDFALL_CLOSED:
      return on_closed(*flow);
    default:
      return;
  }
}

/// The way of nearly every record: data for a flow that takes it. Those that follow the first one
/// and differ from it in nothing but their place are delivered with it, and what they have in
/// common is looked up and summed once. Answers how many; 0: the first one is out of the ordinary.
std::uint32_t QueueCore::on_data_run(const landfall_record* records, std::uint32_t count) {
  const landfall_record& first = *records;
  if (first.kind != LANDFALL_DATA || first.memory > 1 || !pending_.empty()) return 0;
  FlowImpl* const flow = find_flow(first.flow_tag);
  if (flow == nullptr || flow->state != FlowImpl::State::open || flow->demand) return 0;
  const auto placement = static_cast<Placement>(first.placement & 3);
  const auto reason = static_cast<ReasonCode>(first.code);
  // Past the grace, direct bytes can only mend the ratio.
  const bool watched =
      flow->contract_can_break && !(placement == Placement::direct && flow->grace_passed);
  if (watched) count = 1;

  const SlotKind slot_kind = kind_of(first);
  const std::uint32_t alike = likeness_of(first);
  const std::uint64_t memory_bytes = memories_[first.memory].size_bytes();
  const std::span<Completion> room = out_span_.subspan(out_count_);
  count = static_cast<std::uint32_t>(std::min<std::size_t>(count, room.size()));
  Slot* const* const slots = slots_.next(count);
  std::uint64_t bytes = 0, charge = 0;
  std::uint32_t done = 0;
  for (; done < count; ++done) {
    const landfall_record& record = records[done];
    if (likeness_of(record) != alike || record.flow_tag != first.flow_tag ||
        record.code != first.code || record.flags != first.flags ||
        !lies_within(record, memory_bytes)) {
      break;
    }
    Slot* slot = *(slots - 1 - done);
    fill_slot(*slot, *flow, record, slot_kind);
    bytes += record.length;
    charge += record.charge_bytes;
    Completion& completion = room[done];
    completion.kind = Completion::Kind::data;
    completion.reason = reason;
    completion.flow = flow;
    completion.buffer = Slot::lease(slot);
    completion.tag = 0;
    completion.bytes = record.length;
    forget_error(completion);
  }
  if (done == 0) return 0;
  slots_.taken(done);
  out_count_ += done;
  user_out_ += done;
  hold_charge(*flow, charge, done);
  flow->next_offset = records[done - 1].stream_offset + records[done - 1].length;
  account(*flow, first.stream_offset, bytes, placement, reason);
  if (watched) check_contract(*flow, placement);
  watch_share(*flow);
  return done;
}

/// The other ways: what on_data_run() left.
void QueueCore::on_data(FlowImpl& flow, const landfall_record& record) {
  if (flow.state != FlowImpl::State::open || record.length == 0) return give_back_now(record);
  if (!lies_in_memory(record)) {
    // Its bytes are lost, so that the flow cannot go on.
    give_back_now(record);
    fail(flow, Error{Errc::io, "transport poll", ReasonCode::transport_broke_rules});
    ops_.flow_pause(queue_, flow.backend, 1);
    return;
  }
  flow.next_offset = record.stream_offset + record.length;
  Slot* slot = slots_.take();
  fill_slot(*slot, flow, record, kind_of(record));
  hold_charge(flow, record.charge_bytes, 1);
  if (flow.demand) {
    hold(flow, slot);
    return serve(flow);
  }
  const auto placement = static_cast<Placement>(record.placement & 3);
  const auto reason = static_cast<ReasonCode>(record.code);
  account(flow, record.stream_offset, record.length, placement, reason);
  ++user_out_;
  Completion& completion = emit(Completion::Kind::data, &flow);
  completion.reason = reason;
  completion.buffer = Slot::lease(slot);
  completion.bytes = record.length;
  if (flow.contract_can_break) check_contract(flow, placement);
  watch_share(flow);
}

/// No Buffer ever points outside its Memory, whatever a transport says.
bool QueueCore::lies_in_memory(const landfall_record& record) {
  if (record.memory >= kMemories) return false;
  Memory& memory = memories_[record.memory];
  if (record.memory > 1 && memory.size_bytes() == 0 &&
      LANDFALL_HAS(&ops_, landfall_transport_ops, own_memory)) {
    landfall_memory own{};
    own.struct_size = sizeof own;
    if (ops_.own_memory(queue_, record.memory, &own) == LANDFALL_ERRC_ok) {
      memory = Memory{own, record.memory};
    }
  }
  return lies_within(record, memory.size_bytes());
}

/// POSTED and LANDED: only where the transport serves them, and only as often as it was asked.
bool QueueCore::takes_answer(FlowImpl& flow) noexcept {
  if (flow.demand || flow.requests == 0) return false;
  --flow.requests;
  return flow.delivers();
}

/// A transport that says so with extents still out is wrong, but `closed` stays the last of its
/// flow: it waits for them, and the transport hears no more of them.
void QueueCore::on_closed(FlowImpl& flow) {
  if (flow.demand) release_backlog(flow);
  flush_returns();
  if (flow.out == 0) return emit_closed(flow);
  if (flow.state != FlowImpl::State::closing) ++closing_flows_;
  flow.state = FlowImpl::State::closing;
  flow.backend = nullptr;
  flow.closed_early = true;
}

void QueueCore::on_posted(FlowImpl& flow, const landfall_record& record) {
  flow.next_offset = record.stream_offset + record.length;
  if (!takes_answer(flow)) return;
  const auto placement = static_cast<Placement>(record.placement & 3);
  account(flow, record.stream_offset, record.length, placement,
          static_cast<ReasonCode>(record.code));
  Completion& completion = emit(Completion::Kind::posted, &flow);
  completion.reason = static_cast<ReasonCode>(record.code);
  completion.tag = record.token;
  completion.bytes = record.length;
  if (flow.contract_can_break) check_contract(flow, placement);
}

void QueueCore::on_revoked(FlowImpl* flow, const landfall_record& record) {
  Completion& completion = emit(Completion::Kind::revoked, flow);
  completion.reason =
      record.code != 0 ? static_cast<ReasonCode>(record.code) : ReasonCode::binding_revoked;
}

}  // namespace landfall::detail
