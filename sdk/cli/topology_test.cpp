// SPDX-License-Identifier: Apache-2.0
// Goal: the accelerator that is nearest to a NIC is named first, on a made-up host.
#include "topology.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>
#include <nlohmann/json.hpp>

#include "landfall_test/temp_folder.hpp"

namespace landfall::cli {
namespace {

namespace fs = std::filesystem;
using ::testing::HasSubstr;
using ::testing::SizeIs;

/// Of the first NIC.
std::vector<std::string> order_of(const Topology& topology) {
  const Json json = json_of(topology);
  std::vector<std::string> order;
  for (const Json& one : json["nics"][0]["accelerators"])
    order.push_back(one["pci"].get<std::string>() + " " + one["near"].get<std::string>());
  return order;
}

class TopologyTest : public ::testing::Test {
 protected:
  /// A device at `way` below /sys/devices, as sysfs shows it.
  void add(const std::string& way, const std::string& device_class, const std::string& node,
           const std::string& interface = "") {
    const fs::path at = root() / "sys/devices" / way;
    fs::create_directories(at);
    write(at / "class", device_class);
    write(at / "vendor", "0x15b3");
    write(at / "device", "0x1021");
    write(at / "numa_node", node);
    write(at / "local_cpulist", "0-7");
    fs::create_directories(root() / "sys/bus/pci/devices");
    fs::create_symlink(at, root() / "sys/bus/pci/devices" / at.filename());
    if (interface.empty()) return;
    fs::create_directories(root() / "sys/class/net" / interface);
    fs::create_symlink(at, root() / "sys/class/net" / interface / "device");
  }
  fs::path root() const { return folder_.path(); }

  test::TempFolder folder_;

 private:
  static void write(const fs::path& file, const std::string& text) {
    std::ofstream{file} << text << "\n";
  }
};

TEST_F(TopologyTest, TheNearestFirst) {
  add("pci0000:3a/0000:3a:01.0/0000:3b:00.0", "0x020000", "0", "eth1");
  add("pci0000:80/0000:80:01.0/0000:81:00.0", "0x030200", "1");
  add("pci0000:3a/0000:3a:02.0/0000:3d:00.0", "0x030200", "0");
  add("pci0000:3a/0000:3a:01.0/0000:3c:00.0", "0x120000", "0");
  add("pci0000:00/0000:00:1f.0", "0x060100", "0");
  add("pci0000:10/0000:10:01.0/0000:11:00.0", "0x030000", "0");
  fs::create_directories(root() / "sys/class/net/lo");
  const Topology topology = read_sysfs(root());
  ASSERT_THAT(topology.nics, SizeIs(1));
  EXPECT_EQ(topology.nics[0].name, "eth1");
  EXPECT_EQ(topology.nics[0].address, "0000:3b:00.0");
  EXPECT_EQ(topology.nics[0].numa_node, 0);
  EXPECT_THAT(topology.accelerators, SizeIs(4));

  EXPECT_THAT(order_of(topology),
              ::testing::ElementsAre("0000:3c:00.0 switch", "0000:3d:00.0 host_bridge",
                                     "0000:11:00.0 numa_node", "0000:81:00.0 far"));
  EXPECT_THAT(text_of(topology), HasSubstr("eth1  0000:3b:00.0 , NUMA node 0, CPUs 0-7\n"
                                           "    0000:3c:00.0 [15b3:1021] no driver: behind one "
                                           "PCIe switch\n"));
}

TEST_F(TopologyTest, AHostWithoutAnyOfIt) {
  EXPECT_THAT(text_of(read_sysfs(root())), HasSubstr("no network interface"));
  add("pci0000:3a/0000:3a:01.0/0000:3b:00.0", "0x020000", "-1", "eth1");
  EXPECT_THAT(text_of(read_sysfs(root())), HasSubstr("no accelerator"));
}

#if LANDFALL_HAVE_HWLOC
// The same host, as hwloc would have saved it.
TEST(TopologyByHwloc, TheNearestFirst) {
  ASSERT_EQ(::setenv("HWLOC_XMLFILE", LANDFALL_TOPOLOGY, 1), 0);
  const auto read = read_topology();
  ASSERT_TRUE(read) << read.error().describe();
  const Topology& topology = *read;
  EXPECT_STREQ(topology.source, "hwloc");
  ASSERT_THAT(topology.nics, SizeIs(1));
  EXPECT_EQ(topology.nics[0].name, "eth1");
  EXPECT_EQ(topology.nics[0].numa_node, 0);
  EXPECT_EQ(topology.nics[0].driver, "") << "of another machine";
  EXPECT_THAT(order_of(topology),
              ::testing::ElementsAre("0000:3c:00.0 switch", "0000:3d:00.0 host_bridge",
                                     "0000:11:00.0 numa_node", "0000:81:00.0 far"));
  EXPECT_THAT(text_of(topology), HasSubstr("eth1  0000:3b:00.0 , NUMA node 0, CPUs 0-1\n"
                                           "    0000:3c:00.0 [10de:2330] no driver: behind one "
                                           "PCIe switch\n"));

  ASSERT_EQ(::setenv("HWLOC_XMLFILE", "/dev/null", 1), 0);
  const auto none = read_topology();
  ::unsetenv("HWLOC_XMLFILE");
  ASSERT_FALSE(none) << "it is not this machine that was asked for";
  EXPECT_THAT(std::string{none.error().cause()}, HasSubstr("/dev/null"));
}
#endif

TEST(TopologyHere, IsRead) {
  const auto topology = read_topology();
  ASSERT_TRUE(topology) << topology.error().describe();
  for (const BusDevice& nic : topology->nics) EXPECT_FALSE(nic.address.empty()) << nic.name;
}

}  // namespace
}  // namespace landfall::cli
