// SPDX-License-Identifier: Apache-2.0
#include "topology.hpp"

#include <algorithm>
#include <nlohmann/json.hpp>

namespace landfall::cli {
namespace {

/// The accelerators, the nearest first.
std::vector<const BusDevice*> by_nearness(const Topology& topology, const BusDevice& nic) {
  std::vector<const BusDevice*> order;
  for (const BusDevice& one : topology.accelerators) order.push_back(&one);
  std::ranges::stable_sort(order, {}, [&](const BusDevice* one) { return nearness(nic, *one); });
  return order;
}

std::string place_of(const BusDevice& device) {
  std::string text;
  if (device.numa_node >= 0) text += ", NUMA node " + std::to_string(device.numa_node);
  if (!device.cpus.empty()) text += ", CPUs " + device.cpus;
  return text;
}

Json json_of(const BusDevice& device) {
  Json json;
  if (!device.name.empty()) json["name"] = device.name;
  json["pci"] = device.address;
  json["vendor"] = device.vendor;
  json["device"] = device.device;
  json["driver"] = device.driver;
  json["numa_node"] = device.numa_node < 0 ? Json{} : Json(device.numa_node);
  json["cpus"] = device.cpus;
  return json;
}

const char* word_of(Nearness nearness) {
  switch (nearness) {
    case Nearness::one_switch:
      return "switch";
    case Nearness::one_bridge:
      return "host_bridge";
    case Nearness::one_node:
      return "numa_node";
    case Nearness::far:
      return "far";
  }
  return "";
}

}  // namespace

Nearness nearness(const BusDevice& a, const BusDevice& b) {
  const auto [end, other] = std::ranges::mismatch(a.way, b.way);
  const auto shared = static_cast<std::size_t>(end - a.way.begin());
  if (shared >= 2) return Nearness::one_switch;  // the host bridge, and a port below it
  if (shared == 1) return Nearness::one_bridge;
  return a.numa_node == b.numa_node ? Nearness::one_node : Nearness::far;
}

const char* text_of(Nearness nearness) noexcept {
  switch (nearness) {
    case Nearness::one_switch:
      return "behind one PCIe switch";
    case Nearness::one_bridge:
      return "below one host bridge";
    case Nearness::one_node:
      return "on one NUMA node";
    case Nearness::far:
      return "on another NUMA node";
  }
  return "";
}

std::string text_of(const Topology& topology) {
  if (topology.nics.empty()) return "no network interface here is a device on the PCI bus\n";
  std::string text;
  for (const BusDevice& nic : topology.nics) {
    text += nic.name + "  " + nic.address + " " + nic.driver + place_of(nic) + "\n";
    for (const BusDevice* one : by_nearness(topology, nic))
      text += "    " + one->address + " [" + one->vendor + ":" + one->device + "] " +
              (one->driver.empty() ? "no driver" : one->driver) + ": " +
              text_of(nearness(nic, *one)) + "\n";
  }
  if (topology.accelerators.empty()) text += "there is no accelerator on the PCI bus\n";
  return text;
}

Json json_of(const Topology& topology) {
  Json json = json_answer();
  json["source"] = topology.source;
  json["nics"] = Json::array();
  for (const BusDevice& nic : topology.nics) {
    Json one = json_of(nic);
    one["accelerators"] = Json::array();
    for (const BusDevice* accelerator : by_nearness(topology, nic))
      one["accelerators"].push_back(
          {{"pci", accelerator->address}, {"near", word_of(nearness(nic, *accelerator))}});
    json["nics"].push_back(std::move(one));
  }
  json["accelerators"] = Json::array();
  for (const BusDevice& one : topology.accelerators) json["accelerators"].push_back(json_of(one));
  return json;
}

}  // namespace landfall::cli
