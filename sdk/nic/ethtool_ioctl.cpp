// SPDX-License-Identifier: Apache-2.0
#include "nic/ethtool_ioctl.hpp"

#include <linux/sockios.h>
#include <sys/ioctl.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <memory>
#include <new>

namespace landfall::nic {
namespace {

int call(const IoctlInterface& at, void* command) noexcept {
  ifreq request{};
  std::memcpy(request.ifr_name, at.name, sizeof request.ifr_name);
  request.ifr_data = static_cast<char*>(command);
  return ::ioctl(at.socket, SIOCETHTOOL, &request) < 0 ? errno : 0;
}

// Drivers leave the parts of a spec that their flow type does not use as they were given.
constexpr std::uint32_t kTypeFlags = FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS;

bool same_bytes(const void* a, const void* b, std::size_t size) noexcept {
  return std::memcmp(a, b, size) == 0;
}

}  // namespace

int find_interface(int socket, std::uint32_t index, IoctlInterface& ret_interface) noexcept {
  ifreq request{};
  request.ifr_ifindex = static_cast<int>(index);
  if (::ioctl(socket, SIOCGIFNAME, &request) < 0) return errno;
  ret_interface.socket = socket;
  std::memcpy(ret_interface.name, request.ifr_name, sizeof ret_interface.name);
  return 0;
}

int get_driver(const IoctlInterface& at, ethtool_drvinfo& ret_driver) noexcept {
  ret_driver = {};
  ret_driver.cmd = ETHTOOL_GDRVINFO;
  return call(at, &ret_driver);
}

int count_rules(const IoctlInterface& at, RuleTable& ret_table) noexcept {
  ethtool_rxnfc request{};
  request.cmd = ETHTOOL_GRXCLSRLCNT;
  if (const int number = call(at, &request)) return number;
  ret_table.rules = request.rule_cnt;
  ret_table.size = static_cast<std::uint32_t>(request.data & ~std::uint64_t{RX_CLS_LOC_SPECIAL});
  ret_table.picks_location = (request.data & RX_CLS_LOC_SPECIAL) != 0;
  return 0;
}

int list_rules(const IoctlInterface& at, std::vector<ethtool_rxnfc>& ret_rules) {
  ret_rules.clear();
  RuleTable count;
  if (const int number = count_rules(at, count)) return number;
  if (count.rules == 0) return 0;
  // Room for some that are added meanwhile; with less than there are, drivers answer EMSGSIZE.
  const std::uint32_t room = count.rules + 64;
  const std::size_t bytes = sizeof(ethtool_rxnfc) + room * sizeof(std::uint32_t);
  const auto buffer = std::make_unique<std::byte[]>(bytes);
  auto* all = new (buffer.get()) ethtool_rxnfc{};
  all->cmd = ETHTOOL_GRXCLSRLALL;
  all->rule_cnt = room;
  if (const int number = call(at, all)) return number;
  const std::byte* locations = buffer.get() + offsetof(ethtool_rxnfc, rule_locs);
  for (std::uint32_t i = 0; i < all->rule_cnt && i < room; ++i) {
    std::uint32_t location = 0;
    std::memcpy(&location, locations + i * sizeof location, sizeof location);
    ethtool_rxnfc rule{};
    const int number = get_rule(at, location, rule);
    if (number == 0) ret_rules.push_back(rule);
    if (number != 0 && number != ENOENT && number != EINVAL) return number;
  }
  return 0;
}

int get_rule(const IoctlInterface& at, std::uint32_t location, ethtool_rxnfc& ret_rule) noexcept {
  ret_rule = {};
  ret_rule.cmd = ETHTOOL_GRXCLSRULE;
  ret_rule.fs.location = location;
  return call(at, &ret_rule);
}

int insert_rule(const IoctlInterface& at, ethtool_rxnfc& rule) noexcept {
  rule.cmd = ETHTOOL_SRXCLSRLINS;
  return call(at, &rule);
}

int remove_rule(const IoctlInterface& at, std::uint32_t location) noexcept {
  ethtool_rxnfc request{};
  request.cmd = ETHTOOL_SRXCLSRLDEL;
  request.fs.location = location;
  return call(at, &request);
}

int set_rss(const IoctlInterface& at, const RssRequest& request, std::uint32_t& ret_context) {
  const std::size_t bytes =
      sizeof(ethtool_rxfh) + request.table.size_bytes() + request.key.size_bytes();
  const auto buffer = std::make_unique<std::byte[]>(bytes);
  const auto attempt = [&](std::uint8_t unchanged_transform) {
    auto* rss = new (buffer.get()) ethtool_rxfh{};
    rss->cmd = ETHTOOL_SRSSH;
    rss->rss_context = request.context;
    rss->indir_size = static_cast<std::uint32_t>(request.table.size());
    if (request.table.empty() && !request.reset) rss->indir_size = ETH_RXFH_INDIR_NO_CHANGE;
    rss->key_size = static_cast<std::uint32_t>(request.key.size());
    // input_xfrm, which Linux 6.8 put behind hfunc; headers before it have a reserved byte there.
    reinterpret_cast<std::uint8_t*>(rss)[offsetof(ethtool_rxfh, hfunc) + 1] = unchanged_transform;
    std::byte* behind = buffer.get() + sizeof(ethtool_rxfh);
    if (!request.table.empty())
      std::memcpy(behind, request.table.data(), request.table.size_bytes());
    if (!request.key.empty())
      std::memcpy(behind + request.table.size_bytes(), request.key.data(),
                  request.key.size_bytes());
    const int number = call(at, rss);
    if (number == 0) ret_context = rss->rss_context;
    return number;
  };
  constexpr std::uint8_t kNoChange = 0xff;  // RXH_XFRM_NO_CHANGE; older kernels want 0 there
  const int number = attempt(kNoChange);
  return number == EINVAL ? attempt(0) : number;
}

bool same_match(const ethtool_rx_flow_spec& a, const ethtool_rx_flow_spec& b) noexcept {
  if ((a.flow_type & ~kTypeFlags) != (b.flow_type & ~kTypeFlags)) return false;
  if (!same_bytes(&a.m_u, &b.m_u, sizeof a.m_u)) return false;
  const auto* mask = reinterpret_cast<const unsigned char*>(&a.m_u);
  const auto* left = reinterpret_cast<const unsigned char*>(&a.h_u);
  const auto* right = reinterpret_cast<const unsigned char*>(&b.h_u);
  for (std::size_t i = 0; i < sizeof a.m_u; ++i)
    if (((left[i] ^ right[i]) & mask[i]) != 0) return false;
  const std::uint32_t extra = (a.flow_type | b.flow_type) & (FLOW_EXT | FLOW_MAC_EXT);
  return extra == 0 || (same_bytes(&a.h_ext, &b.h_ext, sizeof a.h_ext) &&
                        same_bytes(&a.m_ext, &b.m_ext, sizeof a.m_ext));
}

}  // namespace landfall::nic
