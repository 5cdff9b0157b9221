// SPDX-License-Identifier: Apache-2.0
// What `info` says of RDMA devices.
#include <algorithm>
#include <nlohmann/json.hpp>

#include "landfall/landfall.hpp"
#include "rdma_report.hpp"

namespace landfall::cli {
namespace {

/// Why the device cannot register memory as a dma-buf, by trial, where this host can make some.
std::vector<Reason> try_dmabuf(const std::string& device) {
  std::vector<Reason> told;
  ContextOptions options;
  options.on_event = [&told](const Reason& reason) { told.push_back(reason); };
  Result<Context> context = Context::create(std::move(options));
  if (!context) return {reason_from(context.error())};
  RegionSpec spec;
  spec.source = "udmabuf";
  spec.size_bytes = 2_MiB;
  Result<Region> region = Region::allocate(*context, spec);
  if (!region) return {reason_from(region.error())};
  GroupOptions group;
  group.transports = {"verbs"};
  group.options = {"verbs.device=" + device};
  const Result<Group> opened = Group::open(*context, group, *region);
  if (!opened) return {reason_from(opened.error())};
  std::erase_if(
      told, [](const Reason& reason) { return reason.code != ReasonCode::dmabuf_not_registrable; });
  return told;
}

}  // namespace

void add_rdma_devices(Json& json, const std::vector<RdmaDevice>& devices, const Console& console,
                      std::string& text) {
  json["rdma_devices"] = Json::array();
  if (devices.empty()) return;
  text += "\nRDMA devices\n";
  for (const RdmaDevice& device : devices) {
    Json row{{"name", device.name}, {"ports", Json::array()}};
    text += "  " + device.name + "\n";
    bool active = false;
    for (const RdmaPort& port : device.ports) {
      active = active || port.active;
      Json gids = Json::array();
      text += "    port " + std::to_string(port.number) + ": " + port.state + ", " +
              port.link_layer + ", " + port.rate + "\n";
      for (const Gid& gid : port.gids) {
        gids.push_back({{"index", gid.index},
                        {"address", gid.address},
                        {"type", gid.type},
                        {"interface", gid.interface}});
        text += "      GID " + std::to_string(gid.index) + "  " + gid.address + "  " + gid.type +
                (gid.interface.empty() ? "" : ", " + gid.interface) + "\n";
      }
      row["ports"].push_back({{"number", port.number},
                              {"active", port.active},
                              {"state", port.state},
                              {"link_layer", port.link_layer},
                              {"rate", port.rate},
                              {"gids", std::move(gids)}});
    }
    if (active) {
      const std::vector<Reason> against = try_dmabuf(device.name);
      text += "    " + (against.empty() ? console.good("yes") : console.bad("no ")) +
              "  memory as a dma-buf\n";
      row["dmabuf"] = against.empty();
      row["dmabuf_reasons"] = Json::array();
      for (const Reason& reason : against) {
        text += "         " + line_of(reason) + "\n";
        row["dmabuf_reasons"].push_back(json_of(reason));
      }
    }
    json["rdma_devices"].push_back(std::move(row));
  }
}

}  // namespace landfall::cli
