// SPDX-License-Identifier: Apache-2.0
// The topology as hwloc tells it.
#include <hwloc.h>

#include <cstdio>
#include <cstdlib>
#include <memory>

#include "console.hpp"
#include "topology.hpp"

namespace landfall::cli {
namespace {

using PciDevice = decltype(hwloc_obj_attr_u::pcidev);

std::string address_of(const PciDevice& at) {
  char text[32];
  std::snprintf(text, sizeof text, "%04x:%02x:%02x.%x", static_cast<unsigned>(at.domain), at.bus,
                at.dev, at.func);
  return text;
}

std::string hex4(unsigned number) {
  char text[16];
  std::snprintf(text, sizeof text, "%04x", number);
  return text;
}

/// The bridges from the host's down to the device, and the device.
std::vector<std::string> way_to(hwloc_obj_t device) {
  std::vector<std::string> way;
  for (hwloc_obj_t at = device; at != nullptr; at = at->parent) {
    if (at->type == HWLOC_OBJ_PCI_DEVICE) way.insert(way.begin(), address_of(at->attr->pcidev));
    if (at->type != HWLOC_OBJ_BRIDGE) continue;
    const auto& bridge = at->attr->bridge;
    char host[32];
    std::snprintf(host, sizeof host, "pci%04x:%02x",
                  static_cast<unsigned>(bridge.downstream.pci.domain),
                  bridge.downstream.pci.secondary_bus);
    way.insert(way.begin(), bridge.upstream_type == HWLOC_OBJ_BRIDGE_HOST
                                ? host
                                : address_of(bridge.upstream.pci));
  }
  return way;
}

BusDevice device_of(hwloc_topology_t topology, hwloc_obj_t at) {
  const PciDevice& pci = at->attr->pcidev;
  BusDevice device;
  device.address = address_of(pci);
  device.vendor = hex4(pci.vendor_id);
  device.device = hex4(pci.device_id);
  device.way = way_to(at);
  if (hwloc_topology_is_thissystem(topology) != 0) device.driver = driver_at(device.address);
  const hwloc_obj_t near = hwloc_get_non_io_ancestor_obj(topology, at);
  if (near == nullptr) return device;
  // Of a device that is near several nodes, or all, no one is meant.
  if (hwloc_bitmap_weight(near->nodeset) == 1) device.numa_node = hwloc_bitmap_first(near->nodeset);
  char* cpus = nullptr;
  if (hwloc_bitmap_list_asprintf(&cpus, near->cpuset) >= 0) device.cpus = cpus;
  std::free(cpus);
  return device;
}

struct Unload {
  void operator()(hwloc_topology* topology) const noexcept { hwloc_topology_destroy(topology); }
};

/// `file`: as HWLOC_XMLFILE names one; nullptr: this machine. hwloc itself would pass over a file
/// that it cannot read, and tell of this machine.
std::unique_ptr<hwloc_topology, Unload> load(const char* file) {
  hwloc_topology_t made = nullptr;
  if (hwloc_topology_init(&made) != 0) return nullptr;
  std::unique_ptr<hwloc_topology, Unload> topology{made};
  hwloc_topology_set_io_types_filter(made, HWLOC_TYPE_FILTER_KEEP_ALL);
  // Of PCI Linux tells by itself, and libpciaccess leaks; the others start the runtimes of GPUs.
  for (const char* component : {"pci", "gl", "opencl", "cuda", "nvml", "rsmi", "levelzero"})
    hwloc_topology_set_components(made, HWLOC_TOPOLOGY_COMPONENTS_FLAG_BLACKLIST, component);
  if (file != nullptr && hwloc_topology_set_xml(made, file) != 0) return nullptr;
  if (hwloc_topology_load(made) != 0) return nullptr;
  return topology;
}

/// Display controllers and processing accelerators: PCI Code and ID Assignment, class 03 and 12.
bool is_accelerator(const PciDevice& pci) {
  return pci.class_id >> 8 == 0x03 || pci.class_id >> 8 == 0x12;
}

}  // namespace

Result<Topology> read_topology() {
  const char* file = ::getenv("HWLOC_XMLFILE");
  const auto loaded = load(file);
  if (!loaded)
    return Error{Errc::io, "hwloc"}.with(
        file == nullptr ? "it cannot read the topology of this machine"
                        : "it cannot read " + printable(file) + ", which HWLOC_XMLFILE names");
  Topology topology;
  topology.source = "hwloc";
  for (hwloc_obj_t at = nullptr; (at = hwloc_get_next_osdev(loaded.get(), at)) != nullptr;) {
    if (at->attr->osdev.type != HWLOC_OBJ_OSDEV_NETWORK) continue;
    hwloc_obj_t pci = at->parent;
    while (pci != nullptr && pci->type != HWLOC_OBJ_PCI_DEVICE) pci = pci->parent;
    if (pci == nullptr) continue;
    topology.nics.push_back(device_of(loaded.get(), pci));
    topology.nics.back().name = at->name;
  }
  for (hwloc_obj_t at = nullptr; (at = hwloc_get_next_pcidev(loaded.get(), at)) != nullptr;)
    if (is_accelerator(at->attr->pcidev))
      topology.accelerators.push_back(device_of(loaded.get(), at));
  return topology;
}

}  // namespace landfall::cli
