// SPDX-License-Identifier: Apache-2.0
#include "policy/bind.hpp"

#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <utility>

#include "base/nearest.hpp"
#include "policy/scalars.hpp"
#include "policy/shape.hpp"

namespace landfall::policy {
namespace {

// --- single values of nodes that have their form

std::uint64_t integer_of(const YamlNode& node) {
  return read_integer(node.text).value_or(0);
}
std::uint32_t small_of(const YamlNode& node) {
  return static_cast<std::uint32_t>(integer_of(node));
}
std::uint64_t size_of(const YamlNode& node) {
  return node.kind == YamlNode::Kind::integer ? integer_of(node) : read_size(node.text).value_or(0);
}
std::vector<std::uint32_t> integers_of(const YamlNode& node) {
  std::vector<std::uint32_t> values;
  for (const YamlNode& item : node.items) values.push_back(small_of(item));
  return values;
}
std::vector<std::string> words_of(const YamlNode& node) {
  std::vector<std::string> values;
  for (const YamlNode& item : node.items) values.push_back(item.text);
  return values;
}
std::string text_of(const YamlNode& map, std::string_view key) {
  const YamlNode* node = map.find(key);
  return node == nullptr ? std::string{} : node->text;
}
std::optional<std::uint32_t> optional_of(const YamlNode& map, std::string_view key) {
  const YamlNode* node = map.find(key);
  return node == nullptr ? std::nullopt : std::optional{small_of(*node)};
}

CopyContract contract_of(const YamlNode& node) {
  using Kind = CopyContract::Kind;
  CopyContract contract;
  const bool is_word = node.kind == YamlNode::Kind::string;
  const std::string& kind = is_word ? node.text : node.keys.front().name;
  contract.kind = kind == "require_direct"  ? Kind::require_direct
                  : kind == "prefer_direct" ? Kind::prefer_direct
                                            : Kind::allow_copy;
  if (is_word) return contract;
  const YamlNode& limits = node.items.front();
  if (const YamlNode* share = limits.find("max_linear"))
    contract.max_linear_ppm = read_share(share->text).value_or(0);
  if (const YamlNode* share = limits.find("max_copied"))
    contract.max_copied_ppm = read_share(share->text).value_or(0);
  return contract;
}

class Binder {
 public:
  explicit Binder(Finder& finder) : finder_{finder} {}

  Policy take(const YamlNode& root) {
    each(root, "memory",
         [&](const YamlNode& node, const std::string& path, const std::string& name) {
           memory(node, path, name);
         });
    each(root, "receivers",
         [&](const YamlNode& node, const std::string& path, const std::string& name) {
           receiver(node, path, name);
         });
    each(root, "flows", [&](const YamlNode& node, const std::string& path, const std::string&) {
      flow(node, path);
    });
    if (const YamlNode* node = root.find("steering")) {
      if (text_of(*node, "rss") == "keep") policy_.steering.rss = Policy::Steering::Rss::keep;
      if (text_of(*node, "on_conflict") == "precede")
        policy_.steering.on_conflict = Policy::Steering::OnConflict::precede;
    }
    each(root, "access", [&](const YamlNode& node, const std::string& path, const std::string&) {
      access(node, path);
    });
    return std::move(policy_);
  }

 private:
  /// Each entry of a map or list under `key`.
  template <class Call>
  void each(const YamlNode& root, std::string_view key, Call call) {
    const YamlNode* node = root.find(key);
    if (node == nullptr) return;
    for (std::size_t i = 0; i < node->items.size(); ++i) {
      const bool named = node->kind == YamlNode::Kind::map;
      const std::string name = named ? node->keys[i].name : std::string{};
      call(node->items[i],
           named ? path_of(std::string{key}, name)
                 : std::string{key} + "[" + std::to_string(i) + "]",
           name);
    }
  }

  void conflict(const YamlNode& node, const std::string& path, std::string message,
                std::string hint = {}) {
    finder_.add(ReasonCode::policy_conflict, node.place, path, std::move(message), std::move(hint));
  }

  template <class Named>
  bool refers(const YamlNode& node, const std::string& path, const char* what,
              const std::vector<Named>& all) {
    std::vector<std::string_view> names;
    for (const Named& one : all) {
      if (one.name == node.text) return true;
      names.push_back(one.name);
    }
    const std::string_view near = detail::nearest(node.text, names);
    finder_.add(ReasonCode::policy_name_unknown, node.place, path,
                std::string{"there is no "} + what + " " + quoted(node.text),
                near.empty() ? "" : "did you mean '" + std::string{near} + "'?");
    return false;
  }

  std::uint64_t page_size(const YamlNode& map, const std::string& path, const char* key) {
    const YamlNode* node = map.find(key);
    if (node == nullptr) return 0;
    const std::uint64_t bytes = size_of(*node);
    if (!std::has_single_bit(bytes) || bytes < 4096) {
      conflict(*node, path_of(path, key), "a page has 4KiB, or that times a power of two",
               "4KiB, 16KiB, 2MiB, 1GiB");
    }
    return bytes;
  }

  void memory(const YamlNode& node, const std::string& path, const std::string& name) {
    Policy::Memory memory;
    memory.name = name;
    memory.source = text_of(node, "source");
    memory.size_bytes = size_of(*node.find("size"));
    memory.page_bytes = page_size(node, path, "page_size");
    memory.device = optional_of(node, "device");
    memory.numa_node = optional_of(node, "numa_node");
    memory.heap = text_of(node, "heap");
    memory.locked = text_of(node, "locked") == "true";
    const std::uint64_t page = std::max<std::uint64_t>(memory.page_bytes, 4096);
    if (memory.size_bytes % page != 0) {
      conflict(*node.find("size"), path_of(path, "size"),
               "the size is not whole pages of " + std::to_string(page) + " bytes");
    }
    policy_.memories.push_back(std::move(memory));
  }

  void receiver(const YamlNode& node, const std::string& path, const std::string& name) {
    using HeaderSplit = Policy::Receiver::HeaderSplit;
    Policy::Receiver receiver;
    receiver.name = name;
    receiver.interface = text_of(node, "interface");
    receiver.memory = text_of(node, "memory");
    refers(*node.find("memory"), path_of(path, "memory"), "memory", policy_.memories);
    queues(*node.find("queues"), path_of(path, "queues"), receiver);
    if (const YamlNode* list = node.find("transports")) receiver.transports = words_of(*list);
    if (const YamlNode* list = node.find("also")) receiver.also = words_of(*list);
    if (const YamlNode* placement = node.find("placement"))
      receiver.contract = contract_of(*placement);
    receiver.header_split_threshold_bytes = optional_of(node, "header_split_threshold");
    if (const YamlNode* split = node.find("header_split")) {
      receiver.header_split = split->text == "required" ? HeaderSplit::required
                              : split->text == "none"   ? HeaderSplit::none
                                                        : HeaderSplit::keep;
      if (receiver.header_split == HeaderSplit::none &&
          receiver.contract.kind == CopyContract::Kind::require_direct) {
        conflict(*split, path_of(path, "header_split"),
                 "placement requires direct bytes, which no NIC gives without header split",
                 "header_split: required");
      }
    }
    receiver.ring_entries = optional_of(node, "ring");
    receiver.rx_page_bytes = page_size(node, path, "rx_page_size");
    if (const YamlNode* cpus = node.find("cpus")) receiver.cpus = integers_of(*cpus);
    receiver.numa_node = optional_of(node, "numa_node");
    if (const YamlNode* cpus = node.find("cpus"); cpus != nullptr && receiver.numa_node) {
      conflict(*cpus, path_of(path, "cpus"), "'cpus' and 'numa_node' say where to receive twice",
               "keep one of them");
    }
    if (const YamlNode* poll = node.find("busy_poll"))
      receiver.busy_poll = read_duration(poll->text).value_or(receiver.busy_poll);
    policy_.receivers.push_back(std::move(receiver));
  }

  void queues(const YamlNode& node, const std::string& path, Policy::Receiver& receiver) {
    if (node.kind == YamlNode::Kind::integer) {
      receiver.queues = small_of(node);
      return;
    }
    receiver.queue_ids = integers_of(node);
    for (std::size_t i = 0; i < receiver.queue_ids.size(); ++i) {
      const auto [owner, is_new] = queue_owners_.try_emplace(
          std::pair{receiver.interface, receiver.queue_ids[i]}, receiver.name);
      if (is_new) continue;
      conflict(node.items[i], path + "[" + std::to_string(i) + "]",
               "queue " + std::to_string(receiver.queue_ids[i]) + " of " + receiver.interface +
                   " belongs to the receiver '" + owner->second + "'");
    }
  }

  void flow(const YamlNode& node, const std::string& path) {
    Policy::Flow flow;
    const YamlNode& match = *node.find("match");
    const std::string match_path = path_of(path, "match");
    if (text_of(match, "proto") == "udp") flow.protocol = Policy::Flow::Protocol::udp;
    flow.source = prefix(match, match_path, "src_ip");
    flow.destination = prefix(match, match_path, "dst_ip");
    flow.source_ports = ports(match, match_path, "src_port");
    flow.destination_ports = ports(match, match_path, "dst_port");
    families(match, match_path, flow);
    if (!flow.source && !flow.destination && !flow.source_ports && !flow.destination_ports) {
      conflict(match, match_path, "this matches every packet, the host's own too",
               "name an address or a port");
    }
    const YamlNode& to = *node.find("to");
    flow.to = to.text;
    flow.queue = optional_of(node, "queue");
    if (refers(to, path_of(path, "to"), "receiver", policy_.receivers) && flow.queue)
      pinned(*node.find("queue"), path_of(path, "queue"), flow);
    for (std::size_t i = 0; i < policy_.flows.size(); ++i) {
      const Policy::Flow& other = policy_.flows[i];
      if (std::tie(flow.protocol, flow.ipv4, flow.ipv6, flow.source, flow.destination,
                   flow.source_ports, flow.destination_ports) ==
          std::tie(other.protocol, other.ipv4, other.ipv6, other.source, other.destination,
                   other.source_ports, other.destination_ports)) {
        conflict(match, match_path, "flows[" + std::to_string(i) + "] matches the same packets",
                 "remove one of the two");
        break;
      }
    }
    policy_.flows.push_back(std::move(flow));
  }

  std::optional<Policy::Prefix> prefix(const YamlNode& match, const std::string& path,
                                       const char* key) {
    const YamlNode* node = match.find(key);
    if (node == nullptr) return std::nullopt;
    auto prefix = read_prefix(node->text);
    if (!prefix) return std::nullopt;
    const std::size_t bytes = prefix->is_ipv6 ? 16 : 4;
    for (std::size_t i = 0; i < bytes; ++i) {
      const int kept = std::clamp(static_cast<int>(prefix->bits) - static_cast<int>(8 * i), 0, 8);
      if ((prefix->address[i] & (0xFFu >> kept)) == 0) continue;
      conflict(*node, path_of(path, key),
               quoted(node->text) + " has bits beyond the first " + std::to_string(prefix->bits),
               "write the network's address, or the one address without '/'");
      break;
    }
    return prefix;
  }

  std::optional<Policy::Ports> ports(const YamlNode& match, const std::string& path,
                                     const char* key) {
    const YamlNode* node = match.find(key);
    if (node == nullptr) return std::nullopt;
    if (node->kind == YamlNode::Kind::integer) {
      const auto port = static_cast<std::uint16_t>(integer_of(*node));
      return Policy::Ports{port, port};
    }
    const auto range = read_port_range(node->text);
    if (range && range->first > range->last) {
      conflict(*node, path_of(path, key), "the range begins above its end",
               std::to_string(range->last) + "-" + std::to_string(range->first));
    }
    return range;
  }

  void families(const YamlNode& match, const std::string& path, Policy::Flow& flow) {
    const YamlNode* family = match.find("family");
    flow.ipv4 = family == nullptr || family->text == "ipv4";
    flow.ipv6 = family == nullptr || family->text == "ipv6";
    for (const char* key : {"src_ip", "dst_ip"}) {
      const auto& address = std::string_view{key} == "src_ip" ? flow.source : flow.destination;
      if (!address) continue;
      (address->is_ipv6 ? flow.ipv4 : flow.ipv6) = false;
      if (!flow.ipv4 && !flow.ipv6) {
        conflict(*match.find(key), path_of(path, key),
                 std::string{"an "} + (address->is_ipv6 ? "IPv6" : "IPv4") +
                     " address beside one, or a family, of the other kind",
                 "no packet has both");
      }
    }
  }

  void pinned(const YamlNode& node, const std::string& path, const Policy::Flow& flow) {
    const Policy::Receiver& receiver = *policy_.find_receiver(flow.to);
    if (receiver.queue_ids.empty()) {
      conflict(node, path, "the receiver '" + flow.to + "' names no queues, only how many",
               "give it a list of queues, or leave 'queue' out");
    } else if (std::ranges::find(receiver.queue_ids, *flow.queue) == receiver.queue_ids.end()) {
      conflict(node, path,
               "the receiver '" + flow.to + "' has no queue " + std::to_string(*flow.queue));
    }
  }

  void access(const YamlNode& node, const std::string& path) {
    Policy::Access access;
    access.user = text_of(node, "user");
    access.group = text_of(node, "group");
    const YamlNode& receivers = *node.find("receivers");
    access.receivers = words_of(receivers);
    for (std::size_t i = 0; i < receivers.items.size(); ++i) {
      refers(receivers.items[i], path_of(path, "receivers") + "[" + std::to_string(i) + "]",
             "receiver", policy_.receivers);
    }
    if (const YamlNode* memory = node.find("max_memory"))
      access.max_memory_bytes = size_of(*memory);
    access.max_flows = optional_of(node, "max_flows");
    access.max_rules = optional_of(node, "max_rules");
    policy_.access.push_back(std::move(access));
  }

  Finder& finder_;
  Policy policy_;
  std::map<std::pair<std::string, std::uint32_t>, std::string> queue_owners_;
};

}  // namespace

Policy bind(const YamlNode& root, Finder& finder) {
  return Binder{finder}.take(root);
}

}  // namespace landfall::policy
