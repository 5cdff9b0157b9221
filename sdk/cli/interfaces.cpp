// SPDX-License-Identifier: Apache-2.0
#include "interfaces.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace landfall::cli {
namespace {

using nic::InterfaceUse;
using nic::QueueUse;

/// Neighbours with the same reasons: one line for people.
struct QueueRange {
  std::uint32_t first = 0, last = 0;
  const std::vector<Reason>* reasons = nullptr;  // of the last: its remedy leaves the others most
};

bool alike(const std::vector<Reason>& a, const std::vector<Reason>& b) {
  return std::ranges::equal(
      a, b, [](const Reason& x, const Reason& y) { return x.code == y.code && x.text == y.text; });
}

std::vector<QueueRange> ranges_of(const std::vector<QueueUse>& queues) {
  std::vector<QueueRange> ranges;
  for (const QueueUse& queue : queues) {
    if (!ranges.empty() && alike(*ranges.back().reasons, queue.reasons)) {
      ranges.back().last = queue.queue_id;
      ranges.back().reasons = &queue.reasons;
    } else {
      ranges.push_back({queue.queue_id, queue.queue_id, &queue.reasons});
    }
  }
  return ranges;
}

std::string name_of(const QueueRange& range) {
  return range.first == range.last
             ? "queue " + std::to_string(range.first)
             : "queues " + std::to_string(range.first) + " to " + std::to_string(range.last);
}

std::string heading_of(const InterfaceUse& interface) {
  const nic::NicState& state = interface.state;
  std::string text = state.name;
  if (!state.driver.empty()) text += " (" + state.driver + ")";
  text += state.up ? state.carrier ? ": up" : ": up, no carrier" : ": down";
  text += ", MTU " + std::to_string(state.mtu_bytes);
  if (const auto count = state.queue_count(); count != 0)
    text += ", " + std::to_string(count) + (count == 1 ? " receive queue" : " receive queues");
  return text;
}

std::string lines_of(const std::vector<Reason>& reasons) {
  std::string text;
  for (const Reason& reason : reasons) {
    text += "         " + line_of(reason) + "\n";
    if (!reason.fix.empty()) text += "           try: " + reason.fix + "\n";
  }
  return text;
}

Json json_of(const std::vector<Reason>& reasons) {
  Json json = Json::array();
  for (const Reason& reason : reasons) json.push_back(cli::json_of(reason));
  return json;
}

const nic::QueueState* state_of(const InterfaceUse& interface, std::uint32_t queue_id) {
  const auto& queues = interface.state.queues;
  const auto found = std::ranges::find(queues, queue_id, &nic::QueueState::id);
  return found == queues.end() ? nullptr : &*found;
}

Json json_of(const InterfaceUse& interface) {
  const nic::NicState& state = interface.state;
  const auto split = state.rings ? state.rings->header_split : nic::HeaderSplit::unknown;
  Json json{{"index", state.index},
            {"name", state.name},
            {"driver", state.driver},
            {"bus", state.bus},
            {"up", state.up},
            {"carrier", state.carrier},
            {"mtu_bytes", state.mtu_bytes}};
  json["header_split"] = split == nic::HeaderSplit::on    ? "on"
                         : split == nic::HeaderSplit::off ? "off"
                                                          : "unknown";
  json["usable"] = std::ranges::any_of(
      interface.queues, [&](const QueueUse& queue) { return interface.usable(queue); });
  json["reasons"] = json_of(interface.reasons);
  json["sends"] = {{"usable", interface.sending.empty()}, {"reasons", json_of(interface.sending)}};
  json["queues"] = Json::array();
  for (const QueueUse& queue : interface.queues) {
    Json row{{"id", queue.queue_id}};
    const nic::QueueState* bound = state_of(interface, queue.queue_id);
    row["napi_id"] = bound == nullptr ? 0 : bound->napi_id;
    row["dmabuf_id"] = bound != nullptr && bound->dmabuf_id ? Json(*bound->dmabuf_id) : Json{};
    row["usable"] = interface.usable(queue);
    row["reasons"] = json_of(queue.reasons);
    json["queues"].push_back(std::move(row));
  }
  return json;
}

Check sending_check_of(const InterfaceUse& interface) {
  Check check{.name = "nic " + interface.state.name + ", sending"};
  check.finding = "it can send from a dma-buf";
  if (interface.sending.empty()) return check;
  const Reason& why = interface.sending.front();
  check.status = Status::warn;
  check.finding = why.text;
  check.fix = why.fix;
  check.reason = why.code;
  return check;
}

Check check_of(const InterfaceUse& interface) {
  Check check;
  check.name = "nic " + interface.state.name;
  std::uint32_t usable = 0;
  const Reason* why = nullptr;  // of the last queue: its remedy leaves the others most
  for (const QueueUse& queue : interface.queues) {
    if (!queue.reasons.empty()) why = &queue.reasons.front();
    if (interface.usable(queue)) ++usable;
  }
  if (!interface.reasons.empty()) why = &interface.reasons.front();
  if (usable != 0 || why == nullptr) {
    check.finding = std::to_string(usable) + " of " + std::to_string(interface.queues.size()) +
                    " receive queues can take device memory";
    return check;
  }
  check.status = Status::warn;
  check.finding = why->text;
  check.fix = why->fix;
  check.reason = why->code;
  return check;
}

}  // namespace

Interfaces read_interfaces(nic::Nic& nic) {
  Interfaces interfaces;
  const auto names = nic.interfaces();
  if (!names) {
    interfaces.reasons.push_back(reason_from(names.error()));
    return interfaces;
  }
  for (const nic::InterfaceName& name : *names) {
    auto use = nic::assess(nic, name.index);
    if (use)
      interfaces.found.push_back(std::move(*use));
    else if (use.error().reason() != ReasonCode::interface_unknown)  // else it went meanwhile
      interfaces.reasons.push_back(reason_from(use.error()));
  }
  return interfaces;
}

Interfaces read_interfaces() {
  const auto nic = nic::open_kernel_nic();
  if (nic) return read_interfaces(**nic);
  return {{}, {reason_from(nic.error())}};
}

std::string Interfaces::usable() const {
  for (const InterfaceUse& interface : found)
    if (std::ranges::any_of(interface.queues,
                            [&](const QueueUse& queue) { return interface.usable(queue); }))
      return interface.state.name;
  return {};
}

void add_interfaces(Json& json, const Interfaces& interfaces) {
  json["interfaces"] = Json::array();
  for (const InterfaceUse& interface : interfaces.found)
    json["interfaces"].push_back(json_of(interface));
  json["interfaces_reasons"] = json_of(interfaces.reasons);
}

std::string text_of(const Interfaces& interfaces, const Console& console) {
  std::string text = "\nnetwork interfaces, and what of them can use device memory\n";
  for (const InterfaceUse& interface : interfaces.found) {
    if (interface.state.loopback) continue;
    text += "  " + heading_of(interface) + "\n";
    const auto add = [&](const std::string& what, const std::vector<Reason>& against) {
      text += "    " + (against.empty() ? console.good("yes") : console.bad("no ")) + "  " + what +
              "\n" + lines_of(against);
    };
    if (!interface.reasons.empty()) {
      add("all queues", interface.reasons);
    } else {
      for (const QueueRange& range : ranges_of(interface.queues))
        add(name_of(range), *range.reasons);
    }
    add("sending from a dma-buf", interface.sending);
  }
  return text + lines_of(interfaces.reasons);
}

std::vector<Check> check_interfaces(const Interfaces& interfaces) {
  std::vector<Check> checks;
  for (const Reason& reason : interfaces.reasons)
    checks.push_back({"nic", Status::warn, reason.text, reason.fix, reason.code});
  for (const InterfaceUse& interface : interfaces.found) {
    if (interface.state.bus.empty()) continue;
    checks.push_back(check_of(interface));
    checks.push_back(sending_check_of(interface));
  }
  if (checks.empty())
    checks.push_back({"nic", Status::warn, "no interface here has a device", "ip link",
                      ReasonCode::no_memory_provider});
  return checks;
}

}  // namespace landfall::cli
