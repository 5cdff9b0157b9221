// SPDX-License-Identifier: Apache-2.0
#include "nic/step.hpp"

#include <arpa/inet.h>

#include <algorithm>
#include <bit>
#include <cstring>
#include <optional>
#include <utility>

#include "nic/ethtool_ioctl.hpp"

namespace landfall::nic {
namespace {

using What = Step::What;

std::string on_off(std::uint64_t value) {
  return value != 0 ? "on" : "off";
}

/// "queues 0-5", "0, 2": where a table leads.
std::string queues_of(const std::vector<std::uint32_t>& table) {
  if (table.empty()) return "the driver's own";
  std::vector<std::uint32_t> queues = table;
  std::ranges::sort(queues);
  queues.erase(std::unique(queues.begin(), queues.end()), queues.end());
  std::string text = queues.size() == 1 ? "queue " : "queues ";
  for (std::size_t i = 0; i < queues.size();) {
    std::size_t end = i;
    while (end + 1 < queues.size() && queues[end + 1] == queues[end] + 1) ++end;
    text += (i == 0 ? "" : ",") + std::to_string(queues[i]);
    if (end != i) text += "-" + std::to_string(queues[end]);
    i = end + 1;
  }
  return text;
}

/// "192.0.2.0/24", "" where the mask lets all through.
std::string address_text(sa_family_t family, const void* value, const void* mask) {
  const std::size_t size = family == AF_INET ? 4 : 16;
  std::uint8_t bytes[16]{};
  std::memcpy(bytes, mask, size);
  int bits = 0;
  for (std::size_t i = 0; i < size; ++i) bits += std::popcount(bytes[i]);
  if (bits == 0) return "";
  char text[INET6_ADDRSTRLEN]{};
  ::inet_ntop(family, value, text, sizeof text);
  const bool whole = bits == static_cast<int>(size) * 8;
  return whole ? std::string{text} : std::string{text} + "/" + std::to_string(bits);
}

std::string port_text(std::uint16_t value, std::uint16_t mask) {
  return mask == 0 ? "" : std::to_string(ntohs(value));
}

std::string side_text(const char* word, const std::string& address, const std::string& port) {
  if (address.empty() && port.empty()) return "";
  std::string text = std::string{" "} + word;
  if (!address.empty()) text += " " + address;
  if (!port.empty()) text += " port " + port;
  return text;
}

template <class Spec>
std::string match4(const char* protocol, const Spec& v, const Spec& m) {
  return protocol +
         side_text("to", address_text(AF_INET, &v.ip4dst, &m.ip4dst), port_text(v.pdst, m.pdst)) +
         side_text("from", address_text(AF_INET, &v.ip4src, &m.ip4src), port_text(v.psrc, m.psrc));
}
template <class Spec>
std::string match6(const char* protocol, const Spec& v, const Spec& m) {
  return std::string{protocol} + "6" +
         side_text("to", address_text(AF_INET6, &v.ip6dst, &m.ip6dst), port_text(v.pdst, m.pdst)) +
         side_text("from", address_text(AF_INET6, &v.ip6src, &m.ip6src), port_text(v.psrc, m.psrc));
}

std::optional<std::uint64_t> value_of(const Settings& now, What what) {
  switch (what) {
    case What::ntuple:
      return now.ntuple;
    case What::channels:
      return now.channels;
    case What::rx_ring:
      return now.rx_ring;
    case What::header_split:
      if (now.header_split == HeaderSplit::unknown) return std::nullopt;
      return now.header_split == HeaderSplit::on ? 1 : 0;
    case What::hds_threshold:
      return now.hds_threshold_bytes;
    default:
      return std::nullopt;
  }
}

bool table_is(const Settings& now, const std::vector<std::uint32_t>& table) {
  if (table.empty()) return now.has_default_table();
  return !now.rss.empty() && now.rss.front().table == table;
}

Effect audit_context(Step& step, const Settings& now, const Settings* before) {
  if (step.id != 0) {
    const RssContext* found = now.context(step.id);
    if (found == nullptr) return Effect::absent;
    return found->table == step.to_table ? Effect::present : Effect::neither;
  }
  for (const RssContext& one : now.rss) {
    if (one.id == 0 || one.table != step.to_table) continue;
    if (before != nullptr && before->context(one.id) != nullptr) continue;
    step.id = one.id;
    return Effect::present;
  }
  return Effect::absent;
}

Effect audit_rule(Step& step, const Settings& now, const Settings* before) {
  const auto is_it = [&](const Rule& rule) {
    return same_match(rule.spec, step.rule.spec) && leads_alike(rule, step.rule);
  };
  if (step.rule.spec.location != RX_CLS_LOC_ANY) {
    const Rule* found = now.rule_at(step.rule.spec.location);
    if (found == nullptr) return Effect::absent;
    return is_it(*found) ? Effect::present : Effect::neither;
  }
  for (const Rule& rule : now.rules) {
    if (!is_it(rule)) continue;
    const Rule* old = before == nullptr ? nullptr : before->rule_at(rule.spec.location);
    if (old != nullptr && same_rule(*old, rule)) continue;
    step.rule.spec.location = rule.spec.location;
    return Effect::present;
  }
  return Effect::absent;
}

}  // namespace

const char* name_of(What what) noexcept {
  switch (what) {
    case What::ntuple:
      return "ntuple";
    case What::channels:
      return "channels";
    case What::rx_ring:
      return "rx_ring";
    case What::header_split:
      return "header_split";
    case What::hds_threshold:
      return "hds_threshold";
    case What::rss_table:
      return "rss_table";
    case What::rss_context:
      return "rss_context";
    case What::rule:
      return "rule";
  }
  return "";
}

std::string describe_match(const Rule& rule) {
  const auto& h = rule.spec.h_u;
  const auto& m = rule.spec.m_u;
  switch (rule.spec.flow_type & ~(FLOW_EXT | FLOW_MAC_EXT | FLOW_RSS)) {
    case TCP_V4_FLOW:
      return match4("tcp", h.tcp_ip4_spec, m.tcp_ip4_spec);
    case UDP_V4_FLOW:
      return match4("udp", h.udp_ip4_spec, m.udp_ip4_spec);
    case TCP_V6_FLOW:
      return match6("tcp", h.tcp_ip6_spec, m.tcp_ip6_spec);
    case UDP_V6_FLOW:
      return match6("udp", h.udp_ip6_spec, m.udp_ip6_spec);
    default:
      return "flow type " + std::to_string(rule.spec.flow_type);
  }
}

std::string describe(const Step& step) {
  const auto change = [&](const char* what, const std::string& from, const std::string& to) {
    return std::string{what} + " " + from + " -> " + to;
  };
  const auto numbers = [&](const char* what, const char* unit) {
    return change(what, std::to_string(step.from), std::to_string(step.to) + unit);
  };
  switch (step.what) {
    case What::ntuple:
      return change("n-tuple steering", on_off(step.from), on_off(step.to));
    case What::channels:
      return numbers("channels", "");
    case What::rx_ring:
      return numbers("RX ring", " descriptors");
    case What::header_split:
      return change("header split", on_off(step.from), on_off(step.to));
    case What::hds_threshold:
      return numbers("header split threshold", " bytes");
    case What::rss_table:
      return change("RSS table", queues_of(step.from_table), queues_of(step.to_table));
    case What::rss_context:
      return "RSS context \"" + step.context + "\" over " + queues_of(step.to_table);
    case What::rule:
      return "rule " + describe_match(step.rule) + " to " +
             (step.context.empty() ? "queue " + std::to_string(step.rule.spec.ring_cookie)
                                   : "context \"" + step.context + "\"");
  }
  return "";
}

Step inverse(Step step) {
  std::swap(step.from, step.to);
  if (step.is_setting()) std::swap(step.from_table, step.to_table);
  if (!step.is_setting()) step.removes = !step.removes;
  return step;
}

bool same_subject(const Step& a, const Step& b) noexcept {
  if (a.what != b.what || a.interface_index != b.interface_index) return false;
  if (a.is_setting()) return true;
  if (a.what == What::rss_context) return a.id == b.id && a.context == b.context;
  return a.rule.spec.location == b.rule.spec.location && same_match(a.rule.spec, b.rule.spec);
}

bool begins_at(const Step& step, const Settings& now) {
  if (step.what == What::rss_table) return table_is(now, step.from_table);
  if (step.is_setting()) return value_of(now, step.what) == step.from;
  Step probe = step;
  return !step.removes || audit(probe, now, nullptr) == Effect::absent;
}

Effect audit(Step& step, const Settings& now, const Settings* before) {
  if (!step.is_setting()) {
    const Effect there =
        step.what == What::rule ? audit_rule(step, now, before) : audit_context(step, now, before);
    if (!step.removes || there == Effect::neither) return there;
    return there == Effect::present ? Effect::absent : Effect::present;
  }
  if (step.what == What::rss_table) {
    if (table_is(now, step.to_table)) return Effect::present;
    return table_is(now, step.from_table) ? Effect::absent : Effect::neither;
  }
  const auto value = value_of(now, step.what);
  if (value == step.to) return Effect::present;
  return value == step.from ? Effect::absent : Effect::neither;
}

Result<void> perform(Nic& nic, Step& step) {
  const std::uint32_t at = step.interface_index;
  const auto number = static_cast<std::uint32_t>(step.to);
  switch (step.what) {
    case What::ntuple:
      return nic.set_ntuple(at, step.to != 0);
    case What::channels:
      return nic.set_channels(at, number);
    case What::rx_ring:
      return nic.set_rings(at, {.rx = number});
    case What::header_split:
      return nic.set_rings(at, {.header_split = step.to != 0 ? HeaderSplit::on : HeaderSplit::off});
    case What::hds_threshold:
      return nic.set_rings(at, {.hds_threshold_bytes = number});
    case What::rss_table:
      return nic.set_rss_table(at, step.to_table);
    case What::rss_context: {
      if (step.removes) return nic.remove_rss_context(at, step.id);
      LANDFALL_TRY(step.id, nic.add_rss_context(at, step.to_table));
      return {};
    }
    case What::rule: {
      if (step.removes) return nic.remove_rule(at, step.rule.spec.location);
      LANDFALL_TRY(step.rule.spec.location, nic.insert_rule(at, step.rule));
      return {};
    }
  }
  return {};
}

}  // namespace landfall::nic
