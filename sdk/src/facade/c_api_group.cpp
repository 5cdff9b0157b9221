// SPDX-License-Identifier: Apache-2.0
// The C API: groups and decisions.
#include <memory>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "facade/c_api_support.hpp"
#include "transport/handles.hpp"

using namespace landfall;
using namespace landfall::c_api;

extern "C" {

landfall_errc landfall_group_open(const landfall_context_t* context,
                                  const landfall_group_options_t* options,
                                  landfall_region_t** region, landfall_group_t** ret_group,
                                  landfall_decision_t** ret_decision,
                                  landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_group_open";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    landfall_group_options_t o = LANDFALL_GROUP_OPTIONS_INIT;
    if (context == nullptr || region == nullptr || *region == nullptr || ret_group == nullptr)
      return misuse(reterr_error, kOp, "NULL argument");
    if (!read_sized(options, o)) return misuse(reterr_error, kOp, "options: wrong struct_size");
    GroupOptions g;
    if (o.interface_name != nullptr) g.interface = o.interface_name;
    if (o.queue_ids != nullptr) {
      if (o.queue_id_count > kQueuesMax) return misuse(reterr_error, kOp, "too many queue_ids");
      g.queue_ids.assign(o.queue_ids, o.queue_ids + o.queue_id_count);
    }
    g.queues = o.queues;
    if ((o.flags & ~std::uint32_t{LANDFALL_GROUP_NO_STEERING}) != 0)
      return misuse(reterr_error, kOp, "unknown flags");
    if ((o.flags & LANDFALL_GROUP_NO_STEERING) != 0) g.steer = GroupOptions::Steer::nothing;
    g.transports = split_list(o.transports);
    g.options = split_list(o.options);
    g.also = split_list(o.also);
    if (o.contract != nullptr) {
      const auto contract = read_contract(o.contract);
      if (!contract) return misuse(reterr_error, kOp, "malformed contract");
      g.contract = *contract;
    }
    g.slot_bytes = o.slot_bytes;
    g.ring_slots = o.ring_slots;
    if (o.buffers_max != 0) g.buffers_max = o.buffers_max;
    if (o.flows_max != 0) g.flows_max = o.flows_max;
    if (o.pressure_percent != 0) g.pressure_percent = o.pressure_percent;
    if (o.relief_percent != 0) g.relief_percent = o.relief_percent;

    Decision decision;
    auto group = Group::open(context->context, g, (*region)->region, &decision);
    std::unique_ptr<landfall_decision_handle> kept;
    if (ret_decision != nullptr && !decision.candidates.empty())
      kept.reset(make_decision(std::move(decision)));
    if (group) {
      *ret_group = new landfall_group_handle{std::move(*group)};
      landfall_region_free(std::exchange(*region, nullptr));
    }
    if (kept != nullptr) *ret_decision = kept.release();
    return group ? LANDFALL_ERRC_ok : report(reterr_error, group.error());
  });
}

landfall_errc landfall_group_close(landfall_group_t** group, landfall_region_t** ret_region,
                                   landfall_error_t* reterr_error) noexcept {
  return close_owner("landfall_group_close", group, ret_region, reterr_error);
}

void landfall_group_free(landfall_group_t* group) noexcept {
  delete group;
}

landfall_errc landfall_group_drop_after(landfall_group_t* group, void* native_stream,
                                        landfall_buffer_t* const* buffers, std::uint32_t count,
                                        landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_group_drop_after";
  return guarded(kOp, reterr_error, [&]() -> landfall_errc {
    if (group == nullptr || (buffers == nullptr && count != 0))
      return misuse(reterr_error, kOp, "NULL argument");
    const auto fence = group->group.fence(native_stream);
    if (!fence) return report(reterr_error, fence.error());
    bool refused = false;
    for (landfall_buffer_t* const handle : std::span{buffers, count}) {
      if (handle == nullptr) continue;
      Buffer buffer = Buffer::from_handle(handle);
      refused = refused || !buffer;
      std::move(buffer).release_after(*fence);
    }
    if (!refused) return LANDFALL_ERRC_ok;
    return report(reterr_error, Error{refused_handle(), kOp});
  });
}

landfall_errc landfall_group_listen(landfall_group_t* group, const char* host, std::uint16_t port,
                                    const landfall_flow_options_t* options, std::uint16_t* ret_port,
                                    landfall_error_t* reterr_error) noexcept {
  constexpr const char* kOp = "landfall_group_listen";
  const bool complete = group != nullptr;
  return with_options(
      kOp, complete, options, reterr_error, [&](const FlowOptions& flow_options) -> landfall_errc {
        auto at = group->group.listen(Address{host == nullptr ? "" : host, port}, flow_options);
        if (!at) return report(reterr_error, at.error());
        if (ret_port != nullptr) *ret_port = at->port;
        return LANDFALL_ERRC_ok;
      });
}

std::size_t landfall_group_receivers(const landfall_group_t* group) noexcept {
  return group == nullptr ? 0 : group->group.size();
}

landfall_receiver_t* landfall_group_receiver(landfall_group_t* group, std::size_t index) noexcept {
  if (group == nullptr || index >= group->group.size()) return nullptr;
  return to_c(&group->group[index]);
}

landfall_errc landfall_group_memory(const landfall_group_t* group,
                                    landfall_memory_info_t* ret_memory) noexcept {
  if (group == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_memory(group->group.memory(), ret_memory);
}

landfall_errc landfall_group_verdict(const landfall_group_t* group,
                                     landfall_verdict_t* ret_verdict) noexcept {
  if (group == nullptr) return LANDFALL_ERRC_invalid_argument;
  return write_verdict(group->group.verdict(), ret_verdict);
}

landfall_errc landfall_group_decision(const landfall_group_t* group,
                                      landfall_decision_t** ret_decision) noexcept {
  return guarded("landfall_group_decision", nullptr, [&]() -> landfall_errc {
    if (group == nullptr || ret_decision == nullptr) return LANDFALL_ERRC_invalid_argument;
    *ret_decision = make_decision(group->group.decision());
    return LANDFALL_ERRC_ok;
  });
}

const char* landfall_decision_chosen(const landfall_decision_t* decision) noexcept {
  return decision == nullptr ? "" : decision->decision.chosen.c_str();
}

const char* landfall_decision_describe(const landfall_decision_t* decision) noexcept {
  return decision == nullptr ? "" : decision->description.c_str();
}

std::size_t landfall_decision_candidates(const landfall_decision_t* decision) noexcept {
  return decision == nullptr ? 0 : decision->decision.candidates.size();
}

landfall_errc landfall_decision_candidate(const landfall_decision_t* decision, std::size_t index,
                                          landfall_candidate_t* ret_candidate) noexcept {
  if (decision == nullptr) return LANDFALL_ERRC_invalid_argument;
  if (index >= decision->decision.candidates.size()) return LANDFALL_ERRC_not_found;
  const Decision::Candidate& from = decision->decision.candidates[index];
  landfall_candidate_t c = LANDFALL_CANDIDATE_INIT;
  c.usable = from.usable ? 1 : 0;
  c.best_placement = static_cast<std::uint32_t>(from.best);
  c.reason_count = static_cast<std::uint32_t>(from.reasons.size());
  c.transport = from.transport.c_str();
  return write_sized(ret_candidate, c) ? LANDFALL_ERRC_ok : LANDFALL_ERRC_invalid_argument;
}

landfall_errc landfall_decision_reason(const landfall_decision_t* decision, std::size_t candidate,
                                       std::size_t index, landfall_error_t* ret_reason) noexcept {
  if (decision == nullptr || ret_reason == nullptr) return LANDFALL_ERRC_invalid_argument;
  if (candidate >= decision->decision.candidates.size()) return LANDFALL_ERRC_not_found;
  const Decision::Candidate& from = decision->decision.candidates[candidate];
  if (index >= from.reasons.size()) return LANDFALL_ERRC_not_found;
  const Reason& reason = from.reasons[index];
  report(ret_reason, LANDFALL_ERRC_ok, static_cast<std::uint32_t>(reason.code),
         static_cast<std::int32_t>(reason.origin), reason.native, from.transport, reason.text,
         reason.fix);
  return LANDFALL_ERRC_ok;
}

void landfall_decision_free(landfall_decision_t* decision) noexcept {
  delete decision;
}

}  // extern "C"
