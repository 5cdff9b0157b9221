// SPDX-License-Identifier: Apache-2.0
#include "nic/usable.hpp"

#include <algorithm>

#include "nic/refusals.hpp"

namespace landfall::nic {
namespace {

Reason reason(const NicState& state, ReasonCode code, std::string text = {}) {
  const ReasonInfo* info = find_reason(code);
  if (text.empty() && info != nullptr) text = info->text;
  return {code, Origin::landfall, 0, std::move(text), remedy_for(code, state.name)};
}

bool in_table(const NicState& state, std::uint32_t queue_id) {
  return std::ranges::any_of(state.rss, [&](const RssContext& context) {
    // Other contexts hold what rules send there on purpose.
    return context.id == 0 && std::ranges::find(context.table, queue_id) != context.table.end();
  });
}

/// The command after which the table leaves the queue out, and as few others as it can.
std::string out_of_table(const NicState& state, std::uint32_t queue_id) {
  const std::uint32_t count = state.queue_count();
  if (count < 2) return "ethtool -L " + state.name + " combined 2, for a queue beside this one";
  const std::string table = "ethtool -X " + state.name;
  if (queue_id == 0) return table + " start 1 equal " + std::to_string(count - 1);
  return table + " equal " + std::to_string(queue_id);
}

std::string holder_of(const QueueState& queue) {
  if (queue.dmabuf_id)
    return "binding " + std::to_string(*queue.dmabuf_id) + " of device memory has the queue";
  if (queue.io_uring) return "an io_uring has the queue for zero-copy receive";
  return "AF_XDP has the queue";
}

bool already_in(const std::vector<Reason>& reasons, ReasonCode code) {
  return std::ranges::any_of(reasons, [&](const Reason& r) { return r.code == code; });
}

}  // namespace

std::vector<Reason> interface_reasons(const NicState& state) {
  std::vector<Reason> reasons;
  if (!state.kernel_binds_rx)
    reasons.push_back(reason(state, ReasonCode::kernel_too_old,
                             "the running kernel cannot bind memory to receive queues; Linux 6.12 "
                             "can"));
  // Without a single setting of a NIC there is none behind the interface: loopback, veth, bridge.
  if (state.loopback || (!state.rings && !state.channels)) {
    reasons.push_back(reason(state, ReasonCode::no_memory_provider,
                             state.name + " is no NIC: it has neither rings nor channels"));
    return reasons;
  }
  // A virtual interface has memory at most by a queue that is lent to it.
  if (state.bus.empty() && !state.kernel_lends_queues) {
    reasons.push_back(
        reason(state, ReasonCode::no_memory_provider, "there is no device behind " + state.name));
    return reasons;
  }
  if (!state.rings || state.rings->header_split != HeaderSplit::on)
    reasons.push_back(reason(state, ReasonCode::header_split_off));
  if (state.rings && state.rings->hds_threshold_bytes.value_or(0) != 0)
    reasons.push_back(reason(state, ReasonCode::hds_threshold,
                             "payloads of up to " +
                                 std::to_string(*state.rings->hds_threshold_bytes) +
                                 " bytes stay with their headers"));
  if (state.xdp_attached) reasons.push_back(reason(state, ReasonCode::xdp_attached));
  if (state.ntuple && !*state.ntuple) reasons.push_back(reason(state, ReasonCode::ntuple_off));
  return reasons;
}

std::vector<Reason> queue_reasons(const NicState& state, std::uint32_t queue_id) {
  std::vector<Reason> reasons;
  if (const std::uint32_t count = state.queue_count(); count != 0 && queue_id >= count) {
    reasons.push_back(
        reason(state, ReasonCode::queue_unknown,
               state.name + " has " + std::to_string(count) + " receive queues, counted from 0"));
    return reasons;
  }
  const auto found = std::ranges::find(state.queues, queue_id, &QueueState::id);
  if (found != state.queues.end()) {
    if (found->dmabuf_id || found->io_uring || found->af_xdp)
      reasons.push_back(reason(state, ReasonCode::queue_busy, holder_of(*found)));
    if (found->leased_to)
      reasons.push_back(
          reason(state, ReasonCode::queue_leased,
                 "the queue is lent to interface " + std::to_string(*found->leased_to)));
  }
  if (in_table(state, queue_id)) {
    reasons.push_back(reason(state, ReasonCode::queue_in_rss));
    reasons.back().fix = out_of_table(state, queue_id);
  }
  return reasons;
}

ReasonCode likely_cause(const NicState& state, std::span<const std::uint32_t> queue_ids) {
  std::vector<Reason> reasons = interface_reasons(state);
  for (const std::uint32_t queue : queue_ids)
    for (Reason& one : queue_reasons(state, queue)) reasons.push_back(std::move(one));
  for (const Reason& one : reasons) {
    // These two are no concern of the kernel's.
    if (one.code != ReasonCode::ntuple_off && one.code != ReasonCode::queue_in_rss) return one.code;
  }
  return ReasonCode::none;
}

namespace {

/// What speaks against the interface turns up before memory is looked at, and this is none.
std::vector<Reason> sending_reasons(Nic& nic, std::uint32_t interface_index) {
  const auto bound = nic.bind_tx({interface_index, -1});
  if (bound || bound.error().native() == EBADF) return {};
  return {reason_from(bound.error())};
}

}  // namespace

Result<InterfaceUse> assess(Nic& nic, std::uint32_t interface_index) {
  InterfaceUse use;
  LANDFALL_TRY(use.state, nic.read(interface_index));
  use.reasons = interface_reasons(use.state);
  const bool is_nic = !already_in(use.reasons, ReasonCode::no_memory_provider);
  // Not one queue after the other: what a trial finds is the driver's or the caller's.
  if (use.state.kernel_binds_rx && is_nic && use.state.queue_count() != 0) {
    const auto tried = nic.try_queue(interface_index, 0);
    const ReasonCode found = tried ? ReasonCode::none : tried.error().reason();
    // No setting helps a driver that cannot do it at all.
    if (found == ReasonCode::no_memory_provider) use.reasons.clear();
    if (!tried && !already_in(use.reasons, found))
      use.reasons.push_back(reason_from(tried.error()));
  }
  for (std::uint32_t id = 0; is_nic && id < use.state.queue_count(); ++id)
    use.queues.push_back({id, queue_reasons(use.state, id)});
  use.sending = sending_reasons(nic, interface_index);
  return use;
}

}  // namespace landfall::nic
