// SPDX-License-Identifier: Apache-2.0
// How connections are made and refused, on which thread, and what is missing.
#include <unistd.h>

#include <atomic>
#include <mutex>
#include <thread>
#include <tuple>

#include "ofi/ofi_rig_test.hpp"

namespace landfall::messages::test {
namespace {

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

// Goal: who has memory of a device hears that it is the memory that the provider does not take, and
// not that there is no provider.
TEST_P(OfiCase, AProviderThatTakesNoDeviceMemoryIsNamed) {
  LANDFALL_NEED_LIBFABRIC();
  for (const auto& [flags, address, reason] :
       {std::tuple{LANDFALL_MEM_DMABUF, 0ull, LANDFALL_REASON_dmabuf_not_registrable},
        {LANDFALL_MEM_DEVICE, 1ull << 40, LANDFALL_REASON_memory_not_registrable}}) {
    Domain domain{ops(), with_provider({})};
    landfall_memory device = domain.memory();
    device.host = nullptr;
    device.flags = flags;
    device.device_address = address;
    device.device_kind = address != 0 ? 2 : 0;  // DLPack: CUDA
    landfall_domain_spec spec = domain.spec();
    spec.region = &device;
    landfall_needs needs{};
    needs.struct_size = sizeof needs;
    EXPECT_EQ(ops().probe(&spec, &needs, &domain.why), LANDFALL_ERRC_not_supported);
    EXPECT_EQ(domain.why.code, std::uint32_t{reason}) << domain.why.text;
    EXPECT_NE(std::string_view{domain.why.text}.find("tcp"), std::string_view::npos)
        << domain.why.text;
  }
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

}  // namespace
}  // namespace landfall::messages::test
