// SPDX-License-Identifier: Apache-2.0
#include "rdma_devices.hpp"

#include <algorithm>
#include <charconv>
#include <filesystem>
#include <fstream>

namespace landfall::cli {
namespace {

namespace fs = std::filesystem;

/// The first line of a file; "" where it cannot be read, as of an index that holds nothing.
std::string line_of_file(const fs::path& path) {
  std::ifstream in{path};
  std::string line;
  std::getline(in, line);
  return line;
}

std::vector<std::string> names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code none;
  for (const auto& entry : fs::directory_iterator{folder, none})
    names.push_back(entry.path().filename());
  std::ranges::sort(names);
  return names;
}

std::uint32_t number_of(const std::string& text) {
  std::uint32_t number = 0;
  std::from_chars(text.data(), text.data() + text.size(), number);
  return number;
}

std::vector<Gid> gids_of(const fs::path& port) {
  std::vector<Gid> gids;
  for (const std::string& index : names_in(port / "gids")) {
    // An index without a type holds no address (gid_attr_get_type, drivers/infiniband/core).
    const std::string type = line_of_file(port / "gid_attrs/types" / index);
    if (type.empty()) continue;
    gids.push_back({number_of(index), line_of_file(port / "gids" / index), type,
                    line_of_file(port / "gid_attrs/ndevs" / index)});
  }
  std::ranges::sort(gids, {}, &Gid::index);
  return gids;
}

}  // namespace

std::vector<RdmaDevice> read_rdma_devices(const std::string& root) {
  const fs::path folder = root + "/sys/class/infiniband";
  std::vector<RdmaDevice> devices;
  for (const std::string& name : names_in(folder)) {
    RdmaDevice device{.name = name, .ports = {}};
    for (const std::string& number : names_in(folder / name / "ports")) {
      const fs::path port = folder / name / "ports" / number;
      const std::string state = line_of_file(port / "state");  // "4: ACTIVE"
      const std::size_t colon = state.find(": ");
      device.ports.push_back({.number = number_of(number),
                              .active = state.starts_with("4:"),
                              .state = colon == std::string::npos ? state : state.substr(colon + 2),
                              .link_layer = line_of_file(port / "link_layer"),
                              .rate = line_of_file(port / "rate"),
                              .gids = gids_of(port)});
    }
    devices.push_back(std::move(device));
  }
  return devices;
}

}  // namespace landfall::cli
