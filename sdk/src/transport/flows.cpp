// SPDX-License-Identifier: Apache-2.0
// The flows of a Receiver: making them, counting their bytes, holding them to share and contract,
// ending them.
#include <algorithm>
#include <utility>

#include "transport/queue_core.hpp"

namespace landfall::detail {

Result<FlowImpl*> QueueCore::make_flow(const FlowOptions& options) {
  constexpr auto kOp = "open a flow";
  if (live_flows_ >= setup_.flows_max) {
    return Error{Errc::limit_reached, kOp, ReasonCode::flows_limit};
  }
  const CopyContract contract = options.contract.value_or(setup_.contract);
  if (contract.kind == CopyContract::Kind::require_direct &&
      setup_.needs.best_placement != LANDFALL_DIRECT) {
    return Error{Errc::contract_broken, kOp, ReasonCode::contract_needs_direct};
  }
  if (free_flows_.empty()) {
    free_flows_.push_back(static_cast<std::uint32_t>(flows_.size()));
    flows_.emplace_back();
    // What later happens to a flow must not need memory.
    free_flows_.reserve(flows_.capacity());
    share_paused_.reserve(flows_.capacity());
    hungry_.reserve(2 * flows_.capacity());
  }
  const std::uint32_t index = free_flows_.back();
  auto flow = std::make_unique<FlowImpl>();
  flow->queue = this;
  flow->id = next_flow_id_++;
  flow->tag = (std::uint64_t{flows_[index].generation} << 32) | (index + 1);
  flow->user = options.user;
  flow->delivery = options.delivery;
  flow->contract = contract;
  flow->contract_can_break =
      contract.kind == CopyContract::Kind::require_direct ||
      (contract.kind == CopyContract::Kind::prefer_direct && contract.max_copied_ppm < 1'000'000);
  flow->share_bytes = options.share_bytes;
  flow->next_offset = options.stream_offset;
  flow->mark = options.stream_offset;
  const bool native = LANDFALL_HAS(&ops_, landfall_transport_ops, land) &&
                      LANDFALL_HAS(&ops_, landfall_transport_ops, post);
  if (options.delivery == Delivery::demand && !native) {
    flow->demand = std::make_unique<DemandState>();
  }
  free_flows_.pop_back();
  flows_[index].flow = std::move(flow);
  ++live_flows_;
  return flows_[index].flow.get();
}

/// Takes the flow out of the table; it must have no extents out.
void QueueCore::forget(FlowImpl& flow) noexcept {
  const auto index = static_cast<std::uint32_t>((flow.tag & 0xffffffffu) - 1);
  if (flow.paused_by_share) std::erase(share_paused_, &flow);
  std::erase(hungry_, &flow);
  ++flows_[index].generation;
  --live_flows_;
  flows_[index].flow.reset();
  free_flows_.push_back(index);  // reserved in make_flow
}

void QueueCore::told_closed(FlowImpl& flow) noexcept {
  flow.next = std::exchange(retiring_, &flow);
}

void QueueCore::retire_flows() noexcept {
  while (retiring_ != nullptr) {
    FlowImpl* flow = retiring_;
    retiring_ = flow->next;
    forget(*flow);
  }
  if (listeners_paused_ && live_flows_ < setup_.flows_max) listeners_pause(false);
  if (!share_paused_.empty()) resume_shares();
}

void QueueCore::check_contract(FlowImpl& flow, Placement placement) {
  if (!flow.delivers()) return;
  // Past the grace, direct bytes can only mend the ratio: look again only when others come.
  if (placement == Placement::direct && flow.grace_passed) return;
  Verdict since_mark = flow.verdict;
  for (std::size_t i = 0; i < kPlacements; ++i) since_mark.bytes[i] -= flow.before_mark.bytes[i];
  if (since_mark.total() <= flow.contract.grace_bytes) return;
  flow.grace_passed = true;
  const ReasonCode broken = flow.contract.broken_by(since_mark);
  if (broken == ReasonCode::none) return;
  fail(flow, Error{Errc::contract_broken, "copy contract", broken});
  ops_.flow_pause(queue_, flow.backend, 1);
}

void QueueCore::fail(FlowImpl& flow, const Error& error) {
  flow.state = FlowImpl::State::failed;
  if (flow.demand) {
    release_backlog(flow);
    flow.demand->requests.clear();
    flow.requests = 0;
  }
  emit(Completion::Kind::failed, &flow).error = error;
}

// ---- shares
// --------------------------------------------------------------------------------------

/// A few of those that wait for their share, so that each poll costs the same however many wait.
void QueueCore::resume_shares() noexcept {
  std::size_t looks = std::min<std::size_t>(share_paused_.size(), 16);
  while (looks-- > 0 && !share_paused_.empty()) {
    FlowImpl* flow = share_paused_.back();
    share_paused_.pop_back();
    if (flow->held <= share_of(*flow) / 2) {
      resume(*flow, false);
    } else {
      share_paused_.insert(share_paused_.begin(), flow);
    }
  }
}

void QueueCore::pause(FlowImpl& flow, bool by_user) noexcept {
  const bool was_paused = flow.paused_by_user || flow.paused_by_share;
  (by_user ? flow.paused_by_user : flow.paused_by_share) = true;
  if (!by_user) {
    share_paused_.insert(share_paused_.begin(), &flow);
    emit(Completion::Kind::pressure, &flow).reason = ReasonCode::flow_share_used_up;
  }
  if (!was_paused && flow.backend != nullptr && flow.state == FlowImpl::State::open) {
    ops_.flow_pause(queue_, flow.backend, 1);
  }
}

void QueueCore::resume(FlowImpl& flow, bool by_user) noexcept {
  bool& mine = by_user ? flow.paused_by_user : flow.paused_by_share;
  if (!mine) return;
  mine = false;
  if (!by_user && flow.delivers()) {
    emit(Completion::Kind::relief, &flow).reason = ReasonCode::flow_share_used_up;
  }
  if (flow.paused_by_user || flow.paused_by_share) return;
  if (flow.backend != nullptr && flow.state == FlowImpl::State::open) {
    ops_.flow_pause(queue_, flow.backend, 0);
  }
}

Result<std::vector<Holder>> QueueCore::holders() {
  if (const Errc code = enter(); code != Errc::ok) return wrong_caller("Receiver::holders", code);
  std::vector<Holder> result;
  for (const FlowEntry& entry : flows_)
    if (entry.flow && entry.flow->out != 0)
      result.push_back({entry.flow.get(), entry.flow->held, entry.flow->out});
  std::sort(result.begin(), result.end(),
            [](const Holder& a, const Holder& b) { return a.held_bytes > b.held_bytes; });
  return result;
}

// ---- the end
// -------------------------------------------------------------------------------------

void QueueCore::close(FlowImpl& flow, bool reset) noexcept {
  if (flow.state == FlowImpl::State::closing || flow.state == FlowImpl::State::closed) return;
  if (flow.demand) {
    release_backlog(flow);
    flow.demand->requests.clear();
  }
  if (flow.paused_by_share) std::erase(share_paused_, &flow);
  flow.paused_by_share = false;
  flow.requests = 0;
  flow.state = FlowImpl::State::closing;
  ++closing_flows_;
  if (flow.connecting) {
    flow.connecting.reset();
    --connecting_;
  }
  if (flow.backend == nullptr) {  // never got as far as the transport
    flow.next = std::exchange(owed_, &flow);
    return;
  }
  ops_.flow_close(queue_, flow.backend, reset ? 1 : 0);
}

void QueueCore::emit_owed() {
  while (owed_ != nullptr) {
    pending_.ensure(1);
    FlowImpl* flow = owed_;
    owed_ = flow->next;
    emit_closed(*flow);
  }
}

void QueueCore::emit_closed(FlowImpl& flow) {
  if (flow.state == FlowImpl::State::closing) --closing_flows_;
  flow.state = FlowImpl::State::closed;
  flow.backend = nullptr;
  emit(Completion::Kind::closed, &flow);
}

Result<Fd> QueueCore::detach(FlowImpl& flow) {
  constexpr auto kOp = "Flow::detach";
  if (!LANDFALL_HAS(&ops_, landfall_transport_ops, detach)) {
    return Error{Errc::not_supported, kOp, ReasonCode::not_capable};
  }
  if (flow.backend == nullptr || !flow.delivers()) {
    return Error{Errc::closed, kOp, ReasonCode::flow_ended};
  }
  if (flow.out != 0 || flow.requests != 0 || !pending_.empty()) {
    return Error{Errc::busy, kOp, ReasonCode::extents_out};
  }
  landfall_why why{};
  why.struct_size = sizeof why;
  std::int32_t fd = -1;
  if (const landfall_errc code = ops_.detach(queue_, flow.backend, &fd, &why);
      code != LANDFALL_ERRC_ok) {
    return backend_error(kOp, code, why);
  }
  forget(flow);
  return Fd{fd};
}

}  // namespace landfall::detail
