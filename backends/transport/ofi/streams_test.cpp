// SPDX-License-Identifier: Apache-2.0
// What streams carry, and how they end.
#include <poll.h>
#include <sys/wait.h>
#include <unistd.h>

#include <csignal>
#include <random>

#include "ofi/ofi_rig_test.hpp"

namespace landfall::messages::test {
namespace {

INSTANTIATE_TEST_SUITE_P(Ways, Ofi,
                         testing::Values(Way{"ip4", kMsg}, Way{"ip6", kMsg, AF_INET6},
                                         Way{"rdm_ip4", kRdm}, Way{"rdm_ip6", kRdm, AF_INET6}),
                         name_of);

INSTANTIATE_TEST_SUITE_P(Ways, OfiCase, testing::Values(Way{"msg", kMsg}, Way{"rdm", kRdm}),
                         name_of);

// Goal: a long stream in ranges of any length comes whole, in order, with its message ends.
TEST_P(Ofi, CarriesAStreamUnchanged) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family)) << pair.receiver.why.text;
  ASSERT_TRUE(pair.connect()) << pair.sender.why.text;
  constexpr std::uint64_t kBytes = 100u << 20;
  constexpr std::uint64_t kLongest = 1u << 20;
  pair.sender.set_rooms(kLongest);
  std::mt19937 random{20};
  std::vector<std::uint64_t> ends;
  bool finished = false;
  const auto feed = [&] {
    FlowState& flow = pair.sender.flows[1];
    while (flow.handed < kBytes) {
      auto peek = random;
      const std::uint64_t wide = peek() % 4 == 0 ? kLongest : 5000;
      const std::uint64_t length = std::min(1 + peek() % wide, kBytes - flow.handed);
      const bool message_end = peek() % 3 == 0;
      if (!pair.sender.send(1, length, message_end)) return;
      random = peek;
      if (message_end) ends.push_back(flow.handed);
    }
    if (!std::exchange(finished, true)) pair.sender.finish(1);
  };
  ASSERT_TRUE(pump(
      {&pair.receiver, &pair.sender}, [&] { return pair.receiver.flows[1].ended(); }, feed));
  const FlowState& got = pair.receiver.flows[1];
  EXPECT_TRUE(got.finished) << got.native;
  EXPECT_EQ(got.bytes, kBytes);
  EXPECT_TRUE(got.intact);
  EXPECT_EQ(got.message_ends, ends);
  EXPECT_EQ(got.placement, LANDFALL_COPIED) << "over sockets nothing else is true";
}

// Goal: after the end of the stream both sides close, and each hears its CLOSED.
TEST_P(Ofi, ClosesBothSidesInOrder) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  ASSERT_TRUE(pair.connect());
  ASSERT_TRUE(pair.transfer(1u << 20, 10'000));
  ASSERT_TRUE(pair.receiver.flows[1].finished);
  pair.receiver.close(1);
  pair.sender.close(1);
  EXPECT_TRUE(
      pair.until([&] { return pair.receiver.flows[1].closed && pair.sender.flows[1].closed; }));
  EXPECT_EQ(pair.receiver.flows[1].bytes, 1u << 20);
}

// Goal: a sender that closes behind finish() loses nothing of what it sent, though most of it is
// still in its kernel then and the receiver, which is slow, still grants credits that nobody reads.
TEST_P(Ofi, ASenderThatClosesAtOnceLosesNothing) {
  const std::string large = "slot=64KiB\ncredits=64\n";
  for (int round = 0; round < 5; ++round) {
    Pair pair{{.options = large}, {.options = large}};
    ASSERT_TRUE(pair.open(GetParam().family));
    ASSERT_TRUE(pair.connect());
    pair.sender.set_rooms(64u << 10);
    pair.sender.patterned = pair.receiver.patterned = false;
    constexpr std::uint64_t kBytes = 12u << 20;
    bool closed = false;
    const auto feed = [&] {
      FlowState& flow = pair.sender.flows[1];
      for (int i = 0; i < 50 && !flow.closed; ++i) {
        while (flow.handed < kBytes && pair.sender.send(1, 64u << 10)) {
        }
        pair.sender.poll();
      }
      if (flow.handed < kBytes || std::exchange(closed, true)) return;
      pair.sender.finish(1);
      pair.sender.close(1);
    };
    ASSERT_TRUE(pump(
        {&pair.receiver, &pair.sender}, [&] { return pair.receiver.flows[1].ended(); }, feed));
    EXPECT_TRUE(pair.receiver.flows[1].finished) << pair.receiver.flows[1].native;
    EXPECT_EQ(pair.receiver.flows[1].bytes, kBytes);
  }
}

// Goal: what came before a connection ended is told before its end, also where it is more than one
// poll takes.
TEST_P(Ofi, WhatCameBeforeTheEndIsTold) {
  const std::string small = "slot=1KiB\ncredits=511\n";
  Pair pair{{.options = small}, {.options = small}};
  ASSERT_TRUE(pair.open(GetParam().family));
  ASSERT_TRUE(pair.connect());
  pair.sender.set_rooms(1000);
  constexpr std::uint64_t kFirst = 2'000'000, kMessages = 100;  // a poll has room for 64
  ASSERT_TRUE(pump(
      {&pair.receiver, &pair.sender}, [&] { return pair.receiver.flows[1].bytes == kFirst; },
      [&] {
        while (pair.sender.flows[1].handed < kFirst && pair.sender.send(1, 1000)) {
        }
      }));
  for (std::uint64_t i = 0; i < kMessages; ++i) ASSERT_TRUE(pair.sender.send(1, 1000));
  ASSERT_TRUE(pump({&pair.sender},
                   [&] { return pair.sender.flows[1].bytes == kFirst + kMessages * 1000; }));
  pair.sender.close(1, true);
  ASSERT_TRUE(pump({&pair.sender}, [&] { return pair.sender.flows[1].closed; }));
  FlowState& flow = pair.receiver.flows[1];
  ASSERT_TRUE(pump({&pair.receiver}, [&] { return flow.ended(); }));
  // Without connections the end overtakes what is under way.
  if (has_connections()) {
    EXPECT_EQ(flow.bytes, kFirst + kMessages * 1000);
  }
  EXPECT_TRUE(flow.intact);
  EXPECT_TRUE(flow.failed);
}

// Goal: ranges are told as sent in the order in which they were sent, each when none of it is read
// any more, also where a provider is through with short messages before it is with long ones: those
// wait until the receiver fetches them.
TEST_P(OfiCase, RangesAreToldInOrder) {
  constexpr std::uint64_t kLong = 200'000, kShort = 1000;  // a message each
  const std::string large = "slot=256KiB\n";  // of `ofi_rxm` messages over 128 KiB are fetched
  Pair pair{{.options = large}, {.options = large}};
  ASSERT_TRUE(pair.open());
  ASSERT_TRUE(pair.connect());
  pair.sender.set_rooms(kLong);
  FlowState& flow = pair.sender.flows[1];
  ASSERT_TRUE(pair.sender.send(1, kShort));
  ASSERT_TRUE(pair.until([&] { return flow.bytes == kShort; }));
  pump(
      {&pair.receiver, &pair.sender}, [] { return false; }, {}, std::chrono::milliseconds{50});
  ASSERT_TRUE(pair.sender.send(1, kLong));
  ASSERT_TRUE(pair.sender.send(1, kShort));
  bool in_order = true;
  const auto look = [&] {
    in_order = in_order && (flow.bytes == kShort || flow.bytes >= kShort + kLong);
  };
  pump(
      {&pair.sender}, [] { return false; }, look, std::chrono::milliseconds{200});
  EXPECT_TRUE(in_order) << "the short range was told before the long one";
  ASSERT_TRUE(pump(
      {&pair.receiver, &pair.sender}, [&] { return flow.bytes == 2 * kShort + kLong; }, look));
  EXPECT_TRUE(in_order);
  EXPECT_TRUE(pair.until([&] { return pair.receiver.flows[1].bytes == 2 * kShort + kLong; }));
  EXPECT_TRUE(pair.receiver.flows[1].intact);
}

// Goal: a receiver that closes in order is no error for the sender.
TEST_P(Ofi, TheSenderHearsThatTheReceiverClosed) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  ASSERT_TRUE(pair.connect());
  pair.sender.set_rooms(1000);
  ASSERT_TRUE(pair.sender.send(1, 1000));
  ASSERT_TRUE(pair.until([&] { return pair.receiver.flows[1].bytes == 1000; }));
  pair.receiver.close(1);
  ASSERT_TRUE(
      pair.until([&] { return pair.sender.flows[1].ended() && pair.receiver.flows[1].closed; }));
  EXPECT_TRUE(pair.sender.flows[1].finished) << pair.sender.flows[1].native;
}

// Goal: a reset is an error on the other side, by name, whoever resets.
TEST_P(Ofi, AResetFailsTheOtherSide) {
  for (const bool by_receiver : {true, false}) {
    Pair pair;
    ASSERT_TRUE(pair.open(GetParam().family));
    ASSERT_TRUE(pair.connect());
    pair.sender.set_rooms(100'000);
    for (int i = 0; i < 20; ++i) pair.sender.send(1, 100'000);
    (by_receiver ? pair.receiver : pair.sender).close(1, true);
    FlowState& other = (by_receiver ? pair.sender : pair.receiver).flows[1];
    ASSERT_TRUE(pair.until([&] { return other.ended(); }));
    EXPECT_TRUE(other.failed) << by_receiver;
    EXPECT_EQ(other.code, std::uint32_t{LANDFALL_REASON_peer_reset}) << other.native;
    FlowState& own = (by_receiver ? pair.receiver : pair.sender).flows[1];
    EXPECT_TRUE(pair.until([&] { return own.closed; }));
  }
}

// Goal: what a sender's process leaves behind when it is killed reaches the receiver, and then the
// error.
TEST_P(OfiCase, AKilledSenderFailsItsFlow) {
  Domain to{ops(), with_provider({})};
  ASSERT_EQ(to.open(), LANDFALL_ERRC_ok) << to.why.text;
  Queue receiver{to, {}};
  ASSERT_EQ(receiver.open(), LANDFALL_ERRC_ok) << receiver.why.text;
  ASSERT_EQ(receiver.listen(loopback(AF_INET)), LANDFALL_ERRC_ok) << receiver.why.text;
  const pid_t child = ::fork();
  if (child == 0) {
    Domain from{ops(), with_provider({})};
    Queue sender{from, {.sends = true}};
    if (from.open() != LANDFALL_ERRC_ok || sender.open() != LANDFALL_ERRC_ok ||
        sender.connect(receiver.address(), 1) != LANDFALL_ERRC_ok)
      ::_exit(1);
    sender.set_rooms(10'000);
    pump(
        {&sender}, [] { return false; },
        [&] {
          if (sender.flows[1].opened) sender.send(1, 10'000);
        });
    ::_exit(2);
  }
  ASSERT_GT(child, 0);
  EXPECT_TRUE(pump({&receiver}, [&] { return receiver.flows[1].bytes > 1'000'000; }));
  ::kill(child, SIGKILL);
  ::waitpid(child, nullptr, 0);
  FlowState& flow = receiver.flows[1];
  ASSERT_TRUE(pump({&receiver}, [&] { return flow.ended(); }));
  EXPECT_TRUE(flow.failed);
  EXPECT_EQ(flow.code, std::uint32_t{LANDFALL_REASON_peer_reset}) << flow.native;
  EXPECT_TRUE(flow.intact);
}

// Goal: a flow that is paused stalls its sender, and goes on where it was.
TEST_P(Ofi, APauseStallsTheSender) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  ASSERT_TRUE(pair.connect());
  pair.receiver.pause(1, true);
  pair.sender.set_rooms(100'000);
  for (int i = 0; i < 100; ++i) ASSERT_TRUE(pair.sender.send(1, 100'000));
  // Nothing comes any more when the credits are used up.
  pump(
      {&pair.receiver, &pair.sender}, [] { return false; }, {}, std::chrono::milliseconds{200});
  const std::uint64_t while_paused = pair.receiver.flows[1].bytes;
  EXPECT_LT(while_paused, 10u * 100'000);
  pair.receiver.pause(1, false);
  ASSERT_TRUE(pair.until([&] { return pair.receiver.flows[1].bytes == 100u * 100'000; }));
  EXPECT_TRUE(pair.receiver.flows[1].intact);
}

// Goal: Buffers that are kept stall the stream before anything is lost, and it resumes when they
// come back.
TEST_P(Ofi, BuffersHeldBackStallAndResume) {
  Pair pair{{.region_bytes = 1u << 20}};
  ASSERT_TRUE(pair.open(GetParam().family));
  ASSERT_TRUE(pair.connect());
  pair.receiver.hold = true;
  constexpr std::uint64_t kBytes = 8u << 20;
  pair.sender.set_rooms(100'000);
  bool finished = false;
  const auto feed = [&] {
    FlowState& flow = pair.sender.flows[1];
    while (flow.handed < kBytes &&
           pair.sender.send(1, std::min<std::uint64_t>(100'000, kBytes - flow.handed))) {
    }
    if (flow.handed == kBytes && !std::exchange(finished, true)) pair.sender.finish(1);
  };
  std::uint64_t rounds = 0;
  while (!pair.receiver.flows[1].ended() && ++rounds < 1000) {
    pump(
        {&pair.receiver, &pair.sender}, [&] { return pair.receiver.flows[1].ended(); }, feed,
        std::chrono::milliseconds{20});
    EXPECT_LE(pair.receiver.flows[1].held_bytes, 1u << 20);
    pair.receiver.give_back(1);
  }
  EXPECT_GE(rounds, kBytes >> 20);
  EXPECT_TRUE(pair.receiver.was_starved);
  EXPECT_TRUE(pair.receiver.flows[1].finished);
  EXPECT_EQ(pair.receiver.flows[1].bytes, kBytes);
  EXPECT_TRUE(pair.receiver.flows[1].intact);
}

// Goal: who has polled for long without sleeping is woken all the same once it does.
TEST_P(OfiCase, WhoNeverSleptIsWoken) {
  Pair pair;
  ASSERT_TRUE(pair.open());
  ASSERT_TRUE(pair.connect());
  for (int i = 0; i < 1000; ++i) pair.receiver.poll();
  while (!pair.receiver.arm()) pair.receiver.poll();
  pollfd wait{pair.receiver.wait_fd(), POLLIN, 0};
  ASSERT_EQ(::poll(&wait, 1, 0), 0);
  pair.sender.set_rooms(1000);
  ASSERT_TRUE(pair.sender.send(1, 1000));
  for (int i = 0; i < 500 && ::poll(&wait, 1, 10) == 0; ++i) pair.sender.poll();
  EXPECT_EQ(wait.revents, POLLIN);
  EXPECT_TRUE(pair.until([&] { return pair.receiver.flows[1].bytes == 1000; }));
}

// Goal: what was received stays as it is after the flow has gone, until it is given back.
TEST_P(OfiCase, ExtentsOutliveTheConnection) {
  Pair pair;
  ASSERT_TRUE(pair.open());
  ASSERT_TRUE(pair.connect());
  pair.receiver.hold = true;
  ASSERT_TRUE(pair.transfer(100'000, 100'000));
  pair.sender.close(1);
  pair.receiver.close(1);
  ASSERT_TRUE(pair.until([&] { return pair.sender.flows[1].closed; }));
  FlowState& flow = pair.receiver.flows[1];
  EXPECT_FALSE(flow.closed);
  std::uint64_t at = 0;
  for (const landfall_return& extent : flow.held) {
    EXPECT_TRUE(is_filled({pair.to.bytes() + extent.offset, extent.length}, 1, at));
    at += extent.length;
  }
  EXPECT_EQ(at, 100'000u);
  pair.receiver.give_back(1);
  EXPECT_TRUE(pair.until([&] { return flow.closed; }));
}

// Goal: two hundred flows share one queue on either side.
TEST_P(Ofi, TwoHundredFlows) {
  constexpr std::uint64_t kFlows = 200, kBytes = 300'000, kRange = 30'000;
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  pair.sender.set_rooms(kRange);
  // Which tag a connection gets over there is not known here: all carry the same pattern.
  pair.receiver.patterned = pair.sender.patterned = false;
  for (std::uint64_t tag = 1; tag <= kFlows; ++tag)
    ASSERT_EQ(pair.sender.connect(pair.receiver.address(), tag), LANDFALL_ERRC_ok)
        << pair.sender.why.text;
  std::vector<bool> finished(kFlows + 1);
  const auto feed = [&] {
    for (std::uint64_t tag = 1; tag <= kFlows; ++tag) {
      FlowState& flow = pair.sender.flows[tag];
      if (!flow.opened) continue;
      while (flow.handed < kBytes && pair.sender.send(tag, kRange)) {
      }
      if (flow.handed == kBytes && !finished[tag]) {
        finished[tag] = true;
        pair.sender.finish(tag);
      }
    }
  };
  const auto ended = [&] {
    return std::count_if(pair.receiver.flows.begin(), pair.receiver.flows.end(),
                         [](const auto& one) { return one.second.ended(); });
  };
  ASSERT_TRUE(pump(
      {&pair.receiver, &pair.sender}, [&] { return ended() == kFlows; }, feed));
  for (auto& [tag, flow] : pair.receiver.flows) {
    EXPECT_TRUE(flow.finished) << tag << ": " << flow.native;
    EXPECT_EQ(flow.bytes, kBytes) << tag;
    pair.receiver.close(tag);
    pair.sender.close(tag);
  }
  EXPECT_TRUE(pair.until([&] {
    return std::all_of(pair.receiver.flows.begin(), pair.receiver.flows.end(),
                       [](const auto& one) { return one.second.closed; }) &&
           std::all_of(pair.sender.flows.begin(), pair.sender.flows.end(),
                       [](const auto& one) { return one.second.closed; });
  }));
}

/// One flow after another sends more than there are slots, three times, and all of them stay.
void expect_turns(Pair& pair, std::uint64_t flows) {
  pair.receiver.patterned = pair.sender.patterned = false;
  pair.sender.set_rooms(16u << 10);
  std::uint64_t sent = 0;
  for (std::uint64_t round = 0; round < 3; ++round) {
    for (std::uint64_t tag = 1; tag <= flows; ++tag) {
      FlowState& flow = pair.sender.flows[tag];
      if (round == 0) {
        ASSERT_EQ(pair.sender.connect(pair.receiver.address(), tag), LANDFALL_ERRC_ok);
      }
      const std::uint64_t most = flow.handed + 50 * 16'000;
      const auto feed = [&] {
        while (flow.opened && flow.handed < most && pair.sender.send(tag, 16'000)) {
        }
      };
      sent += 50 * 16'000;
      const auto received = [&] {
        std::uint64_t bytes = 0;
        for (const auto& [other, got] : pair.receiver.flows) bytes += got.bytes;
        return bytes;
      };
      ASSERT_TRUE(pump(
          {&pair.receiver, &pair.sender}, [&] { return received() == sent; }, feed))
          << "flow " << tag << " in round " << round << " waits";
    }
  }
}

// Goal: senders that are idle give up credits for which others wait: flows that could all have more
// than there is are served one after another.
TEST_P(Ofi, IdleSendersGiveWay) {
  Pair pair{{.region_bytes = 256u << 10, .options = "slot=16KiB\n"}};  // 16 slots
  ASSERT_TRUE(pair.open(GetParam().family));
  expect_turns(pair, 8);
}

// Goal: where receives cannot be called off (verbs), what an idle sender gave up is what it has
// next, no slot is lost, and there is one for each message that gives up.
TEST_P(Ofi, WhatCannotBeCalledOffIsUsedNext) {
  if (!has_connections()) GTEST_SKIP() << "receives are shared there";
  landfall::test::FaultPlan plan;
  plan.fail_always("fi_cancel", ENOSYS);
  const auto hook = plan.hook();
  Pair pair{{.region_bytes = 256u << 10, .options = "slot=16KiB\n", .fault = hook}};
  ASSERT_TRUE(pair.open(GetParam().family));
  expect_turns(pair, 5);
  EXPECT_TRUE(plan.hit());
  for (std::uint64_t tag = 1; tag <= 5; ++tag) pair.sender.close(tag);
  const auto over = [](Queue& queue) {
    return std::all_of(queue.flows.begin(), queue.flows.end(),
                       [](const auto& one) { return one.second.ended(); });
  };
  ASSERT_TRUE(pair.until([&] { return over(pair.receiver); }));
  for (auto& [tag, flow] : pair.receiver.flows) pair.receiver.close(tag);
  // All slots are free again: one flow can have a quarter of them.
  ASSERT_EQ(pair.sender.connect(pair.receiver.address(), 9), LANDFALL_ERRC_ok);
  ASSERT_TRUE(pair.until([&] { return pair.sender.flows[9].opened; }));
}

}  // namespace
}  // namespace landfall::messages::test
