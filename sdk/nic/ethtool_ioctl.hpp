// SPDX-License-Identifier: Apache-2.0
// SIOCETHTOOL, as far as netlink has no message for it in every kernel: the driver's name, n-tuple
// rules, and RSS (netlink sets it from Linux 6.17 on). All
// answer errno, 0 for success, and stand alone: the guard process is made of little else.
#pragma once
#include <linux/ethtool.h>
#include <net/if.h>

#include <cstdint>
#include <span>
#include <vector>

#include "nic/state.hpp"

namespace landfall::nic {

/// An interface as ioctls name it, by the name that it has at this moment.
struct IoctlInterface {
  int socket = -1;
  char name[IF_NAMESIZE]{};
};

/// ENODEV: there is none with this index.
int find_interface(int socket, std::uint32_t index, IoctlInterface& ret_interface) noexcept;
int get_driver(const IoctlInterface& at, ethtool_drvinfo& ret_driver) noexcept;

int count_rules(const IoctlInterface& at, RuleTable& ret_table) noexcept;
/// Rules that vanish while they are listed are left out.
int list_rules(const IoctlInterface& at, std::vector<ethtool_rxnfc>& ret_rules);
int get_rule(const IoctlInterface& at, std::uint32_t location, ethtool_rxnfc& ret_rule) noexcept;
/// At rule.fs.location; RX_CLS_LOC_ANY becomes the place that the driver picked.
int insert_rule(const IoctlInterface& at, ethtool_rxnfc& rule) noexcept;
int remove_rule(const IoctlInterface& at, std::uint32_t location) noexcept;

/// What is to change of a context of RSS. Empty: stays as it is.
struct RssRequest {
  std::uint32_t context = 0;  // ETH_RXFH_CONTEXT_ALLOC: a new one
  std::span<const std::uint32_t> table{};
  std::span<const std::uint8_t> key{};
  /// Of context 0: the driver's own table; of another one: it goes.
  bool reset = false;
};
/// ret_context: the number of the one that was made, or changed.
int set_rss(const IoctlInterface& at, const RssRequest& request, std::uint32_t& ret_context);

/// Do both look for the same packets, wherever they send them?
bool same_match(const ethtool_rx_flow_spec& a, const ethtool_rx_flow_spec& b) noexcept;

}  // namespace landfall::nic
