// SPDX-License-Identifier: Apache-2.0
// Goal: a bulk stream is gathered, a slow one is not, and no byte of either waits for others.
#include <algorithm>

#include "tcp/each_engine.hpp"

namespace landfall::tcp::test {
namespace {

int lowat_of(const Fd& socket) {
  int bytes = 0;
  socklen_t length = sizeof bytes;
  ::getsockopt(socket.get(), SOL_SOCKET, SO_RCVLOWAT, &bytes, &length);
  return bytes;
}

class Gather : public Tcp {
 protected:
  const bool may_gather = std::string{GetParam().options}.find("gather=off") == std::string::npos;
};

// A bulk stream wakes us for many bytes at once; what stands behind them comes all the same, and
// whoever was caught with a tail must bring more before the next time.
TEST_P(Gather, GathersABulkStreamAndDeliversItsTail) {
  OPEN_OR_SKIP(core);
  Fd socket;
  Stream& stream = core.add(tcp_pair(), false, &socket);
  int most = 1;
  const auto all_came = [&] {
    if (stream.got < stream.to_send) most = std::max(most, lowat_of(socket));
    return stream.got == stream.to_send;
  };
  stream.to_send = (24u << 20) + 5;
  ASSERT_TRUE(core.run_until(all_came));
  EXPECT_EQ(most > 1, may_gather);
  EXPECT_TRUE(core.run_until([&] { return lowat_of(socket) == 1; }));  // with nothing left, too
  for (int i = 0; i < 10; ++i) {
    ++stream.to_send;
    ASSERT_TRUE(core.run_until(all_came)) << i;
  }
  most = 1;
  stream.to_send += 24u << 20;  // not twice the first goal
  ASSERT_TRUE(core.run_until(all_came));
  EXPECT_EQ(most, 1);
  stream.to_send += 24u << 20;
  stream.finish = true;
  ASSERT_TRUE(core.run_until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.got, stream.to_send);
}

TEST_P(Gather, DoesNotGatherASlowStream) {
  OPEN_OR_SKIP(core);
  Fd socket;
  Stream& stream = core.add(tcp_pair(), false, &socket);
  stream.to_send = 40u << 20;
  ASSERT_TRUE(core.run_until([&] {
    core.now_ns += 10'000'000;
    EXPECT_EQ(lowat_of(socket), 1);
    return stream.got == stream.to_send;
  }));
}

TEST_P(Gather, GivesAGatheringSocketBackAsItCame) {
  OPEN_OR_SKIP(core);
  Fd socket;
  Stream& stream = core.add(tcp_pair(), false, &socket);
  stream.to_send = 1u << 30;
  ASSERT_TRUE(core.run_until(
      [&] { return stream.got > 20u << 20 && (lowat_of(socket) > 1) == may_gather; }));
  const std::uint64_t all = stream.to_send = stream.sent;
  ASSERT_TRUE(core.run_until([&] { return stream.got == all; }));
  std::int32_t fd = -1;
  ASSERT_EQ(core.ops().detach(core.queue(), stream.flow, &fd, &core.why), LANDFALL_ERRC_ok);
  const Fd back{fd};
  stream.closed = 1;
  EXPECT_EQ(lowat_of(socket), 1);
}

// Goal: a paused flow wakes nobody every millisecond, and goes on afterwards.
TEST_P(Gather, EndsWhileAFlowIsPaused) {
  OPEN_OR_SKIP(core);
  Fd socket;
  Stream& stream = core.add(tcp_pair(), false, &socket);
  stream.to_send = 1u << 30;
  ASSERT_TRUE(core.run_until(
      [&] { return stream.got > 20u << 20 && (lowat_of(socket) > 1) == may_gather; }));
  ASSERT_EQ(core.ops().flow_pause(core.queue(), stream.flow, 1), LANDFALL_ERRC_ok);
  while (core.step(stream)) {
  }
  ASSERT_TRUE(core.run_until([&] { return lowat_of(socket) == 1; }));
  stream.to_send = stream.sent;
  ASSERT_EQ(core.ops().flow_pause(core.queue(), stream.flow, 0), LANDFALL_ERRC_ok);
  ASSERT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
}

// Goal: where many flows stream, the thread sleeps for several of them; one that comes alone does
// not wait for others.
TEST_P(Gather, ACrowdDoesNotKeepItsLastOneWaiting) {
  OPEN_OR_SKIP(core, {.region_bytes = 16u << 20});
  for (int i = 0; i < 24; ++i) core.add().to_send = 1u << 20;
  ASSERT_TRUE(core.run_until([&] {
    return std::all_of(core.streams.begin(), core.streams.end(),
                       [](const auto& stream) { return stream->got == stream->to_send; });
  }));
  Stream& last = *core.streams[7];
  last.to_send += 5;
  while (core.step(last)) {
  }
  const auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 100 && last.got < last.to_send; ++i) {
    core.sleep_once(std::chrono::seconds{20});
    core.poll_once();
  }
  EXPECT_EQ(last.got, last.to_send);
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds{10});
}

// Goal: when a crowd has left, the thread sleeps again instead of asking for nothing over and over.
TEST_P(Gather, ACrowdThatHasLeftLetsTheThreadSleep) {
  OPEN_OR_SKIP(core, {.region_bytes = 16u << 20});
  for (int i = 0; i < 24; ++i) core.add().to_send = 1u << 20;
  ASSERT_TRUE(core.run_until([&] {
    return std::all_of(core.streams.begin(), core.streams.end(),
                       [](const auto& stream) { return stream->got == stream->to_send; });
  }));
  for (auto& stream : core.streams) core.ops().flow_close(core.queue(), stream->flow, 0);
  ASSERT_TRUE(core.run_until([&] {
    return std::all_of(core.streams.begin(), core.streams.end(),
                       [](const auto& stream) { return stream->closed == 1; });
  }));
  bool slept = false;
  for (int i = 0; i < 1000 && !slept; ++i) {
    const auto begin = std::chrono::steady_clock::now();
    core.sleep_once(std::chrono::milliseconds{50});
    slept = std::chrono::steady_clock::now() - begin > std::chrono::milliseconds{40};
    core.poll_once();
  }
  EXPECT_TRUE(slept);
}

// Goal: without a timer there is no gathering, and nothing is lost.
TEST_P(Gather, IsLeftOffWithoutATimer) {
  OPEN_OR_SKIP(core, {.fault = [](const char* site) {
                 return std::string{site} == "timerfd_create" ? EMFILE : 0;
               }});
  Fd socket;
  Stream& stream = core.add(tcp_pair(), false, &socket);
  stream.to_send = (24u << 20) + 5;
  ASSERT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  stream.finish = true;
  ASSERT_TRUE(core.run_until([&] { return stream.ends == 1; }));
}

INSTANTIATE_TEST_SUITE_P(Engines, Gather, kEachEngine, name_of_way);

}  // namespace
}  // namespace landfall::tcp::test
