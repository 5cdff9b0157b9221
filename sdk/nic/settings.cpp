// SPDX-License-Identifier: Apache-2.0
#include "nic/settings.hpp"

#include <algorithm>

#include "nic/ethtool_ioctl.hpp"

namespace landfall::nic {
namespace {

bool same_context(const RssContext& a, const RssContext& b) {
  return a.id == b.id && a.table == b.table && a.key == b.key;
}

}  // namespace

bool Settings::has_default_table() const noexcept {
  if (rss.empty() || !channels || *channels == 0) return true;
  const std::vector<std::uint32_t>& table = rss.front().table;
  for (std::size_t i = 0; i < table.size(); ++i)
    if (table[i] != i % *channels) return false;
  return true;
}

const RssContext* Settings::context(std::uint32_t id) const noexcept {
  const auto found = std::ranges::find(rss, id, &RssContext::id);
  return found == rss.end() ? nullptr : &*found;
}

const Rule* Settings::rule_at(std::uint32_t location) const noexcept {
  const auto found =
      std::ranges::find_if(rules, [&](const Rule& rule) { return rule.spec.location == location; });
  return found == rules.end() ? nullptr : &*found;
}

bool leads_alike(const Rule& a, const Rule& b) noexcept {
  return a.spec.ring_cookie == b.spec.ring_cookie &&
         (a.spec.flow_type & FLOW_RSS) == (b.spec.flow_type & FLOW_RSS) &&
         a.rss_context == b.rss_context;
}

bool same_rule(const Rule& a, const Rule& b) noexcept {
  return a.spec.location == b.spec.location && same_match(a.spec, b.spec) && leads_alike(a, b);
}

bool same_settings(const Settings& a, const Settings& b) {
  return a.ntuple == b.ntuple && a.channels == b.channels && a.rx_ring == b.rx_ring &&
         a.header_split == b.header_split && a.hds_threshold_bytes == b.hds_threshold_bytes &&
         std::ranges::equal(a.rss, b.rss, same_context) &&
         std::ranges::equal(a.rules, b.rules, same_rule);
}

Settings settings_of(const NicState& state, std::vector<Rule> rules) {
  Settings settings;
  settings.index = state.index;
  settings.name = state.name;
  settings.driver = state.driver;
  settings.bus = state.bus;
  settings.ntuple = state.ntuple;
  if (state.channels) settings.channels = state.channels->receiving();
  if (state.rings) {
    settings.rx_ring = state.rings->rx;
    settings.header_split = state.rings->header_split;
    settings.hds_threshold_bytes = state.rings->hds_threshold_bytes;
  }
  settings.rss = state.rss;
  settings.rules = std::move(rules);
  std::ranges::sort(settings.rules, {}, [](const Rule& rule) { return rule.spec.location; });
  return settings;
}

Result<Settings> read_settings(Nic& nic, std::uint32_t interface_index) {
  LANDFALL_TRY(const NicState state, nic.read(interface_index));
  std::vector<Rule> rules;
  if (state.rule_table && state.rule_table->rules != 0) {
    LANDFALL_TRY(rules, nic.rules(interface_index));
  }
  return settings_of(state, std::move(rules));
}

}  // namespace landfall::nic
