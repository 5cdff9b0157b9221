// SPDX-License-Identifier: Apache-2.0
#include "topology.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

namespace landfall::cli {
namespace {

namespace fs = std::filesystem;

std::string line_in(const fs::path& file) {
  std::ifstream in{file};
  std::string line;
  std::getline(in, line);
  return line;
}

std::string hex_in(const fs::path& file) {
  std::string text = line_in(file);
  if (text.starts_with("0x")) text.erase(0, 2);
  return text;
}

bool is_address(const std::string& name) {  // "0000:3b:00.0"
  return name.size() >= 12 && std::ranges::count(name, ':') == 2 &&
         std::ranges::count(name, '.') == 1;
}

/// `folder`: of the device, as /sys/class/net/eth1/device leads to it. Without an address: none.
BusDevice read_device(const fs::path& folder) {
  BusDevice device;
  std::error_code failed;
  const fs::path real = fs::canonical(folder, failed);
  if (failed) return device;
  for (const fs::path& part : real) {
    const std::string name = part.string();
    if (name.starts_with("pci") && name.find(':') != name.npos) device.way = {name};
    if (!device.way.empty() && is_address(name)) device.way.push_back(name);
  }
  if (device.way.size() < 2 || device.way.back() != real.filename().string()) return device;
  device.address = device.way.back();
  device.vendor = hex_in(real / "vendor");
  device.device = hex_in(real / "device");
  const fs::path driver = fs::read_symlink(real / "driver", failed);
  if (!failed) device.driver = driver.filename().string();
  const std::string node = line_in(real / "numa_node");
  std::from_chars(node.data(), node.data() + node.size(), device.numa_node);
  device.cpus = line_in(real / "local_cpulist");
  return device;
}

/// Display controllers and processing accelerators: PCI Code and ID Assignment, class 03 and 12.
bool is_accelerator(const fs::path& folder) {
  const std::string code = hex_in(folder / "class");
  return code.starts_with("03") || code.starts_with("12");
}

template <class Visit>
void each_entry(const fs::path& folder, Visit&& visit) {
  std::error_code failed;
  std::vector<fs::path> entries;
  for (fs::directory_iterator at{folder, failed}, end; !failed && at != end; at.increment(failed))
    entries.push_back(at->path());
  std::ranges::sort(entries);
  for (const fs::path& entry : entries) visit(entry);
}

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

Topology read_topology(const std::string& root) {
  Topology topology;
  each_entry(root + "/sys/class/net", [&](const fs::path& entry) {
    BusDevice nic = read_device(entry / "device");
    nic.name = entry.filename().string();
    if (!nic.address.empty()) topology.nics.push_back(std::move(nic));
  });
  each_entry(root + "/sys/bus/pci/devices", [&](const fs::path& entry) {
    if (!is_accelerator(entry)) return;
    BusDevice device = read_device(entry);
    if (!device.address.empty()) topology.accelerators.push_back(std::move(device));
  });
  return topology;
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
