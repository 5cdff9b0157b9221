// SPDX-License-Identifier: Apache-2.0
#include "rdma_devices.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "doctor_checks.hpp"
#include "landfall_test/temp_folder.hpp"

namespace landfall::cli {
namespace {

namespace fs = std::filesystem;

class RdmaDevices : public testing::Test {
 protected:
  void put(const std::string& path, const std::string& text) {
    const fs::path file = root() + "/sys/class/infiniband/" + path;
    fs::create_directories(file.parent_path());
    std::ofstream{file} << text << '\n';
  }
  void add(const std::string& name, const std::string& state) {
    put(name + "/ports/1/state", state);
    put(name + "/ports/1/link_layer", "Ethernet");
    put(name + "/ports/1/rate", "2.5 Gb/sec (1X SDR)");
    for (const char* index : {"0", "1", "10"}) put(name + "/ports/1/gids/" + index, "fe80::1");
    put(name + "/ports/1/gid_attrs/types/1", "RoCE v2");
    put(name + "/ports/1/gid_attrs/types/10", "RoCE v2");
    put(name + "/ports/1/gid_attrs/ndevs/1", "eth7");
  }
  std::string root() const { return folder_.path(); }
  test::TempFolder folder_;
};

// Goal: what sysfs says of a device comes out: ports, state, the addresses that are in use in
// order.
TEST_F(RdmaDevices, AreReadFromSysfs) {
  add("mlx5_1", "1: DOWN");
  add("mlx5_0", "4: ACTIVE");
  const auto devices = read_rdma_devices(root());
  ASSERT_EQ(devices.size(), 2u);
  EXPECT_EQ(devices[0].name, "mlx5_0");
  ASSERT_EQ(devices[0].ports.size(), 1u);
  const RdmaPort& port = devices[0].ports[0];
  EXPECT_TRUE(port.active);
  EXPECT_EQ(port.state, "ACTIVE");
  EXPECT_EQ(port.link_layer, "Ethernet");
  ASSERT_EQ(port.gids.size(), 2u) << "index 0 holds nothing";
  EXPECT_EQ(port.gids[0].index, 1u);
  EXPECT_EQ(port.gids[0].interface, "eth7");
  EXPECT_EQ(port.gids[1].index, 10u);
  EXPECT_FALSE(devices[1].ports[0].active);
  EXPECT_EQ(devices[1].ports[0].state, "DOWN");
}

// Goal: a host without RDMA is no trouble; one whose every port is down is, with what mends it.
TEST_F(RdmaDevices, AreCheckedByTheDoctor) {
  HostFacts facts;
  const auto find = [&] {
    for (const Check& check : check_host(facts))
      if (check.name == std::string{"rdma"}) return check;
    return Check{};
  };
  EXPECT_EQ(find().status, Status::pass);
  add("rxe0", "1: DOWN");
  facts.rdma = read_rdma_devices(root());
  EXPECT_EQ(find().status, Status::warn);
  EXPECT_EQ(find().reason, ReasonCode::rdma_port_down);
  add("rxe1", "4: ACTIVE");
  facts.rdma = read_rdma_devices(root());
  EXPECT_EQ(find().status, Status::pass);
  EXPECT_NE(find().finding.find("rxe1"), std::string::npos);
}

}  // namespace
}  // namespace landfall::cli
