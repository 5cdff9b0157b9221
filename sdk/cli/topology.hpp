// SPDX-License-Identifier: Apache-2.0
// Which NIC is near which accelerator, NUMA node and processors.
#pragma once
#include <string>
#include <vector>

#include "landfall/base/result.hpp"
#include "report.hpp"

namespace landfall::cli {

/// A device on the PCI bus.
struct BusDevice {
  std::string name;            // of a network interface; "" of others
  std::string address;         // "0000:3b:00.0"
  std::string vendor, device;  // "15b3", "1021"
  std::string driver;          // "" without one
  std::vector<std::string>
      way;             // from the host bridge down to it: "pci0000:3a", "0000:3a:01.0", ...
  int numa_node = -1;  // -1: the host does not say, or has one only
  std::string cpus;    // near it: "0-15"
};

/// What lies between two devices, the best first.
enum class Nearness : std::uint8_t { one_switch, one_bridge, one_node, far };
Nearness nearness(const BusDevice& a, const BusDevice& b);
/// "behind one PCIe switch", ...
const char* text_of(Nearness nearness) noexcept;

struct Topology {
  const char* source = "";  // who told it
  std::vector<BusDevice> nics, accelerators;
};
/// As hwloc tells it, where this landfall was built with it: that knows machines whose firmware
/// says nothing or lies, devices behind virtio, and what HWLOC_XMLFILE has of another machine.
/// Otherwise as sysfs does.
/// Errors: io - hwloc cannot.
Result<Topology> read_topology();
/// `root` is put before the paths, for tests. What is not there is left out.
Topology read_sysfs(const std::string& root = "");
/// The driver of the device at this address; "": none.
std::string driver_at(const std::string& address);

std::string text_of(const Topology& topology);
Json json_of(const Topology& topology);

}  // namespace landfall::cli
