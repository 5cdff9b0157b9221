// SPDX-License-Identifier: Apache-2.0
// land() and post(): handed to the transport where it serves them, else cut and gathered here from
// the extents that come.
#include <algorithm>
#include <cstring>

#include "transport/queue_core.hpp"

namespace landfall::detail {
namespace {

/// Does `flow` take one more land() or post()?
Result<void> may_ask(const FlowImpl& flow, const char* op) {
  if (flow.delivery != Delivery::demand) {
    return Error{Errc::invalid_argument, op, ReasonCode::flow_is_streaming};
  }
  if (!flow.delivers() || flow.backend == nullptr) {
    return Error{Errc::closed, op, ReasonCode::flow_ended};
  }
  if (flow.requests >= kDemandMax) {
    return Error{Errc::limit_reached, op, ReasonCode::demand_queue_full};
  }
  return {};
}

}  // namespace

Result<void> QueueCore::land(FlowImpl& flow, std::uint64_t most_bytes) {
  constexpr auto kOp = "Flow::land";
  if (most_bytes == 0) return Error{Errc::invalid_argument, kOp};
  LANDFALL_CHECK(may_ask(flow, kOp));
  if (flow.demand) {
    flow.demand->requests.push_back(Demand{.target = nullptr, .length = most_bytes});
    ++flow.requests;
    serve(flow);
    return {};
  }
  if (const landfall_errc code = ops_.land(queue_, flow.backend, most_bytes);
      code != LANDFALL_ERRC_ok) {
    return Error{static_cast<Errc>(code), kOp};
  }
  ++flow.requests;
  return {};
}

Result<void> QueueCore::post(FlowImpl& flow, const landfall_memory& into, std::uint64_t offset,
                             std::uint64_t length, std::uint64_t tag) {
  constexpr auto kOp = "Flow::post";
  if (length == 0 || length > kPostBytesMax) return Error{Errc::invalid_argument, kOp};
  if (offset > into.size_bytes || length > into.size_bytes - offset) {
    return Error{Errc::invalid_argument, kOp, ReasonCode::range_outside};
  }
  LANDFALL_CHECK(may_ask(flow, kOp));
  if (!flow.demand) {
    if (const landfall_errc code = ops_.post(queue_, flow.backend, &into, offset, length, tag);
        code != LANDFALL_ERRC_ok) {
      return Error{static_cast<Errc>(code), kOp,
                   into.host == nullptr ? ReasonCode::no_host_view : ReasonCode::none};
    }
    ++flow.requests;
    return {};
  }
  if (flow.contract.kind == CopyContract::Kind::require_direct) {
    return Error{Errc::contract_broken, kOp, ReasonCode::gathered_by_core};
  }
  if (into.host == nullptr || !memories_[0].has_host_view()) {
    return Error{Errc::not_supported, kOp, ReasonCode::no_host_view};
  }
  flow.demand->requests.push_back(
      Demand{.target = static_cast<std::byte*>(into.host) + offset, .length = length, .tag = tag});
  ++flow.requests;
  serve(flow);
  return {};
}

/// A demand flow's extent has come: behind the others.
void QueueCore::hold(FlowImpl& flow, Slot* slot) {
  DemandState& state = *flow.demand;
  slot->next = nullptr;
  slot->parts = 1;  // the core's own, until it is cut up
  (state.last == nullptr ? state.first : state.last->next) = slot;
  state.last = slot;
}

void QueueCore::serve(FlowImpl& flow) {
  DemandState& state = *flow.demand;
  while (flow.delivers() && !state.requests.empty() && state.first != nullptr) {
    pending_.ensure(4);
    Demand& demand = state.requests.front();
    if (demand.target != nullptr) {
      gather(flow, demand);
    } else if (!emit_part(flow, demand)) {
      if (!state.hungry) hungry_.push_back(&flow);  // reserved in make_flow
      state.hungry = true;
      break;
    }
    if (!flow.delivers()) break;  // it has just broken its contract: there are no requests any more
    if (demand.done < demand.length) continue;
    const Demand done = demand;
    state.requests.pop_front();
    --flow.requests;
    Completion& completion =
        emit(done.target != nullptr ? Completion::Kind::posted : Completion::Kind::landed, &flow);
    completion.tag = done.tag;
    completion.bytes = done.target != nullptr ? done.done : 0;
    if (done.target != nullptr) completion.reason = ReasonCode::gathered_by_core;
  }
  if (state.stream_ended && state.first == nullptr && flow.delivers()) {
    // What is asked for beyond the end is answered with what there was.
    pending_.ensure(state.requests.size() + 1);
    while (!state.requests.empty()) {
      const Demand rest = state.requests.front();
      state.requests.pop_front();
      --flow.requests;
      Completion& completion =
          emit(rest.target != nullptr ? Completion::Kind::posted : Completion::Kind::landed, &flow);
      completion.tag = rest.tag;
      completion.bytes = rest.target != nullptr ? rest.done : 0;
      if (rest.target != nullptr) completion.reason = ReasonCode::ended_before_post;
    }
    state.stream_ended = false;
    emit(Completion::Kind::end_of_stream, &flow);
  }
  // Nothing is received but what is asked for: beyond one backlog the sender waits.
  const bool want_paused = state.requests.empty();
  if (want_paused != state.transport_paused && flow.state == FlowImpl::State::open) {
    state.transport_paused = want_paused;
    ops_.flow_pause(queue_, flow.backend, want_paused ? 1 : 0);
  }
}

void QueueCore::feed_hungry() {
  const std::size_t count = hungry_.size();
  for (std::size_t i = 0; i < count; ++i) {
    hungry_[i]->demand->hungry = false;
    serve(*hungry_[i]);  // may line up again
  }
  hungry_.erase(hungry_.begin(), hungry_.begin() + static_cast<std::ptrdiff_t>(count));
}

/// The next piece of the backlog as a Buffer: the extent itself if it is asked for whole, else a
/// part of it.
bool QueueCore::emit_part(FlowImpl& flow, Demand& demand) {
  DemandState& state = *flow.demand;
  Slot* slot = state.first;
  const auto bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(slot->length - state.consumed, demand.length - demand.done));
  const auto placement = static_cast<Placement>(slot->placement);
  const auto reason = static_cast<ReasonCode>(slot->reason);
  Slot* handed = slot;
  if (bytes == slot->length) {
    state.first = slot->next;
    if (state.first == nullptr) state.last = nullptr;
  } else {
    // The records that wait to be dealt with need one each.
    if (slots_.available() <= record_count_ - record_next_) return false;
    handed = slots_.take();
    *handed = *slot;
    handed->offset = slot->offset + state.consumed;
    handed->stream_offset = slot->stream_offset + state.consumed;
    handed->length = bytes;
    handed->token = reinterpret_cast<std::uint64_t>(slot);
    handed->charge = 0;
    const bool last_part = state.consumed + bytes == slot->length;
    handed->flags = (kSlotIsPart | (last_part ? slot->flags : 0u)) & 0x3fu;
    ++slot->parts;
  }
  demand.done += bytes;
  account(flow, handed->stream_offset, bytes, placement, reason);
  ++user_out_;
  Completion& completion = emit(Completion::Kind::data, &flow);
  completion.reason = reason;
  completion.buffer = Slot::lease(handed);
  completion.bytes = bytes;
  if (handed != slot) consume(flow, bytes);
  if (flow.contract_can_break) check_contract(flow, placement);
  return true;
}

void QueueCore::gather(FlowImpl& flow, Demand& demand) {
  DemandState& state = *flow.demand;
  Slot* slot = state.first;
  const auto bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(slot->length - state.consumed, demand.length - demand.done));
  const auto* from = static_cast<const std::byte*>(memories_[slot->memory].abi().host) +
                     slot->offset + state.consumed;
  std::memcpy(demand.target + demand.done, from, bytes);
  demand.done += bytes;
  account(flow, slot->stream_offset + state.consumed, bytes, Placement::copied,
          ReasonCode::gathered_by_core);
  consume(flow, bytes);
  if (flow.contract_can_break) {
    check_contract(flow, Placement::copied);
  }
}

/// The first `bytes` of the backlog are dealt with; an extent that is cut up goes back with its
/// last part.
void QueueCore::consume(FlowImpl& flow, std::uint32_t bytes) noexcept {
  DemandState& state = *flow.demand;
  Slot* slot = state.first;
  if (slot == nullptr) return;
  state.consumed += bytes;
  if (state.consumed < slot->length) return;
  state.first = slot->next;
  if (state.first == nullptr) state.last = nullptr;
  state.consumed = 0;
  if (--slot->parts == 0) {
    extent_back(slot);
    flush_returns();
  }
}

void QueueCore::release_backlog(FlowImpl& flow) noexcept {
  DemandState& state = *flow.demand;
  while (state.first != nullptr) consume(flow, state.first->length - state.consumed);
}

}  // namespace landfall::detail
