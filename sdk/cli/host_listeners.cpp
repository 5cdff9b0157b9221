// SPDX-License-Identifier: Apache-2.0
#include "host_listeners.hpp"

#include <netinet/in.h>
#include <pwd.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <sstream>

namespace landfall::cli {
namespace {

struct Table {
  const char* name;
  bool tcp;
  const char* state;  // of those that are meant: TCP_LISTEN; TCP_CLOSE, which UDP has unconnected
};
constexpr Table kTables[] = {
    {"tcp", true, "0A"}, {"tcp6", true, "0A"}, {"udp", false, "07"}, {"udp6", false, "07"}};

/// "0100007F:0016": each word of the address is in the host's order.
bool read_end(const std::string& text, sa_family_t& ret_family, nic::FlowKey::End& ret_end) {
  const std::size_t colon = text.find(':');
  if (colon != 8 && colon != 32) return false;
  ret_family = colon == 8 ? AF_INET : AF_INET6;
  ret_end.any_address = true;
  for (std::size_t at = 0; at < colon; at += 8) {
    const auto word =
        static_cast<std::uint32_t>(std::strtoul(text.substr(at, 8).c_str(), nullptr, 16));
    std::memcpy(ret_end.address.data() + at / 2, &word, sizeof word);
    ret_end.any_address = ret_end.any_address && word == 0;
  }
  ret_end.port = static_cast<std::uint16_t>(std::strtoul(text.c_str() + colon + 1, nullptr, 16));
  constexpr std::uint8_t kMapped[12] = {0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};
  if (ret_family == AF_INET6 && std::equal(kMapped, kMapped + 12, ret_end.address.begin())) {
    ret_family = AF_INET;
    std::copy_n(ret_end.address.begin() + 12, 4, ret_end.address.begin());
  }
  return ret_end.port != 0;
}

bool is_loopback(sa_family_t family, const nic::FlowKey::End& end) {
  in6_addr address{};
  std::memcpy(&address, end.address.data(), sizeof address);
  return family == AF_INET ? end.address[0] == 127 : IN6_IS_ADDR_LOOPBACK(&address) != 0;
}

nic::Rule packets_of(const nic::FlowKey& key, bool tcp) {
  nic::Rule rule = nic::rule_of(key, 0);
  // UDP's structures are TCP's: include/uapi/linux/ethtool.h, union ethtool_flow_union.
  if (!tcp) rule.spec.flow_type = key.family == AF_INET ? UDP_V4_FLOW : UDP_V6_FLOW;
  return rule;
}

std::string name_of(uid_t user) {
  const passwd* entry = ::getpwuid(user);
  return entry == nullptr ? std::to_string(user) : entry->pw_name;
}

void read_line(const std::string& line, const Table& table, std::vector<policy::Listener>& ret) {
  std::istringstream in{line};
  std::string number, local, remote, state, queues, timer, retransmits;
  uid_t user = 0;
  nic::FlowKey key;
  if (!(in >> number >> local >> remote >> state >> queues >> timer >> retransmits >> user) ||
      state != table.state || !read_end(local, key.family, key.local) ||
      is_loopback(key.family, key.local))
    return;
  const std::string text =
      std::string{table.tcp ? "tcp" : "udp"} + " port " + std::to_string(key.local.port);
  ret.push_back({packets_of(key, table.tcp), text, name_of(user)});
  if (key.family != AF_INET6 || !key.local.any_address) return;
  key.family = AF_INET;
  ret.push_back({packets_of(key, table.tcp), text, ret.back().user});
}

}  // namespace

std::vector<policy::Listener> host_listeners(const std::string& root) {
  std::vector<policy::Listener> listeners;
  for (const Table& table : kTables) {
    std::ifstream in{root + "/proc/net/" + table.name};
    std::string line;
    std::getline(in, line);  // what the columns are
    while (std::getline(in, line)) read_line(line, table, listeners);
  }
  return listeners;
}

}  // namespace landfall::cli
