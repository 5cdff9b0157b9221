// SPDX-License-Identifier: Apache-2.0
#include "policy/generated.hpp"

#include <algorithm>
#include <array>

#include "policy/reader.hpp"

namespace landfall::policy::test {
namespace {

std::uint64_t below(Random& random, std::uint64_t end) {
  return random() % end;
}
bool maybe(Random& random) {
  return below(random, 2) == 0;
}
template <std::size_t kSize>
std::string one_of(Random& random, const std::array<const char*, kSize>& texts) {
  return texts[below(random, kSize)];
}

YamlNode scalar(std::string text) {
  YamlNode node;
  node.kind = kind_of_plain(text);
  node.text = std::move(text);
  return node;
}
YamlNode number(std::uint64_t value) {
  return scalar(std::to_string(value));
}
YamlNode collection(YamlNode::Kind kind) {
  YamlNode node;
  node.kind = kind;
  return node;
}
void put(YamlNode& map, std::string key, YamlNode value) {
  map.keys.push_back({std::move(key), {}});
  map.items.push_back(std::move(value));
}
YamlNode list_of(std::vector<std::string> texts) {
  YamlNode list = collection(YamlNode::Kind::list);
  for (std::string& text : texts) list.items.push_back(scalar(std::move(text)));
  return list;
}

constexpr std::array kSizes{"4KiB", "64KiB", "2MiB", "1GiB", "999999TiB", "4096", "1073741824"};
constexpr std::array kPages{"4KiB", "16KiB", "2MiB", "4096"};
constexpr std::array kShares{"0%", "1%", "0.25%", "100%", "99.9999%"};
constexpr std::array kSources{"host", "hugepage", "udmabuf", "dma-heap", "cuda", "my_own"};
constexpr std::array kTransports{"devmem-tcp", "zcrx", "tcp", "verbs", "ofi"};
constexpr std::array kV4{"192.0.2.7", "192.0.2.0/24", "0.0.0.0/0", "255.255.255.255/32"};
constexpr std::array kV6{"2001:db8::7", "2001:db8::/32", "::1", "1:2:3:4:5:6:7:8", "fe80::/10"};
constexpr std::array kDurations{"50us", "2ms", "1s"};
constexpr std::array kInterfaces{"eth0", "enp65s0f0np0", "mlx5.100", "lo"};

YamlNode memory(Random& random) {
  YamlNode map = collection(YamlNode::Kind::map);
  put(map, "source", scalar(one_of(random, kSources)));
  const bool pages = maybe(random);
  put(map, "size", scalar(pages ? "4GiB" : one_of(random, kSizes)));
  if (pages) put(map, "page_size", scalar(one_of(random, kPages)));
  if (maybe(random)) put(map, "device", number(below(random, 256)));
  if (maybe(random)) put(map, "heap", scalar("system"));
  if (maybe(random)) put(map, "numa_node", number(below(random, 1024)));
  if (maybe(random)) put(map, "locked", scalar(maybe(random) ? "true" : "false"));
  return map;
}

YamlNode placement(Random& random) {
  constexpr std::array kWords{"require_direct", "prefer_direct", "allow_copy"};
  if (maybe(random)) return scalar(one_of(random, kWords));
  const bool require = maybe(random);
  YamlNode limits = collection(YamlNode::Kind::map), map = collection(YamlNode::Kind::map);
  if (maybe(random))
    put(limits, require ? "max_linear" : "max_copied", scalar(one_of(random, kShares)));
  put(map, require ? "require_direct" : "prefer_direct", std::move(limits));
  return map;
}

/// Its queues begin at `first_queue`, so that no two receivers share one.
YamlNode receiver(Random& random, std::uint64_t memories, std::uint64_t first_queue) {
  YamlNode map = collection(YamlNode::Kind::map);
  put(map, "interface", scalar(one_of(random, kInterfaces)));
  const std::uint64_t queues = 1 + below(random, 8);
  if (maybe(random)) {
    put(map, "queues", number(queues));
  } else {
    std::vector<std::string> ids;
    for (std::uint64_t i = 0; i < queues; ++i) ids.push_back(std::to_string(first_queue + i));
    put(map, "queues", list_of(std::move(ids)));
  }
  put(map, "memory", scalar("m" + std::to_string(below(random, memories))));
  std::vector<std::string> transports{kTransports.begin(), kTransports.end()};
  std::ranges::shuffle(transports, random);
  transports.resize(1 + below(random, transports.size()));
  if (maybe(random)) put(map, "transports", list_of(transports));
  if (maybe(random)) put(map, "also", list_of({"verbs"}));
  if (maybe(random)) put(map, "placement", placement(random));
  if (maybe(random)) put(map, "header_split", scalar(maybe(random) ? "required" : "keep"));
  if (maybe(random)) put(map, "header_split_threshold", number(below(random, 65536)));
  if (maybe(random)) put(map, "ring", number(1 + below(random, 1 << 20)));
  if (maybe(random)) put(map, "rx_page_size", scalar(one_of(random, kPages)));
  if (maybe(random))
    put(map, "numa_node", number(0));
  else if (maybe(random))
    put(map, "cpus", list_of({"2", "3"}));
  if (maybe(random)) put(map, "busy_poll", scalar(one_of(random, kDurations)));
  return map;
}

/// No two of them match the same: each has a source port of its own.
YamlNode flow(Random& random, std::uint64_t receivers, std::uint64_t index) {
  YamlNode match = collection(YamlNode::Kind::map), map = collection(YamlNode::Kind::map);
  const bool v6 = maybe(random);
  if (maybe(random)) put(match, "proto", scalar(maybe(random) ? "tcp" : "udp"));
  if (maybe(random)) put(match, "family", scalar(v6 ? "ipv6" : "ipv4"));
  if (maybe(random)) put(match, "src_ip", scalar(v6 ? one_of(random, kV6) : one_of(random, kV4)));
  if (maybe(random)) put(match, "dst_ip", scalar(v6 ? one_of(random, kV6) : one_of(random, kV4)));
  put(match, "src_port", number(1 + index));
  if (maybe(random)) put(match, "dst_port", scalar(maybe(random) ? "5201" : "5201-5210"));
  put(map, "match", std::move(match));
  put(map, "to", scalar("r" + std::to_string(below(random, receivers))));
  return map;
}

/// A value that is right hardly anywhere, or on the edge.
YamlNode odd_value(Random& random) {
  constexpr std::array kTexts{"0",
                              "1",
                              "2",
                              "-1",
                              "256",
                              "257",
                              "65535",
                              "65536",
                              "1048576",
                              "1048577",
                              "9007199254740991",
                              "9007199254740992",
                              "1.5",
                              "1e3",
                              "true",
                              "false",
                              "null",
                              "tcp",
                              "udp",
                              "ipv4",
                              "keep",
                              "required",
                              "none",
                              "exclude",
                              "refuse",
                              "precede",
                              "allow_copy",
                              "64KiB",
                              "64kB",
                              "0KiB",
                              "1000000KiB",
                              "64 KiB",
                              "1%",
                              "100%",
                              "100.00001%",
                              "101%",
                              "0.1234%",
                              "50us",
                              "0us",
                              "1m",
                              "5201-5210",
                              "5210-5201",
                              "0-5",
                              "1-65536",
                              "192.0.2.7",
                              "192.0.2.7/33",
                              "192.0.2.07",
                              "256.1.1.1",
                              "1.2.3",
                              "::",
                              "1::",
                              "1:2:3:4:5:6:7::",
                              "::2:3:4:5:6:7:8",
                              "1:2:3:4:5:6:7:8:9",
                              "1::2::3",
                              "2001:db8::/128",
                              "2001:db8::/129",
                              "::ffff:192.0.2.7",
                              "12345::",
                              "g::",
                              "a",
                              "A",
                              "a b",
                              "a.b",
                              "1a",
                              "-a",
                              "eth0",
                              "a_name-9",
                              "",
                              " ",
                              "sixteen-chars-xx",
                              "system",
                              "linux,cma"};
  switch (below(random, 8)) {
    case 0:
      return collection(YamlNode::Kind::list);
    case 1:
      return collection(YamlNode::Kind::map);
    case 2:
      return list_of({"1", "1"});
    case 3:
      return list_of({"ingest", "2"});
    default: {
      YamlNode node = scalar(one_of(random, kTexts));
      if (below(random, 6) == 0) node.kind = YamlNode::Kind::string;  // in quotes
      return node;
    }
  }
}

void all_of(YamlNode& node, std::vector<YamlNode*>& all) {
  all.push_back(&node);
  for (YamlNode& item : node.items) all_of(item, all);
}

bool is_plain(const YamlNode& node) {
  const auto safe = [](char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' ||
           c == '_' || c == '/' || c == '%' || c == '+' || c == '-';
  };
  return node.kind == kind_of_plain(node.text) && !node.text.empty() && node.text[0] != '%' &&
         (node.text[0] != '-' || node.text.size() > 1) && std::ranges::all_of(node.text, safe);
}
std::string text_of(const YamlNode& node) {
  if (node.kind == YamlNode::Kind::null) return "null";
  return is_plain(node) ? node.text : "'" + node.text + "'";
}

void print(const YamlNode& node, Random& random, bool flow_style, std::size_t indent,
           std::string& yaml) {
  if (node.is_scalar()) {
    yaml += " " + text_of(node) + (flow_style ? "" : "\n");
    return;
  }
  const bool map = node.kind == YamlNode::Kind::map;
  const bool ends = !flow_style;  // the line, where a block holds it
  flow_style = flow_style || node.items.empty() || below(random, 4) == 0;
  yaml += flow_style ? (map ? " {" : " [") : "\n";
  for (std::size_t i = 0; i < node.items.size(); ++i) {
    if (flow_style && i > 0) yaml += ",";
    if (!flow_style) yaml += std::string(indent, ' ') + (map ? "" : "-");
    if (map) yaml += (flow_style ? " " : "") + text_of(scalar(node.keys[i].name)) + ":";
    print(node.items[i], random, flow_style, indent + 2, yaml);
  }
  if (flow_style) yaml += std::string{map ? "}" : "]"} + (ends ? "\n" : "");
}

}  // namespace

YamlNode valid_policy(Random& random) {
  YamlNode root = collection(YamlNode::Kind::map), memories = root, receivers = root,
           steering = root;
  YamlNode flows = collection(YamlNode::Kind::list), access = flows;
  const std::uint64_t memory_count = 1 + below(random, 3), receiver_count = 1 + below(random, 4);
  for (std::uint64_t i = 0; i < memory_count; ++i)
    put(memories, "m" + std::to_string(i), memory(random));
  for (std::uint64_t i = 0; i < receiver_count; ++i)
    put(receivers, "r" + std::to_string(i), receiver(random, memory_count, 8 * i));
  for (std::uint64_t i = 0; i < below(random, 5); ++i)
    flows.items.push_back(flow(random, receiver_count, i));
  if (maybe(random)) put(steering, "rss", scalar(maybe(random) ? "exclude" : "keep"));
  if (maybe(random)) put(steering, "on_conflict", scalar(maybe(random) ? "refuse" : "precede"));
  for (std::uint64_t i = 0; i < below(random, 3); ++i) {
    YamlNode entry = collection(YamlNode::Kind::map);
    put(entry, maybe(random) ? "user" : "group", scalar("ingest"));
    put(entry, "receivers", list_of({"r0"}));
    if (maybe(random)) put(entry, "max_memory", scalar(one_of(random, kSizes)));
    if (maybe(random)) put(entry, "max_flows", number(below(random, 1 << 20)));
    if (maybe(random)) put(entry, "max_rules", number(0));
    access.items.push_back(std::move(entry));
  }
  put(root, "version", number(1));
  put(root, "memory", std::move(memories));
  put(root, "receivers", std::move(receivers));
  if (maybe(random)) put(root, "flows", std::move(flows));
  if (maybe(random)) put(root, "steering", std::move(steering));
  if (maybe(random)) put(root, "access", std::move(access));
  return root;
}

void mutate(YamlNode& root, Random& random) {
  std::vector<YamlNode*> all;
  all_of(root, all);
  YamlNode& node = *all[below(random, all.size())];
  const std::uint64_t how = below(random, 5);
  if (node.items.empty() || how == 0) {
    node = odd_value(random);
    return;
  }
  const std::size_t at = below(random, node.items.size());
  const bool map = node.kind == YamlNode::Kind::map;
  if (how == 1) {
    node.items.erase(node.items.begin() + static_cast<std::ptrdiff_t>(at));
    if (map) node.keys.erase(node.keys.begin() + static_cast<std::ptrdiff_t>(at));
  } else if (how == 2 && map) {
    node.keys[at].name += "x";
  } else if (how == 3 && !map) {
    node.items.push_back(node.items[at]);
  } else {
    node.items[at] = odd_value(random);
  }
}

std::string yaml_of(const YamlNode& root, Random& random) {
  std::string yaml;
  print(root, random, false, 0, yaml);
  return yaml;
}

}  // namespace landfall::policy::test
