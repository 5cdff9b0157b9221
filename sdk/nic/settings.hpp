// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "nic/nic.hpp"

namespace landfall::nic {

/// What landfall may set of an interface, and what it must leave alone beside that.
struct Settings {
  std::uint32_t index = 0;
  std::string name, driver, bus;
  std::optional<bool> ntuple;
  std::optional<std::uint32_t> channels;  // that receive
  std::optional<std::uint32_t> rx_ring;
  HeaderSplit header_split = HeaderSplit::unknown;
  std::optional<std::uint32_t> hds_threshold_bytes;
  std::vector<RssContext> rss;  // context 0 first
  std::vector<Rule> rules;      // by location

  /// Is the table of context 0 the driver's own? The kernel does not say whether somebody has set
  /// it; one with the driver's entries is taken for that (include/linux/ethtool.h,
  /// ethtool_rxfh_indir_default).
  bool has_default_table() const noexcept;
  /// nullptr: none of this number.
  const RssContext* context(std::uint32_t id) const noexcept;
  const Rule* rule_at(std::uint32_t location) const noexcept;

  /// The same device at the same place, whatever its settings and its name.
  bool same_device(const Settings& other) const noexcept {
    return index == other.index && driver == other.driver && bus == other.bus;
  }
};

/// Rules lead to the same place?
bool leads_alike(const Rule& a, const Rule& b) noexcept;
/// Same match, same place, same location.
bool same_rule(const Rule& a, const Rule& b) noexcept;
/// In all that Settings has but the names of interface and device.
bool same_settings(const Settings& a, const Settings& b);

/// Errors: those of Nic::read and Nic::rules.
Result<Settings> read_settings(Nic& nic, std::uint32_t interface_index);
Settings settings_of(const NicState& state, std::vector<Rule> rules);

}  // namespace landfall::nic
