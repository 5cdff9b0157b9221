// SPDX-License-Identifier: Apache-2.0
// The RDMA devices of this host, as sysfs tells them.
#pragma once
#include <cstdint>
#include <string>
#include <vector>

namespace landfall::cli {

struct Gid {
  std::uint32_t index = 0;
  std::string address, type, interface;  // type: "RoCE v2", "IB/RoCE v1"
};

struct RdmaPort {
  std::uint32_t number = 0;
  bool active = false;
  std::string state, link_layer, rate;  // "ACTIVE", "Ethernet", "100 Gb/sec (4X EDR)"
  std::vector<Gid> gids;
};

struct RdmaDevice {
  std::string name;
  std::vector<RdmaPort> ports;
};

/// `root`: "" on this host.
std::vector<RdmaDevice> read_rdma_devices(const std::string& root = {});

}  // namespace landfall::cli
