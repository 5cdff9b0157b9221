// SPDX-License-Identifier: Apache-2.0
// What keeps a Buffer alive: nothing under it is freed or used again before it is dropped.

#include <array>
#include <atomic>

#include "conformance/rig.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/child.hpp"

namespace landfall::test {
namespace {

class Lifetimes : public Transport {
 protected:
  /// A Rig with 100,000 bytes received and kept out; the stream has not ended.
  std::unique_ptr<Rig> rig_with_buffers_out(RigOptions options = {}) {
    auto rig = Rig::open(GetParam(), std::move(options));
    EXPECT_OK(rig);
    if (!rig) return nullptr;
    Stream* stream = (*rig)->connect();
    if (stream == nullptr) return nullptr;
    stream->keep();
    stream->send(100'000, false);
    EXPECT_TRUE((*rig)->until([&] { return stream->received == 100'000; }));
    EXPECT_TRUE(stream->sent());  // its thread has ended
    return std::move(*rig);
  }
  /// Lets another flow fill the rest of the Region, over and over.
  static void pump(Rig& rig) {
    Stream* other = rig.connect();
    ASSERT_NE(other, nullptr);
    other->send(2 * (4u << 20), true);
    EXPECT_TRUE(rig.until([&] { return other->ended; }));
    EXPECT_TRUE(rig.close(*other));
  }
};
LANDFALL_CONFORMANCE(Lifetimes);

// Goal: closing a flow does not touch its Buffers, whatever arrives afterwards.
TEST_P(Lifetimes, BuffersOutliveTheCloseOfTheirFlow) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  Stream& stream = *rig->streams[0];
  stream.flow->close();
  pump(*rig);
  for (const Held& held : stream.held) EXPECT_TRUE(held.unchanged());
  stream.held.clear();
  EXPECT_TRUE(rig->until([&] { return stream.closed; }));
}

// Goal: the same where we reset the connection.
TEST_P(Lifetimes, BuffersOutliveTheResetOfTheirFlow) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  Stream& stream = *rig->streams[0];
  stream.flow->close(true);
  EXPECT_EQ(stream.peer->wait_for_end(), ECONNRESET);
  pump(*rig);
  for (const Held& held : stream.held) EXPECT_TRUE(held.unchanged());
  stream.held.clear();
  EXPECT_TRUE(rig->until([&] { return stream.closed; }));
}

// Goal: the same where the peer resets it: failed, then, once it is closed and all is back, closed.
TEST_P(Lifetimes, BuffersOutliveAResetByThePeer) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  Stream& stream = *rig->streams[0];
  stream.peer->reset();
  ASSERT_TRUE(rig->until([&] { return stream.failed; }));
  EXPECT_EQ(stream.error.code(), Errc::flow_reset) << stream.error.describe();
  stream.flow->close();
  pump(*rig);
  for (const Held& held : stream.held) EXPECT_TRUE(held.unchanged());
  stream.held.clear();
  EXPECT_TRUE(rig->until([&] { return stream.closed; }));
}

// Goal: a reset is told also where it came with bytes, before anybody looked at either.
TEST_P(Lifetimes, AResetThatCameWithBytesIsTold) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  Stream& stream = *rig->streams[0];
  stream.consume = {};
  stream.held.clear();
  rig->quiet();
  stream.send(4096, false);
  ASSERT_TRUE(stream.sent());
  stream.peer->reset();
  ASSERT_TRUE(rig->until([&] { return stream.failed; }));
  EXPECT_EQ(stream.error.code(), Errc::flow_reset) << stream.error.describe();
  EXPECT_TRUE(rig->close(stream));
}

// Goal: Buffers outlive Receiver, Group and Context; the last one closes everything, on whatever
// of eight threads it is dropped.
TEST_P(Lifetimes, BuffersOutliveGroupAndContext) {
  const FdCensus fds;
  const MapCensus maps;
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  std::vector<Held> held = std::move(rig->streams[0]->held);
  rig->streams[0]->held.clear();
  rig.reset();
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < 8; ++t)
    threads.emplace_back([&held, t] {
      for (std::size_t i = t; i < held.size(); i += 8) {
        EXPECT_TRUE(held[i].unchanged());
        held[i].drop();
      }
    });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
}

// Goal: open and close leave nothing behind, with flows in any state.
TEST_P(Lifetimes, ClosingLeaksNothing) {
  const FdCensus fds;
  const MapCensus maps;
  for (int round = 0; round < 5; ++round) {
    auto rig = rig_with_buffers_out({.queues = 2});
    ASSERT_NE(rig, nullptr);
    Stream* closing = rig->connect();
    ASSERT_NE(closing, nullptr);
    closing->flow->close();
  }
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
}

// Goal: Buffers dropped on eight threads while bytes still come are each returned once.
TEST_P(Lifetimes, BuffersAreDroppedOnManyThreads) {
  struct Lane {
    std::mutex mutex;
    std::vector<Held> held;
  };
  auto rig = Rig::open(GetParam(), {.region_bytes = 1 << 20});
  ASSERT_OK(rig);
  std::array<Lane, 8> lanes;
  std::atomic<bool> stop{false};
  std::vector<std::thread> threads;
  for (Lane& lane : lanes)
    threads.emplace_back([&lane, &stop] {
      for (bool last = false; !last;) {
        last = stop;
        std::vector<Held> mine;
        {
          const std::lock_guard lock{lane.mutex};
          mine.swap(lane.held);
        }
        if (mine.empty()) std::this_thread::yield();
      }
    });
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  std::size_t next = 0;
  stream->consume = [&](Held one) {
    Lane& lane = lanes[next++ % lanes.size()];
    const std::lock_guard lock{lane.mutex};
    lane.held.push_back(std::move(one));
  };
  stream->send(32u << 20, true);
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  stop = true;
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(stream->received, 32u << 20);
  EXPECT_TRUE((*rig)->close(*stream));
  EXPECT_EQ((*rig)->receiver().held_bytes(), 0u);
}

// Goal: close() says that Buffers are out and changes nothing but that flows end; then it gives the
// Region back, which can be bound again.
TEST_P(Lifetimes, CloseAnswersBusyThenGivesTheRegionBack) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  EXPECT_REFUSED(rig->group->close(), busy, buffers_out);
  for (const Held& held : rig->streams[0]->held) EXPECT_TRUE(held.unchanged());
  rig->streams[0]->held.clear();
  Result<Region> region = rig->group->close();
  ASSERT_OK(region);
  GroupOptions again;
  again.interface = GetParam().interface;
  again.transports = {GetParam().transport};
  again.options = GetParam().options;
  Result<Group> group = Group::open(*rig->context, again, *region);
  EXPECT_OK(group);
  EXPECT_FALSE(static_cast<bool>(*region)) << "taken by the Group: no second binding";
  Result<Group> second = Group::open(*rig->context, again, *region);
  EXPECT_FALSE(second);
}

// Goal: a forked child can do nothing to its parent's Receiver and Buffers.
TEST_P(Lifetimes, AForkedChildIsInert) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  Stream& stream = *rig->streams[0];
  const std::size_t out = stream.held.size();
  EXPECT_TRUE(holds_in_child([&] {
    std::vector<Completion> batch(4);
    const auto polled = rig->receiver().poll(batch);
    const bool right = !polled && polled.error().code() == Errc::wrong_process;
    const auto bytes = stream.held[0].buffer().host_bytes();
    for (Held& held : stream.held) held.drop_unchecked();
    rig->group.reset();
    return right && !bytes;
  }));
  rig->step();
  EXPECT_EQ(rig->receiver().buffers_out(), out);
  for (const Held& held : stream.held) EXPECT_TRUE(held.unchanged());
  stream.send(100'000, true);
  EXPECT_TRUE(rig->until([&] { return stream.ended; }));
  EXPECT_EQ(stream.received, 200'000u);
}

// Goal: the first poll owns the Receiver; other threads are told so.
TEST_P(Lifetimes, OtherThreadsAreRefused) {
  auto rig = rig_with_buffers_out();
  ASSERT_NE(rig, nullptr);
  std::thread{[&] {
    std::vector<Completion> batch(4);
    EXPECT_REFUSED(rig->receiver().poll(batch), wrong_thread, polled_by_another_thread);
    EXPECT_REFUSED(rig->receiver().arm(), wrong_thread, polled_by_another_thread);
  }}.join();
}

}  // namespace
}  // namespace landfall::test
