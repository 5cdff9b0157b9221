// SPDX-License-Identifier: Apache-2.0
#include "policy/flow_rules.hpp"

#include <arpa/inet.h>

#include <cstring>

namespace landfall::policy {
namespace {

using Ports = Policy::Ports;
using Prefix = Policy::Prefix;

constexpr std::uint32_t kTypeFlags = FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS;

std::uint64_t count_of(const std::optional<Ports>& ports) {
  return ports ? std::uint64_t{ports->last} - ports->first + 1 : 1;
}

template <class Field>
void want_prefix(Field& value, Field& mask, const std::optional<Prefix>& prefix) {
  if (!prefix) return;
  std::uint8_t bits[sizeof(Field)]{};
  for (std::size_t i = 0; i < prefix->bits && i < 8 * sizeof bits; ++i)
    bits[i / 8] = static_cast<std::uint8_t>(bits[i / 8] | 0x80u >> i % 8);
  std::memcpy(&value, prefix->address.data(), sizeof value);
  std::memcpy(&mask, bits, sizeof mask);
}

template <class Spec>
void want_ports(Spec& value, Spec& mask, const std::optional<Ports>& source, std::uint64_t s,
                const std::optional<Ports>& destination, std::uint64_t d) {
  if (source) {
    value.psrc = htons(static_cast<std::uint16_t>(source->first + s));
    mask.psrc = 0xffff;
  }
  if (destination) {
    value.pdst = htons(static_cast<std::uint16_t>(destination->first + d));
    mask.pdst = 0xffff;
  }
}

nic::Rule rule_of(const Policy::Flow& flow, bool ipv6, std::uint64_t s, std::uint64_t d) {
  nic::Rule rule;
  ethtool_rx_flow_spec& spec = rule.spec;
  spec.location = RX_CLS_LOC_ANY;
  const bool tcp = flow.protocol == Policy::Flow::Protocol::tcp;
  // UDP's structures are TCP's: include/uapi/linux/ethtool.h, union ethtool_flow_union.
  if (ipv6) {
    spec.flow_type = tcp ? TCP_V6_FLOW : UDP_V6_FLOW;
    auto &value = spec.h_u.tcp_ip6_spec, &mask = spec.m_u.tcp_ip6_spec;
    want_prefix(value.ip6src, mask.ip6src, flow.source);
    want_prefix(value.ip6dst, mask.ip6dst, flow.destination);
    want_ports(value, mask, flow.source_ports, s, flow.destination_ports, d);
  } else {
    spec.flow_type = tcp ? TCP_V4_FLOW : UDP_V4_FLOW;
    auto &value = spec.h_u.tcp_ip4_spec, &mask = spec.m_u.tcp_ip4_spec;
    want_prefix(value.ip4src, mask.ip4src, flow.source);
    want_prefix(value.ip4dst, mask.ip4dst, flow.destination);
    want_ports(value, mask, flow.source_ports, s, flow.destination_ports, d);
  }
  return rule;
}

}  // namespace

std::uint64_t count_rules(const Policy::Flow& flow) {
  return (flow.ipv4 ? 1u : 0u) * count_of(flow.source_ports) * count_of(flow.destination_ports) +
         (flow.ipv6 ? 1u : 0u) * count_of(flow.source_ports) * count_of(flow.destination_ports);
}

std::vector<nic::Rule> flow_rules(const Policy::Flow& flow) {
  std::vector<nic::Rule> rules;
  for (const bool ipv6 : {false, true}) {
    if (!(ipv6 ? flow.ipv6 : flow.ipv4)) continue;
    for (std::uint64_t s = 0; s < count_of(flow.source_ports); ++s)
      for (std::uint64_t d = 0; d < count_of(flow.destination_ports); ++d)
        rules.push_back(rule_of(flow, ipv6, s, d));
  }
  return rules;
}

bool overlaps(const nic::Rule& one, const nic::Rule& other) {
  const ethtool_rx_flow_spec &a = one.spec, &b = other.spec;
  if ((a.flow_type & ~kTypeFlags) != (b.flow_type & ~kTypeFlags)) return false;
  if (((a.flow_type | b.flow_type) & (FLOW_EXT | FLOW_MAC_EXT)) != 0) return false;
  const auto bytes = [](const auto& field) {
    return reinterpret_cast<const std::uint8_t*>(&field);
  };
  for (std::size_t i = 0; i < sizeof a.m_u; ++i) {
    const unsigned both = unsigned{bytes(a.m_u)[i]} & bytes(b.m_u)[i];
    if (((bytes(a.h_u)[i] ^ bytes(b.h_u)[i]) & both) != 0) return false;
  }
  return true;
}

}  // namespace landfall::policy
