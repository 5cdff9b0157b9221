// SPDX-License-Identifier: Apache-2.0
// Goal: who takes packets from anybody is known, with the packets that reach it.
#include "host_listeners.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "landfall/base/fd.hpp"
#include "landfall_test/temp_folder.hpp"
#include "nic/step.hpp"

namespace landfall::cli {
namespace {

using ::testing::Contains;
using ::testing::UnorderedElementsAre;

std::vector<std::string> texts(const std::vector<policy::Listener>& listeners) {
  std::vector<std::string> texts;
  for (const policy::Listener& one : listeners)
    texts.push_back(one.text + ", " + one.user + ": " + describe_match(one.packets));
  return texts;
}

class HostListeners : public ::testing::Test {
 protected:
  HostListeners() { std::filesystem::create_directories(folder_.path() + "/proc/net"); }
  void table(const std::string& name, const std::string& lines) {
    std::ofstream{folder_.path() + "/proc/net/" + name}
        << "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid\n"
        << lines;
  }
  test::TempFolder folder_;
};

// The lines are of Linux 6.1 on a little-endian machine.
TEST_F(HostListeners, EachWithItsPackets) {
  const std::string rest = " 00000000:00000000 00:00000000 00000000     0        0 1 1 0 10 0\n";
  table("tcp", "   0: 00000000:0016 00000000:0000 0A" + rest +
                   "   1: 0100007F:0277 00000000:0000 0A" + rest +  // loopback
                   "   2: 070200C0:1451 090200C0:C738 01" + rest +  // established
                   "   3: 070200C0:0050 00000000:0000 0A" + rest);
  table("tcp6",
        "   0: 00000000000000000000000000000000:01BB 00000000000000000000000000000000:0000 0A" +
            rest +
            "   1: B80D0120000000000000000007000000:1F90 00000000000000000000000000000000:0000 0A" +
            rest +
            "   2: 00000000000000000000000001000000:0019 00000000000000000000000000000000:0000 0A" +
            rest);
  table("udp", "   0: 00000000:0035 00000000:0000 07" + rest +
                   "   1: 070200C0:0044 010200C0:0043 01" + rest);
  EXPECT_THAT(texts(host_listeners(folder_.path())),
              UnorderedElementsAre("tcp port 22, root: tcp to port 22",
                                   "tcp port 80, root: tcp to 192.0.2.7 port 80",
                                   "tcp port 443, root: tcp6 to port 443",
                                   "tcp port 443, root: tcp to port 443",
                                   "tcp port 8080, root: tcp6 to 2001:db8::7 port 8080",
                                   "udp port 53, root: udp to port 53"));
}

TEST_F(HostListeners, LinesThatAreNone) {
  table("tcp",
        "\n0:\nx y z 0A 0 0 0 0\n 1: 000000:16 0:0 0A 0 0 0 0\n 2: 00000000:0000 0:0 0A 0 0 0 0\n");
  EXPECT_THAT(texts(host_listeners(folder_.path())), UnorderedElementsAre());
  EXPECT_THAT(texts(host_listeners(folder_.path() + "/nosuch")), UnorderedElementsAre());
}

TEST(HostListenersHere, ASocketOfOurs) {
  const Fd socket{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in address{};
  address.sin_family = AF_INET;
  socklen_t length = sizeof address;
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<const sockaddr*>(&address), length), 0);
  ASSERT_EQ(::listen(socket.get(), 1), 0);
  ASSERT_EQ(::getsockname(socket.get(), reinterpret_cast<sockaddr*>(&address), &length), 0);
  const std::string port = std::to_string(ntohs(address.sin_port));
  EXPECT_THAT(texts(host_listeners()),
              Contains(::testing::AllOf(::testing::StartsWith("tcp port " + port + ", "),
                                        ::testing::EndsWith("tcp to port " + port))));
}

}  // namespace
}  // namespace landfall::cli
