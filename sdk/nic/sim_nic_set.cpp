// SPDX-License-Identifier: Apache-2.0
// SimNic's writing half: settings as Linux 7.3 takes and refuses them.
#include <algorithm>
#include <cerrno>

#include "nic/refusals.hpp"
#include "nic/sim_nic.hpp"

namespace landfall::nic {
namespace {

constexpr std::size_t kTableEntries = 128;
constexpr std::uint32_t kContextsMax = 32;

bool is_bound(const SimInterface& at, std::uint32_t from_queue) {
  return std::ranges::any_of(at.state.queues, [&](const QueueState& queue) {
    return queue.id >= from_queue && (queue.dmabuf_id || queue.io_uring);
  });
}

std::uint32_t largest(std::span<const std::uint32_t> table) {
  return table.empty() ? 0 : *std::ranges::max_element(table);
}

}  // namespace

Result<SimInterface*> SimNic::settable(const char* what, std::uint32_t interface_index) {
  const auto found = interfaces_.find(interface_index);
  const std::string name = found == interfaces_.end() ? "" : found->second.state.name;
  if (const int number = injected()) return setting_refused(what, {number, "", 0}, name);
  if (found == interfaces_.end()) return setting_refused(what, {ENODEV, "", 0}, name);
  if (!privileged) return setting_refused(what, {EPERM, "", 0}, name);
  return &found->second;
}

// net/ethtool/channels.c: ethnl_set_channels; net/ethtool/common.c: ethtool_check_max_channel.
SimNic::No SimNic::channels_refusal(const SimInterface& at, std::uint32_t receiving) const {
  const NicState& state = at.state;
  if (!state.channels) return {EOPNOTSUPP, ""};
  if (receiving > state.channels->combined_max)
    return {EINVAL, "requested channel count exceeds maximum"};
  if (receiving == 0)
    return {EINVAL,
            "requested channel counts would result in no RX or TX channel being configured"};
  for (const RssContext& context : state.rss)
    if ((context.id != 0 || at.table_is_users) && largest(context.table) >= receiving)
      return {EINVAL,
              "requested channel counts are too low for existing indirection table settings"};
  for (const Rule& rule : at.rules)
    if ((rule.spec.flow_type & FLOW_RSS) == 0 && rule.spec.ring_cookie >= receiving)
      return {EINVAL, "requested channel counts are too low for existing ntuple filter settings"};
  if (is_bound(at, receiving))
    return {EINVAL, "requested channel counts are too low for existing memory provider setting"};
  return {};
}

Result<void> SimNic::set_channels(std::uint32_t interface_index, std::uint32_t receiving) {
  LANDFALL_TRY(SimInterface* const at, settable("the channels", interface_index));
  NicState& state = at->state;
  if (const No no = channels_refusal(*at, receiving); no.number != 0)
    return setting_refused("the channels", {no.number, no.text, no.attribute}, state.name);
  state.channels->combined = receiving;
  state.queues.resize(receiving);
  for (std::uint32_t id = 0; id < receiving; ++id) {
    state.queues[id].id = id;
    if (state.queues[id].napi_id == 0) state.queues[id].napi_id = 8193 + id;
  }
  if (!at->table_is_users && !state.rss.empty()) at->use_default_table();
  return {};
}

void SimInterface::use_default_table() {
  table_is_users = false;
  std::vector<std::uint32_t>& table = state.rss.front().table;
  for (std::size_t i = 0; i < table.size(); ++i)
    table[i] = static_cast<std::uint32_t>(i % std::max(state.queue_count(), 1u));
}

// net/ethtool/rings.c: ethnl_set_rings.
SimNic::No SimNic::rings_refusal(const SimInterface& at, const RingsRequest& request) const {
  if (!at.state.rings) return {EOPNOTSUPP, ""};
  const Rings& rings = *at.state.rings;
  if (request.header_split != HeaderSplit::unknown && rings.header_split == HeaderSplit::unknown)
    return {EOPNOTSUPP, "setting TCP data split is not supported"};
  if (request.hds_threshold_bytes && !rings.hds_threshold_bytes)
    return {EOPNOTSUPP, "setting hds-thresh is not supported"};
  if (request.rx.value_or(0) > rings.rx_max.value_or(~0u))
    return {EINVAL, "requested ring size exceeds maximum"};
  if (request.rx && *request.rx < 16) return {EINVAL, "a ring has at least 16 descriptors"};
  if (request.hds_threshold_bytes.value_or(0) > rings.hds_threshold_max_bytes.value_or(0))
    return {ERANGE, "hds-thresh is out of range"};
  if (request.header_split == HeaderSplit::off && is_bound(at, 0))
    return {EINVAL, "can't disable tcp-data-split while device has memory provider enabled"};
  return {};
}

Result<void> SimNic::set_rings(std::uint32_t interface_index, const RingsRequest& request) {
  LANDFALL_TRY(SimInterface* const at, settable("the rings", interface_index));
  if (const No no = rings_refusal(*at, request); no.number != 0)
    return setting_refused("the rings", {no.number, no.text, no.attribute}, at->state.name);
  Rings& rings = *at->state.rings;
  if (request.rx) rings.rx = request.rx;
  if (request.header_split != HeaderSplit::unknown) rings.header_split = request.header_split;
  if (request.hds_threshold_bytes) rings.hds_threshold_bytes = request.hds_threshold_bytes;
  return {};
}

Result<void> SimNic::set_ntuple(std::uint32_t interface_index, bool on) {
  LANDFALL_TRY(SimInterface* const at, settable("n-tuple steering", interface_index));
  if (!at->state.ntuple)
    return setting_refused("n-tuple steering", {EOPNOTSUPP, "", 0}, at->state.name);
  // As some drivers do, and ours: without the feature there are no rules.
  if (!on) at->rules.clear();
  at->state.ntuple = on;
  return {};
}

Result<void> SimNic::set_rss_table(std::uint32_t interface_index,
                                   std::span<const std::uint32_t> table) {
  constexpr const char* kWhat = "the RSS table";
  LANDFALL_TRY(SimInterface* const at, settable(kWhat, interface_index));
  if (at->state.rss.empty()) return setting_refused(kWhat, {EOPNOTSUPP, "", 0}, at->state.name);
  if (table.empty()) {
    at->use_default_table();
    return {};
  }
  if (table.size() != kTableEntries || largest(table) >= at->state.queue_count())
    return setting_refused(kWhat, {EINVAL, "", 0}, at->state.name);
  at->table_is_users = true;
  at->state.rss.front().table.assign(table.begin(), table.end());
  return {};
}

Result<void> SimNic::set_rss_key(std::uint32_t interface_index, std::span<const std::uint8_t> key) {
  constexpr const char* kWhat = "the RSS key";
  LANDFALL_TRY(SimInterface* const at, settable(kWhat, interface_index));
  if (at->state.rss.empty() || key.size() != at->state.rss.front().key.size())
    return setting_refused(kWhat, {EINVAL, "", 0}, at->state.name);
  at->state.rss.front().key.assign(key.begin(), key.end());
  return {};
}

Result<std::uint32_t> SimNic::add_rss_context(std::uint32_t interface_index,
                                              std::span<const std::uint32_t> table) {
  constexpr const char* kWhat = "an RSS context";
  LANDFALL_TRY(SimInterface* const at, settable(kWhat, interface_index));
  std::vector<RssContext>& rss = at->state.rss;
  if (rss.empty()) return setting_refused(kWhat, {EOPNOTSUPP, "", 0}, at->state.name);
  if (table.size() != kTableEntries || largest(table) >= at->state.queue_count())
    return setting_refused(kWhat, {EINVAL, "", 0}, at->state.name);
  RssContext context;
  context.id = 1;
  while (std::ranges::find(rss, context.id, &RssContext::id) != rss.end()) ++context.id;
  if (context.id >= kContextsMax) return setting_refused(kWhat, {ENOSPC, "", 0}, at->state.name);
  context.table.assign(table.begin(), table.end());
  context.key = rss.front().key;
  const std::uint32_t id = context.id;
  rss.insert(std::ranges::upper_bound(rss, id, {}, &RssContext::id), std::move(context));
  return id;
}

Result<void> SimNic::remove_rss_context(std::uint32_t interface_index, std::uint32_t id) {
  constexpr const char* kWhat = "an RSS context";
  LANDFALL_TRY(SimInterface* const at, settable(kWhat, interface_index));
  if (std::ranges::any_of(at->rules, [&](const Rule& rule) {
        return (rule.spec.flow_type & FLOW_RSS) != 0 && rule.rss_context == id;
      }))
    return setting_refused(kWhat, {EBUSY, "", 0}, at->state.name);
  if (std::erase_if(at->state.rss,
                    [&](const RssContext& one) { return one.id == id && id != 0; }) == 0)
    return setting_refused(kWhat, {ENOENT, "", 0}, at->state.name);
  return {};
}

}  // namespace landfall::nic
