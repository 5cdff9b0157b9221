// SPDX-License-Identifier: Apache-2.0
// The topology as sysfs tells it.
#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

#include "topology.hpp"

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

std::string driver_of(const fs::path& folder) {
  std::error_code failed;
  return fs::read_symlink(folder / "driver", failed).filename().string();
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
  device.driver = driver_of(real);
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

}  // namespace

std::string driver_at(const std::string& address) {
  return driver_of("/sys/bus/pci/devices/" + address);
}

Topology read_sysfs(const std::string& root) {
  Topology topology;
  topology.source = "sysfs";
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

#if !LANDFALL_HAVE_HWLOC
Result<Topology> read_topology() {
  return read_sysfs();
}
#endif

}  // namespace landfall::cli
