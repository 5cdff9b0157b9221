// SPDX-License-Identifier: Apache-2.0
// The transport through its plug-in, over libfabric's tcp provider on the loopback interface: with
// its connections, and without any (tcp;ofi_rxm).
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <mutex>
#include <numeric>
#include <random>
#include <thread>

#include "landfall_test/census.hpp"
#include "landfall_test/fault_plan.hpp"
#include "landfall_test/sanitizers.hpp"
#include "messages/rig_test.hpp"

#if LANDFALL_ASAN
#include <sanitizer/lsan_interface.h>
#endif

namespace landfall::messages::test {
namespace {

const landfall_transport_ops& ops() {
  static const landfall_transport_ops* const loaded = [] {
    std::string why;
    const auto* found = load(LANDFALL_OFI_PLUGIN, &why);
    if (found == nullptr) ADD_FAILURE() << why;
    return found;
  }();
  return *loaded;
}

constexpr const char* kMsg = "provider=tcp\n";
constexpr const char* kRdm = "provider=tcp;ofi_rxm\n";

bool is_missing() {
  Domain domain{ops(), {.options = kMsg}};
  landfall_needs needs{};
  return domain.probe(&needs) != LANDFALL_ERRC_ok &&
         domain.why.code == LANDFALL_REASON_rdma_library_missing;
}
#define LANDFALL_NEED_LIBFABRIC() \
  if (is_missing()) GTEST_SKIP() << "libfabric.so.1 is not installed (Debian: libfabric1)"

/// The endpoints of the test that runs.
const char* g_provider = kMsg;

DomainSetup with_provider(DomainSetup setup) {
  setup.options += g_provider;
  return setup;
}

/// A receiving and a sending domain, each with one queue, and a connection from tag 1 to tag 1.
struct Pair {
  explicit Pair(DomainSetup receives = {}, DomainSetup sends = {}, QueueSetup queue = {})
      : to{ops(), with_provider(std::move(receives))},
        from{ops(), with_provider(std::move(sends))},
        receiver{to, queue},
        sender{from, {.sends = true}} {}

  bool open(int family = AF_INET) {
    return to.open() == LANDFALL_ERRC_ok && from.open() == LANDFALL_ERRC_ok &&
           receiver.open() == LANDFALL_ERRC_ok && sender.open() == LANDFALL_ERRC_ok &&
           receiver.listen(loopback(family)) == LANDFALL_ERRC_ok;
  }
  bool connect() {
    if (sender.connect(receiver.address(), 1) != LANDFALL_ERRC_ok) return false;
    return pump({&receiver, &sender},
                [this] {
                  return (sender.flows[1].opened && receiver.flows[1].opened) ||
                         sender.flows[1].ended();
                }) &&
           !sender.flows[1].ended();
  }
  /// Sends `bytes` in ranges of `range`, and finishes.
  bool transfer(std::uint64_t bytes, std::uint64_t range) {
    sender.set_rooms(range);
    bool finished = false;
    const auto feed = [&] {
      FlowState& flow = sender.flows[1];
      while (flow.handed < bytes && !flow.ended() &&
             sender.send(1, std::min(range, bytes - flow.handed))) {
      }
      if (flow.handed == bytes && !finished) {
        finished = true;
        sender.finish(1);
      }
    };
    return pump(
        {&receiver, &sender}, [&] { return receiver.flows[1].ended() || sender.flows[1].ended(); },
        feed);
  }
  bool until(const std::function<bool()>& done) { return pump({&receiver, &sender}, done); }

  Domain to, from;
  Queue receiver, sender;
};

/// What this thread allocates meanwhile may leak.
struct LeaksOfOthers {
#if LANDFALL_ASAN
  explicit LeaksOfOthers(bool allowed) : allowed_{allowed} {
    if (allowed_) __lsan_disable();
  }
  ~LeaksOfOthers() {
    if (allowed_) __lsan_enable();
  }
  const bool allowed_;
#else
  explicit LeaksOfOthers(bool) {}
  ~LeaksOfOthers() {}
#endif
  LeaksOfOthers(const LeaksOfOthers&) = delete;
  LeaksOfOthers& operator=(const LeaksOfOthers&) = delete;
};

struct Way {
  const char* name;
  const char* provider;
  int family = AF_INET;
};
std::string name_of(const testing::TestParamInfo<Way>& way) {
  return way.param.name;
}

class Ofi : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    LANDFALL_NEED_LIBFABRIC();
    g_provider = GetParam().provider;
  }
  static bool has_connections() { return g_provider == kMsg; }

 private:
  // `ofi_rxm` leaks what it has of a connection that came when nothing was read any more (1.17).
  const LeaksOfOthers leaks_{GetParam().provider != kMsg};
};
INSTANTIATE_TEST_SUITE_P(Ways, Ofi,
                         testing::Values(Way{"ip4", kMsg}, Way{"ip6", kMsg, AF_INET6},
                                         Way{"rdm_ip4", kRdm}, Way{"rdm_ip6", kRdm, AF_INET6}),
                         name_of);

/// Of which one family is enough.
class OfiCase : public Ofi {};
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

// Goal: a connection that nobody answers fails by name.
TEST_P(Ofi, NobodyListens) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  pair.receiver.stop_listening();
  ASSERT_EQ(pair.sender.connect(pair.receiver.address(), 1), LANDFALL_ERRC_ok);
  FlowState& flow = pair.sender.flows[1];
  ASSERT_TRUE(pair.until([&] { return flow.ended(); }));
  EXPECT_TRUE(flow.failed);
  EXPECT_FALSE(flow.opened);
  EXPECT_EQ(flow.native, ECONNREFUSED);
  EXPECT_EQ(flow.code, std::uint32_t{LANDFALL_REASON_peer_unreachable});
  pair.sender.close(1);
  EXPECT_TRUE(pair.until([&] { return flow.closed; }));
}

// Goal: a port is free again when nobody listens there, and can be listened on once more.
TEST_P(Ofi, ListensAgain) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  const std::vector<std::byte> address{pair.receiver.address().begin(),
                                       pair.receiver.address().end()};
  for (int i = 0; i < 3; ++i) {
    pair.receiver.stop_listening();
    ASSERT_EQ(pair.receiver.listen(address), LANDFALL_ERRC_ok) << pair.receiver.why.text;
  }
  EXPECT_TRUE(pair.connect());
}

// Goal: a connection goes to the queue that starts its flow; the listener's has nothing of it.
TEST_P(Ofi, AnotherQueueTakesTheFlow) {
  Pair pair{{.queues = 2}};
  ASSERT_TRUE(pair.open(GetParam().family));
  Queue second{pair.to, {.index = 1}};
  ASSERT_EQ(second.open(), LANDFALL_ERRC_ok) << second.why.text;
  pair.receiver.start = false;
  ASSERT_EQ(pair.sender.connect(pair.receiver.address(), 1), LANDFALL_ERRC_ok);
  ASSERT_TRUE(pair.until([&] { return pair.receiver.flows[1].handle != nullptr; }));
  second.flows[1].handle = pair.receiver.flows[1].handle;
  ASSERT_EQ(second.start_flow(1), LANDFALL_ERRC_ok);
  pair.sender.set_rooms(10'000);
  bool finished = false;
  ASSERT_TRUE(pump(
      {&pair.receiver, &pair.sender, &second}, [&] { return second.flows[1].ended(); },
      [&] {
        FlowState& flow = pair.sender.flows[1];
        while (flow.opened && flow.handed < 1'000'000 && pair.sender.send(1, 10'000)) {
        }
        if (flow.handed == 1'000'000 && !std::exchange(finished, true)) pair.sender.finish(1);
      }));
  EXPECT_TRUE(second.flows[1].finished);
  EXPECT_TRUE(second.flows[1].intact);
  EXPECT_EQ(second.flows[1].bytes, 1'000'000u);
  EXPECT_EQ(pair.receiver.flows[1].bytes, 0u);
}

// Goal: a flow that is closed before anybody starts it refuses the connection.
TEST_P(Ofi, AFlowThatIsNotWantedIsRefused) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  pair.receiver.start = false;
  ASSERT_EQ(pair.sender.connect(pair.receiver.address(), 1), LANDFALL_ERRC_ok);
  ASSERT_TRUE(pair.until([&] { return pair.receiver.flows[1].handle != nullptr; }));
  pair.receiver.stop_listening();  // what it brought can be refused all the same
  pair.receiver.close(1);
  ASSERT_TRUE(pair.until([&] { return pair.sender.flows[1].ended(); }));
  EXPECT_TRUE(pair.sender.flows[1].failed);
}

// Goal: two sides that both send tell each other so.
TEST_P(Ofi, TwoSendersDoNotMatch) {
  Domain domain{ops(), with_provider({.queues = 1})};
  ASSERT_EQ(domain.open(), LANDFALL_ERRC_ok) << domain.why.text;
  Queue listening{domain, {.sends = true}}, sender{domain, {.sends = true}};
  ASSERT_EQ(listening.open(), LANDFALL_ERRC_ok) << listening.why.text;
  ASSERT_EQ(sender.open(), LANDFALL_ERRC_ok) << sender.why.text;
  ASSERT_EQ(listening.listen(loopback(GetParam().family)), LANDFALL_ERRC_ok);
  ASSERT_EQ(sender.connect(listening.address(), 1), LANDFALL_ERRC_ok);
  ASSERT_TRUE(pump({&listening, &sender}, [&] { return sender.flows[1].ended(); }));
  EXPECT_EQ(sender.flows[1].code, std::uint32_t{LANDFALL_REASON_both_same_role});
}

// Goal: a receiver may connect to a sender that listens.
TEST_P(Ofi, AReceiverConnects) {
  Pair pair;
  ASSERT_TRUE(pair.open(GetParam().family));
  ASSERT_EQ(pair.sender.listen(loopback(GetParam().family)), LANDFALL_ERRC_ok)
      << pair.sender.why.text;
  ASSERT_EQ(pair.receiver.connect(pair.sender.address(), 1), LANDFALL_ERRC_ok);
  ASSERT_TRUE(pair.until([&] { return pair.receiver.flows[1].opened; }));
  ASSERT_TRUE(pair.transfer(3'000'000, 50'000));
  EXPECT_TRUE(pair.receiver.flows[1].finished);
  EXPECT_TRUE(pair.receiver.flows[1].intact);
  EXPECT_EQ(pair.receiver.flows[1].bytes, 3'000'000u);
}

// Goal: a stranger that connects to the port and says anything, or nothing, disturbs nobody.
TEST_P(OfiCase, StrangersDoNoHarm) {
  Pair pair;
  ASSERT_TRUE(pair.open());
  const auto stranger = [&](std::string_view says) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    EXPECT_EQ(::connect(fd, reinterpret_cast<const sockaddr*>(pair.receiver.address().data()),
                        sizeof(sockaddr_in)),
              0);
    EXPECT_EQ(::send(fd, says.data(), says.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(says.size()));
    return fd;
  };
  const int silent = stranger(""), rude = stranger("GET / HTTP/1.1\r\nHost: landfall\r\n\r\n");
  ASSERT_TRUE(pair.connect());
  ASSERT_TRUE(pair.transfer(1'000'000, 10'000));
  EXPECT_TRUE(pair.receiver.flows[1].intact);
  // One that says nothing until nobody listens any more, and then all that a provider waits for.
  pair.receiver.stop_listening();
  const std::string late(64, '\0');
  EXPECT_GE(::send(silent, late.data(), late.size(), MSG_NOSIGNAL), 0);
  pump(
      {&pair.receiver}, [] { return false; }, {}, std::chrono::milliseconds{50});
  EXPECT_EQ(pair.receiver.flows.size(), 1u);
  ::close(silent);
  ::close(rude);
  pump(
      {&pair.receiver}, [] { return false; }, {}, std::chrono::milliseconds{50});
}

// Goal: whoever was just connecting when a listener goes is refused, at each point of the way.
TEST_P(Ofi, AListenerThatGoesRefusesWhoIsOnTheWay) {
  for (int steps = 0; steps < 6; ++steps) {
    Pair pair;
    ASSERT_TRUE(pair.open(GetParam().family));
    pair.receiver.start = false;
    ASSERT_EQ(pair.sender.connect(pair.receiver.address(), 1), LANDFALL_ERRC_ok);
    for (int i = 0; i < steps; ++i) (i % 2 == 0 ? pair.receiver : pair.sender).poll();
    pair.receiver.stop_listening();
    FlowState& flow = pair.sender.flows[1];
    const auto refuse = [&] {
      FlowState& asked = pair.receiver.flows[1];
      if (asked.handle == nullptr || asked.ended()) return;
      asked.failed = true;
      pair.receiver.close(1);
    };
    ASSERT_TRUE(pump(
        {&pair.receiver, &pair.sender}, [&] { return flow.ended(); }, refuse))
        << steps;
    EXPECT_TRUE(flow.failed);
    EXPECT_FALSE(flow.opened);
  }
}

// Goal: each queue of a domain has its thread: flows pass from the one that listens to the others
// while all of them are at work.
TEST_P(OfiCase, EachQueueHasItsThread) {
  constexpr std::uint64_t kFlows = 24, kBytes = 2'000'000, kRange = 20'000;
  Domain to{ops(), with_provider({.queues = 3})};
  ASSERT_EQ(to.open(), LANDFALL_ERRC_ok);
  Queue listening{to, {}}, first{to, {.index = 1}}, second{to, {.index = 2}};
  for (Queue* queue : {&listening, &first, &second})
    ASSERT_EQ(queue->open(), LANDFALL_ERRC_ok) << queue->why.text;
  ASSERT_EQ(listening.listen(loopback(AF_INET)), LANDFALL_ERRC_ok);
  listening.start = false;
  const std::vector<std::byte> address{listening.address().begin(), listening.address().end()};

  std::mutex mutex;
  std::vector<landfall_flow*> handed;  // to the first and the second in turn
  std::atomic<std::uint64_t> ended{0};
  const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{60};
  const auto going = [&] { return ended < kFlows && std::chrono::steady_clock::now() < limit; };
  const auto receive = [&](Queue& queue, std::uint64_t parity) {
    queue.patterned = false;
    std::uint64_t seen = 0, tag = 0, told = 0;
    while (going()) {
      {
        const std::lock_guard lock{mutex};
        for (; seen < handed.size(); ++seen) {
          if (seen % 2 != parity) continue;
          queue.flows[++tag].handle = handed[seen];
          EXPECT_EQ(queue.start_flow(tag), LANDFALL_ERRC_ok);
        }
      }
      queue.poll();
      std::uint64_t now = 0;
      for (const auto& [number, flow] : queue.flows) now += flow.ended() ? 1 : 0;
      ended += now - std::exchange(told, now);
    }
    for (const auto& [number, flow] : queue.flows) {
      EXPECT_TRUE(flow.finished) << flow.native;
      EXPECT_EQ(flow.bytes, kBytes);
    }
  };
  std::vector<std::thread> threads;
  threads.emplace_back([&] { receive(first, 0); });
  threads.emplace_back([&] { receive(second, 1); });
  threads.emplace_back([&] {
    std::uint64_t passed = 0;
    while (going()) {
      listening.poll();
      const std::lock_guard lock{mutex};
      for (; passed < listening.flows.size(); ++passed)
        handed.push_back(listening.flows[passed + 1].handle);
    }
  });
  threads.emplace_back([&] {
    Domain from{ops(), with_provider({})};
    ASSERT_EQ(from.open(), LANDFALL_ERRC_ok);
    Queue sender{from, {.sends = true}};
    ASSERT_EQ(sender.open(), LANDFALL_ERRC_ok);
    sender.set_rooms(kRange);
    sender.patterned = false;
    for (std::uint64_t tag = 1; tag <= kFlows; ++tag)
      ASSERT_EQ(sender.connect(address, tag), LANDFALL_ERRC_ok);
    std::vector<bool> finished(kFlows + 1);
    while (going()) {
      sender.poll();
      for (std::uint64_t tag = 1; tag <= kFlows; ++tag) {
        FlowState& flow = sender.flows[tag];
        while (flow.opened && flow.handed < kBytes && sender.send(tag, kRange)) {
        }
        if (flow.handed < kBytes || finished[tag]) continue;
        finished[tag] = true;
        sender.finish(tag);
      }
    }
  });
  for (std::thread& thread : threads) thread.join();
  EXPECT_EQ(ended, kFlows);
  // What was handed over is no flow of the queue that listened.
  listening.flows.clear();
}

// Goal: a provider or domain that is not there is named.
TEST_P(OfiCase, ProbeSaysWhatIsMissing) {
  for (const char* options : {"provider=nonsense\n", "provider=tcp\ndevice=nonsense0\n"}) {
    Domain domain{ops(), {.options = options}};
    landfall_needs needs{};
    EXPECT_EQ(domain.probe(&needs), LANDFALL_ERRC_not_supported);
    EXPECT_EQ(domain.why.code, std::uint32_t{LANDFALL_REASON_no_rdma_device});
    EXPECT_NE(std::string_view{domain.why.text}.find("nonsense"), std::string_view::npos)
        << domain.why.text;
    EXPECT_NE(needs.flags & LANDFALL_CAN_SEND, 0u) << "needs are told in any case";
  }
  Domain domain{ops(), with_provider({})};
  landfall_needs needs{};
  EXPECT_EQ(domain.probe(&needs), LANDFALL_ERRC_ok) << domain.why.text;
  EXPECT_EQ(needs.best_placement, std::uint32_t{LANDFALL_COPIED}) << "the kernel copies";
  EXPECT_EQ(needs.copy_reason, std::uint32_t{LANDFALL_REASON_copied_by_kernel});
}

// Goal: a library that cannot be opened is a reason, not a crash.
TEST(OfiWithout, ALibraryThatCannotBeOpenedIsNamed) {
  landfall::test::FaultPlan plan;
  Domain domain{ops(), {.fault = plan.hook()}};
  plan.fail_always("dlopen", ENOENT);
  landfall_needs needs{};
  EXPECT_EQ(domain.probe(&needs), LANDFALL_ERRC_not_supported);
  EXPECT_EQ(domain.why.code, std::uint32_t{LANDFALL_REASON_rdma_library_missing});
}

// ---- failures

/// One small transfer with everything that belongs to it; true: it went through.
bool small_transfer(const std::function<int(std::string_view)>& at_receiver,
                    const std::function<int(std::string_view)>& at_sender) {
  Pair pair{{.region_bytes = 1u << 20, .fault = at_receiver},
            {.region_bytes = 1u << 20, .fault = at_sender}};
  if (!pair.open() || pair.sender.connect(pair.receiver.address(), 1) != LANDFALL_ERRC_ok)
    return false;
  FlowState& sent = pair.sender.flows[1];
  const auto received = [&] { return &pair.receiver.flows[1]; };
  pair.sender.set_rooms(30'000);
  bool finished = false;
  const auto feed = [&] {
    while (sent.opened && !sent.ended() && sent.handed < 300'000 && pair.sender.send(1, 30'000)) {
    }
    if (sent.handed == 300'000 && !std::exchange(finished, true)) pair.sender.finish(1);
  };
  // A fault may leave one side with nothing to hear of: what is asked is that nothing is lost in
  // silence, and that all of it goes away.
  EXPECT_TRUE(pump(
      {&pair.receiver, &pair.sender},
      [&] { return received()->ended() || sent.ended() || pair.receiver.lost || pair.sender.lost; },
      feed, std::chrono::seconds{2}));
  const bool whole = received()->finished;
  EXPECT_TRUE(received()->intact);
  EXPECT_TRUE(!whole || received()->bytes == 300'000u);
  if (received()->handle != nullptr) pair.receiver.close(1);
  if (sent.handle != nullptr) pair.sender.close(1);
  pump(
      {&pair.receiver, &pair.sender}, [&] { return received()->closed && sent.closed; }, {},
      std::chrono::milliseconds{20});
  return whole;
}

// Goal: each outside call may fail once, on either side, and nothing crashes, hangs or leaks.
// Without connections, where opening takes long, the first times and one in the midst of all.
TEST_P(OfiCase, EachCallMayFail) {
  // Nor does `tcp` free what it has of a connection that it has not told of (1.17).
  const LeaksOfOthers leaks{true};
  // `ofi_rxm` leaves the socket of a connection open that came when nothing was read any more
  // (1.17).
  const int left = has_connections() ? 0 : 1;
  for (const bool receives : {true, false}) {
    landfall::test::FaultPlan plan;
    plan.clear();
    ASSERT_TRUE(small_transfer(receives ? plan.hook() : nullptr, receives ? nullptr : plan.hook()));
    std::map<std::string, std::size_t> made;
    for (const std::string& site : plan.seen()) ++made[site];
    std::map<std::string, int> tried;
    for (const auto& [site, times] : made) {
      const std::size_t first = has_connections() ? times : std::min<std::size_t>(times, 3);
      std::vector<std::size_t> calls(first);
      std::iota(calls.begin(), calls.end(), 0);
      if (first < times) calls.push_back(times / 2);
      for (const std::size_t call : calls) {
        landfall::test::FdCensus fds;
        plan.fail(call, EIO, site);
        small_transfer(receives ? plan.hook() : nullptr, receives ? nullptr : plan.hook());
        if (plan.hit()) ++tried[site];
        plan.clear();
        EXPECT_LE(fds.leaked(), left);
        if (!testing::Test::HasFailure()) continue;
        ADD_FAILURE() << (receives ? "the receiver's " : "the sender's ") << site << ", " << call;
        return;
      }
    }
    std::vector<const char*> sites{"fi_getinfo",    "fi_fabric",  "fi_domain",
                                   "fi_mr_regattr", "fi_cq_open", "fi_endpoint",
                                   "fi_ep_bind",    "fi_enable",  "fi_cq_read"};
    if (has_connections())
      sites.insert(sites.end(), {"fi_eq_open", "fi_eq_read", "fi_recv", "fi_sendmsg"});
    else if (receives)
      sites.insert(sites.end(), {"fi_av_open", "fi_getname", "fi_recv", "accept4", "recv", "send"});
    else
      sites.insert(sites.end(),
                   {"fi_av_insert", "socket", "connect", "recv", "send", "fi_sendmsg"});
    for (const char* site : sites) EXPECT_GT(tried[site], 0) << site;
  }
}

// Goal: a provider that takes no more for a while costs nothing but time.
TEST_P(OfiCase, SendsWaitForAProviderThatTakesNoMore) {
  landfall::test::FaultPlan plan;
  for (std::size_t call = 0; call < 12; ++call) {
    plan.fail(call, EAGAIN, "fi_sendmsg");
    EXPECT_TRUE(small_transfer(plan.hook(), nullptr)) << call;
    plan.fail(call, EAGAIN, "fi_sendmsg");
    EXPECT_TRUE(small_transfer(nullptr, plan.hook())) << call;
  }
}

}  // namespace
}  // namespace landfall::messages::test
