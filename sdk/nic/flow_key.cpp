// SPDX-License-Identifier: Apache-2.0
#include "nic/flow_key.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace landfall::nic {
namespace {

using End = FlowKey::End;

constexpr std::array<std::uint8_t, 12> kMappedPrefix{0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff};

/// An address of a socket. IPv4 within IPv6 is IPv4 on the wire.
sa_family_t read_end(const sockaddr* address, End& ret_end) {
  if (address->sa_family == AF_INET) {
    const auto* v4 = reinterpret_cast<const sockaddr_in*>(address);
    std::memcpy(ret_end.address.data(), &v4->sin_addr, 4);
    ret_end.port = ntohs(v4->sin_port);
    ret_end.any_address = v4->sin_addr.s_addr == htonl(INADDR_ANY);
    return AF_INET;
  }
  const auto* v6 = reinterpret_cast<const sockaddr_in6*>(address);
  ret_end.port = ntohs(v6->sin6_port);
  std::array<std::uint8_t, 16> bytes{};
  std::memcpy(bytes.data(), &v6->sin6_addr, bytes.size());
  if (std::equal(kMappedPrefix.begin(), kMappedPrefix.end(), bytes.begin())) {
    std::copy_n(bytes.begin() + kMappedPrefix.size(), 4, ret_end.address.begin());
    ret_end.any_address = std::all_of(bytes.begin() + 12, bytes.end(), [](auto b) { return !b; });
    return AF_INET;
  }
  ret_end.address = bytes;
  ret_end.any_address = std::ranges::all_of(bytes, [](auto b) { return b == 0; });
  return AF_INET6;
}

int option(int fd, int level, int name) {
  int value = 0;
  socklen_t size = sizeof value;
  return ::getsockopt(fd, level, name, &value, &size) == 0 ? value : -1;
}

std::string text_of(const End& end, sa_family_t family) {
  char text[INET6_ADDRSTRLEN]{};
  ::inet_ntop(family, end.address.data(), text, sizeof text);
  const std::string address = end.any_address ? "*" : text;
  return (family == AF_INET6 && !end.any_address ? "[" + address + "]" : address) + ":" +
         std::to_string(end.port);
}

/// Does this field of a rule let all of a key through? `any`: the key leaves it open.
template <class Field>
bool field_takes(const Field& value, const Field& mask, const void* wanted, bool any) {
  std::uint8_t v[sizeof(Field)], m[sizeof(Field)], w[sizeof(Field)];
  std::memcpy(v, &value, sizeof v);
  std::memcpy(m, &mask, sizeof m);
  std::memcpy(w, wanted, sizeof w);
  for (std::size_t i = 0; i < sizeof(Field); ++i)
    if (any ? m[i] != 0 : ((v[i] ^ w[i]) & m[i]) != 0) return false;
  return true;
}

/// tcp_ip4_spec and tcp_ip6_spec, or the usr specs of any protocol, have these fields by name.
template <class Spec>
bool ports_take(const Spec& value, const Spec& mask, const FlowKey& key) {
  const std::uint16_t source = htons(key.remote.port), destination = htons(key.local.port);
  return field_takes(value.psrc, mask.psrc, &source, key.any_remote) &&
         field_takes(value.pdst, mask.pdst, &destination, false);
}
template <class Spec>
bool addresses4_take(const Spec& value, const Spec& mask, const FlowKey& key) {
  return field_takes(value.ip4src, mask.ip4src, key.remote.address.data(), key.any_remote) &&
         field_takes(value.ip4dst, mask.ip4dst, key.local.address.data(), key.local.any_address);
}
template <class Spec>
bool addresses6_take(const Spec& value, const Spec& mask, const FlowKey& key) {
  return field_takes(value.ip6src, mask.ip6src, key.remote.address.data(), key.any_remote) &&
         field_takes(value.ip6dst, mask.ip6dst, key.local.address.data(), key.local.any_address);
}

template <class Field>
void want(Field& value, Field& mask, const void* bytes) {
  std::memcpy(&value, bytes, sizeof value);
  std::memset(&mask, 0xff, sizeof mask);
}

template <class Spec>
void want_ports(Spec& value, Spec& mask, const FlowKey& key) {
  const std::uint16_t source = htons(key.remote.port), destination = htons(key.local.port);
  want(value.pdst, mask.pdst, &destination);
  if (!key.any_remote) want(value.psrc, mask.psrc, &source);
}

}  // namespace

std::string FlowKey::describe() const {
  std::string text = "tcp " + text_of(local, family);
  if (!any_remote) text += " from " + text_of(remote, family);
  return text;
}

Result<std::vector<FlowKey>> keys_of(int socket_fd, const sockaddr* remote) {
  constexpr const char* kOp = "steer";
  const int domain = option(socket_fd, SOL_SOCKET, SO_DOMAIN);
  if (option(socket_fd, SOL_SOCKET, SO_PROTOCOL) != IPPROTO_TCP ||
      (domain != AF_INET && domain != AF_INET6))
    return Error{Errc::invalid_argument, kOp, ReasonCode::not_a_tcp_socket};

  sockaddr_storage storage{};
  socklen_t length = sizeof storage;
  if (::getsockname(socket_fd, reinterpret_cast<sockaddr*>(&storage), &length) != 0)
    return os_error("getsockname");
  FlowKey key;
  key.family = read_end(reinterpret_cast<const sockaddr*>(&storage), key.local);
  if (key.local.port == 0)
    return Error{Errc::invalid_argument, kOp, ReasonCode::not_connected}.with(
        "the socket is neither bound nor connected");

  sockaddr_storage peer{};
  length = sizeof peer;
  if (remote == nullptr &&
      ::getpeername(socket_fd, reinterpret_cast<sockaddr*>(&peer), &length) == 0)
    remote = reinterpret_cast<const sockaddr*>(&peer);
  if (remote != nullptr) {
    // The remote end has the family of the wire, also where the local one is still open.
    key.family = read_end(remote, key.remote);
    key.any_remote = false;
    return std::vector<FlowKey>{key};
  }
  std::vector<FlowKey> keys{key};
  const bool both = domain == AF_INET6 && key.local.any_address && key.family == AF_INET6 &&
                    option(socket_fd, IPPROTO_IPV6, IPV6_V6ONLY) == 0;
  if (both) {
    key.family = AF_INET;
    keys.push_back(key);
  }
  return keys;
}

Rule rule_of(const FlowKey& key, std::uint32_t queue_id) {
  Rule rule;
  ethtool_rx_flow_spec& spec = rule.spec;
  spec.location = RX_CLS_LOC_ANY;
  spec.ring_cookie = queue_id;
  if (key.family == AF_INET) {
    spec.flow_type = TCP_V4_FLOW;
    auto &value = spec.h_u.tcp_ip4_spec, &mask = spec.m_u.tcp_ip4_spec;
    want_ports(value, mask, key);
    if (!key.local.any_address) want(value.ip4dst, mask.ip4dst, key.local.address.data());
    if (!key.any_remote) want(value.ip4src, mask.ip4src, key.remote.address.data());
  } else {
    spec.flow_type = TCP_V6_FLOW;
    auto &value = spec.h_u.tcp_ip6_spec, &mask = spec.m_u.tcp_ip6_spec;
    want_ports(value, mask, key);
    if (!key.local.any_address) want(value.ip6dst, mask.ip6dst, key.local.address.data());
    if (!key.any_remote) want(value.ip6src, mask.ip6src, key.remote.address.data());
  }
  return rule;
}

bool takes_all(const Rule& rule, const FlowKey& key) {
  const ethtool_rx_flow_spec& s = rule.spec;
  const bool v4 = key.family == AF_INET;
  // A protocol of 0 in a rule of any IP stands for all.
  const auto protocol_fits = [](std::uint8_t value, std::uint8_t mask) {
    return ((value ^ IPPROTO_TCP) & mask) == 0;
  };
  switch (s.flow_type & ~(FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS)) {
    case TCP_V4_FLOW:
      return v4 && ports_take(s.h_u.tcp_ip4_spec, s.m_u.tcp_ip4_spec, key) &&
             addresses4_take(s.h_u.tcp_ip4_spec, s.m_u.tcp_ip4_spec, key);
    case TCP_V6_FLOW:
      return !v4 && ports_take(s.h_u.tcp_ip6_spec, s.m_u.tcp_ip6_spec, key) &&
             addresses6_take(s.h_u.tcp_ip6_spec, s.m_u.tcp_ip6_spec, key);
    case IP_USER_FLOW:
      return v4 && addresses4_take(s.h_u.usr_ip4_spec, s.m_u.usr_ip4_spec, key) &&
             protocol_fits(s.h_u.usr_ip4_spec.proto, s.m_u.usr_ip4_spec.proto);
    case IPV6_USER_FLOW:
      return !v4 && addresses6_take(s.h_u.usr_ip6_spec, s.m_u.usr_ip6_spec, key) &&
             protocol_fits(s.h_u.usr_ip6_spec.l4_proto, s.m_u.usr_ip6_spec.l4_proto);
    default:
      return false;
  }
}

}  // namespace landfall::nic
