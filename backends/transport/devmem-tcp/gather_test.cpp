// SPDX-License-Identifier: Apache-2.0
// Goal: a steady stream is gathered, a slow one is not, and no byte of either waits for others.
#include "devmem-tcp/rig_test.hpp"

namespace landfall::devmem::test {
namespace {

int lowat_of(int fd) {
  int bytes = 0;
  socklen_t length = sizeof bytes;
  ::getsockopt(fd, SOL_SOCKET, SO_RCVLOWAT, &bytes, &length);
  return bytes;
}

/// As transfer(), and the largest mark that was seen on the way; between two receives `ns` pass.
int transfer_seen(Rig& rig, Stream& stream, std::uint64_t bytes, std::uint64_t ns = 0) {
  const std::uint64_t to = stream.sent + bytes;
  int most = 1;
  EXPECT_TRUE(rig.until([&] {
    if (stream.sent < to) stream.send(std::min<std::uint64_t>(to - stream.sent, 64 * 1024));
    if (stream.got < to) most = std::max(most, lowat_of(stream.fd));
    rig.now_ns += ns;
    return stream.got == to;
  }));
  return most;
}

// A steady stream wakes us for many bytes at once; what stands behind them comes all the same, and
// whoever was caught with a tail must bring more before the next time.
TEST(DevmemTcpGather, GathersASteadyStreamAndDeliversItsTail) {
  Rig rig;
  Stream& stream = rig.add();
  transfer_seen(rig, stream, kWindowGoal);
  EXPECT_GE(transfer_seen(rig, stream, kWindowGoal + 5), 64 * 1024);
  EXPECT_TRUE(rig.until([&] { return lowat_of(stream.fd) == 1; }));  // with nothing left, too
  EXPECT_TRUE(rig.transfer(stream, 1));
  EXPECT_EQ(transfer_seen(rig, stream, kWindowGoal), 1) << "less than twice the first goal";
}

TEST(DevmemTcpGather, DoesNotGatherASlowStream) {
  Rig rig;
  Stream& stream = rig.add();
  EXPECT_EQ(transfer_seen(rig, stream, 3 * kWindowGoal, 100'000'000), 1);
}

TEST(DevmemTcpGather, IsSwitchedOff) {
  Rig rig{{.options = "gather=off\n"}};
  EXPECT_EQ(transfer_seen(rig, rig.add(), 3 * kWindowGoal), 1);
}

TEST(DevmemTcpGather, TheEndOfAStreamDoesNotWait) {
  Rig rig;
  Stream& stream = rig.add();
  EXPECT_GT(transfer_seen(rig, stream, 3 * kWindowGoal), 1);
  stream.send(1000);
  stream.finish();
  EXPECT_TRUE(rig.until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.got, stream.sent);
}

TEST(DevmemTcpGather, GivesASocketBackAsItCame) {
  Rig rig;
  Stream& stream = rig.add();
  EXPECT_GT(transfer_seen(rig, stream, 3 * kWindowGoal), 1);
  std::int32_t fd = -1;
  ASSERT_EQ(rig.queue.detach(stream.flow, &fd, &rig.why), LANDFALL_ERRC_ok) << rig.why.text;
  const Fd back{fd};
  EXPECT_EQ(lowat_of(fd), 1);
}

// A paused flow wakes nobody, and goes on afterwards.
TEST(DevmemTcpGather, EndsWhileAFlowIsPaused) {
  Rig rig;
  Stream& stream = rig.add();
  EXPECT_GT(transfer_seen(rig, stream, 3 * kWindowGoal), 1);
  rig.queue.pause(stream.flow, true);
  stream.send(1u << 20);
  EXPECT_TRUE(rig.until([&] { return lowat_of(stream.fd) == 1; }));
  rig.queue.pause(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
}

// Goal: without a timer there is no gathering, and where a mark cannot be taken away the flow says
// so: in neither case a byte waits in silence.
TEST(DevmemTcpGather, IsLeftOffWithoutATimer) {
  Rig rig;
  Stream& stream = rig.add();
  rig.fault = [](std::string_view site) { return site == "timerfd_create" ? EMFILE : 0; };
  EXPECT_TRUE(rig.transfer(stream, 3 * kWindowGoal + 5));
  EXPECT_EQ(lowat_of(stream.fd), 1);
}

TEST(DevmemTcpGather, AMarkThatStaysFailsTheFlow) {
  Rig rig;
  Stream& stream = rig.add();
  EXPECT_GT(transfer_seen(rig, stream, 3 * kWindowGoal), 1);
  rig.fault = [](std::string_view site) { return site == "setsockopt" ? ENOBUFS : 0; };
  stream.send(5);
  EXPECT_TRUE(rig.until([&] { return stream.failures == 1; }));
}

}  // namespace
}  // namespace landfall::devmem::test
