// SPDX-License-Identifier: Apache-2.0
// Goal: the receive buffer of a stream from this host is short, of all others it is the kernel's;
// who has set one, or gets the socket back, finds what was there.
#include "tcp/same_host.hpp"

#include <linux/socket.h>
#include <netinet/in.h>

#include "tcp/each_engine.hpp"

namespace landfall::tcp::test {
namespace {

std::uint32_t option_of(const Fd& socket, int option) {
  std::uint32_t value = 0;
  socklen_t length = sizeof value;
  return ::getsockopt(socket.get(), SOL_SOCKET, option, &value, &length) == 0 ? value : ~0u;
}
bool is_fixed(const Fd& socket) {
  return (option_of(socket, SO_BUF_LOCK) & SOCK_RCVBUF_LOCK) != 0;
}
bool is_short(const Fd& socket) {
  const std::uint32_t bytes = option_of(socket, SO_RCVBUF);
  return bytes >= same_host_rcvbuf() / 8 * 7 && bytes <= same_host_rcvbuf() / 8 * 9;
}

class SameHost : public Tcp {
 protected:
  void SetUp() override {
    auto [ours, peer] = tcp_pair();
    if (option_of(ours, SO_BUF_LOCK) == ~0u)
      GTEST_SKIP() << "this kernel has no SO_BUF_LOCK (Linux 5.16)";
  }

  static void deliver(MiniCore& core, Stream& stream, std::uint64_t bytes) {
    stream.to_send += bytes;
    ASSERT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  }
};

TEST_P(SameHost, AStreamFromHereHasAShortBufferUntilItIsGivenBack) {
  for (const int family : {AF_INET, AF_INET6}) {
    OPEN_OR_SKIP(core);
    Fd seen;
    Stream& stream = core.add(tcp_pair(family), false, &seen);
    EXPECT_TRUE(is_fixed(seen));
    EXPECT_TRUE(is_short(seen)) << option_of(seen, SO_RCVBUF);
    EXPECT_EQ(option_of(seen, SO_RCVLOWAT), 1u);
    deliver(core, stream, 40u << 20);
    EXPECT_TRUE(is_short(seen)) << option_of(seen, SO_RCVBUF);
    std::int32_t fd = -1;
    ASSERT_TRUE(core.run_until([&] {
      return core.ops().detach(core.queue(), stream.flow, &fd, &core.why) == LANDFALL_ERRC_ok;
    }));
    stream.closed = 1;
    EXPECT_FALSE(is_fixed(seen));
    // Another Receiver that takes it over has it short again.
    Stream& again = core.add({Fd{fd}, std::move(stream.peer)}, false, &seen);
    EXPECT_TRUE(is_fixed(seen));
    EXPECT_TRUE(is_short(seen)) << option_of(seen, SO_RCVBUF);
    deliver(core, again, 4u << 20);
  }
}

TEST(SameHostRcvbuf, FitsTheCacheOfAProcessor) {
  const long cache = ::sysconf(_SC_LEVEL2_CACHE_SIZE);
  EXPECT_EQ(same_host_rcvbuf(), std::clamp(cache, 1L << 20, 2L << 20));
}

TEST_P(SameHost, OthersAreLeftToTheKernel) {
  OPEN_OR_SKIP(core);
  Fd seen;
  Stream& stream = core.add(tcp_pair(AF_INET, INADDR_LOOPBACK + 1), false, &seen);
  EXPECT_FALSE(is_fixed(seen));
  deliver(core, stream, 1u << 20);
}

TEST_P(SameHost, WhatTheApplicationHasSetStays) {
  OPEN_OR_SKIP(core);
  auto sockets = tcp_pair();
  const int bytes = 100'000;
  ASSERT_EQ(::setsockopt(sockets.first.get(), SOL_SOCKET, SO_RCVBUF, &bytes, sizeof bytes), 0);
  Fd seen;
  Stream& stream = core.add(std::move(sockets), false, &seen);
  EXPECT_EQ(option_of(seen, SO_RCVBUF), 200'000u);
  std::int32_t fd = -1;
  ASSERT_EQ(core.ops().detach(core.queue(), stream.flow, &fd, &core.why), LANDFALL_ERRC_ok);
  const Fd back{fd};
  stream.closed = 1;
  EXPECT_TRUE(is_fixed(seen));
}

// What was offered to the peer cannot be taken back: a buffer that is smaller would drop it.
TEST_P(SameHost, ALargerBufferStays) {
  OPEN_OR_SKIP(core);
  auto sockets = tcp_pair();
  const auto lowat =
      static_cast<int>(same_host_rcvbuf());  // the kernel makes room for more than that
  ASSERT_EQ(::setsockopt(sockets.first.get(), SOL_SOCKET, SO_RCVLOWAT, &lowat, sizeof lowat), 0);
  const std::uint32_t before = option_of(sockets.first, SO_RCVBUF);
  if (before <= same_host_rcvbuf())
    GTEST_SKIP() << "net.ipv4.tcp_rmem allows " << before << " bytes";
  Fd seen;
  core.add(std::move(sockets), false, &seen);
  EXPECT_FALSE(is_fixed(seen));
  EXPECT_EQ(option_of(seen, SO_RCVBUF), before);
}

TEST_P(SameHost, TheOptionSays) {
  OPEN_OR_SKIP(core, {.options = "rcvbuf=0\n"});
  Fd seen;
  core.add(tcp_pair(), false, &seen);
  EXPECT_FALSE(is_fixed(seen));
}

TEST_P(SameHost, OfManyFlowsTheLastAreLeftToTheKernel) {
  OPEN_OR_SKIP(core);
  Fd seen;
  for (std::uint32_t i = 0; i < kSameHostFlows; ++i) core.add(tcp_pair(), false, &seen);
  EXPECT_TRUE(is_fixed(seen));
  core.add(tcp_pair(), false, &seen);
  EXPECT_FALSE(is_fixed(seen));
}

INSTANTIATE_TEST_SUITE_P(Engines, SameHost, kEachEngine, name_of_way);

}  // namespace
}  // namespace landfall::tcp::test
