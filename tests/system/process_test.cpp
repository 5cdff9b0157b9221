// SPDX-License-Identifier: Apache-2.0
// What happens to the process around a Receiver: fork, exec, signals, and opening it very often.
#include <pthread.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <set>

#include "child.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/quota.hpp"
#include "landfall_test/sanitizers.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

constexpr std::uint64_t kSeed = 5;

class Process : public testing::TestWithParam<Way> {
 protected:
  static RigOptions small() {
    RigOptions options;
    options.region_bytes = 1u << 20;
    return options;
  }
};

// Goal: a forked child gets answers instead of the parent's bytes, changes nothing by dropping all
// it has, and the parent goes on as if it had never been.
TEST_P(Process, AForkedChildIsHarmless) {
  LANDFALL_OPEN_RIG(rig, GetParam(), small());
  const auto at = rig->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();
  Collector collector{rig->receiver()};
  collector.seed_of = [](std::size_t) { return kSeed; };
  std::vector<Buffer> held;
  collector.on_data = [&](Flow&, Stream&, Buffer& buffer) {
    if (held.size() < 4) held.push_back(std::move(buffer));
  };
  const Fd peer = connect_to(*at);
  ASSERT_TRUE(send_pattern(peer.get(), kSeed, 0, 256 * 1024));
  collector.run_until([&] { return collector.total_received() == 256 * 1024; });
  ASSERT_FALSE(held.empty());

  const ChildResult child = in_child([&] {
    std::array<Completion, 8> batch;
    const auto polled = rig->receiver().poll(batch);
    if (polled || polled.error().code() != Errc::wrong_process) return 1;
    const auto armed = rig->receiver().arm();
    if (armed || armed.error().code() != Errc::wrong_process) return 2;
    const auto bytes = held.front().host_bytes();
    if (bytes || bytes.error().code() != Errc::wrong_process) return 3;
    Fd socket{::socket(AF_INET, SOCK_STREAM, 0)};
    if (rig->receiver().hand_over(socket)) return 4;
    held.clear();
    { const Group gone = std::move(rig->group); }
    return 0;
  });
  EXPECT_EQ(child.status, 0) << child.output;

  for (const Buffer& buffer : held) EXPECT_TRUE(unchanged(buffer, kSeed));
  ASSERT_TRUE(send_pattern(peer.get(), kSeed, 256 * 1024, 256 * 1024));
  finish(peer.get());
  collector.run_until([&] { return collector.count(&Stream::ended) == 1; });
  EXPECT_EQ(collector.total_received(), 512 * 1024u);
}

std::set<std::string> fds_of_a_program() {
  std::set<std::string> fds;
  const ChildResult list = in_child([] { return become({"/bin/ls", "-l", "/proc/self/fd"}); });
  EXPECT_EQ(list.status, 0) << list.output;
  std::size_t begin = 0;
  while (begin < list.output.size()) {
    const std::size_t end = list.output.find('\n', begin);
    const std::string line = list.output.substr(begin, end - begin);
    const std::size_t arrow = line.find(" -> ");
    // The number and what kind of thing it is: pipes have new numbers every time.
    if (arrow != std::string::npos) {
      const std::size_t number = line.rfind(' ', arrow - 1);
      fds.insert(line.substr(number + 1, line.find_first_of(":[", arrow) - number - 1));
    }
    if (end == std::string::npos) break;
    begin = end + 1;
  }
  return fds;
}

// Goal: nothing that landfall opened is open in a program that the application starts.
TEST_P(Process, AProgramInheritsNoDescriptor) {
  const std::set<std::string> before = fds_of_a_program();
  LANDFALL_OPEN_RIG(rig, GetParam(), small());
  const auto at = rig->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();
  Collector collector{rig->receiver()};
  collector.seed_of = [](std::size_t) { return kSeed; };
  const Fd peer = connect_to(*at);
  ASSERT_TRUE(send_pattern(peer.get(), kSeed, 0, 4096));
  collector.run_until([&] { return collector.total_received() == 4096; });
  ASSERT_TRUE(rig->receiver().connect(*at));
  EXPECT_GE(rig->receiver().wait_fd(), 0);
  EXPECT_EQ(fds_of_a_program().size(), before.size());
}

// Goal: signals in the middle of every call cost nothing.
TEST_P(Process, AStormOfSignals) {
  constexpr std::uint64_t kBytes = 32u << 20;
  struct sigaction ignore {};
  ignore.sa_handler = [](int) {};  // no SA_RESTART: calls are cut short
  ASSERT_EQ(::sigaction(SIGUSR1, &ignore, nullptr), 0);
  LANDFALL_OPEN_RIG(rig, GetParam(), small());
  const auto at = rig->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();
  Collector collector{rig->receiver()};
  collector.seed_of = [](std::size_t) { return kSeed; };
  std::atomic<bool> done{false};
  const pthread_t poller = ::pthread_self();
  std::uint64_t signals = 0;
  std::thread storm{[&] {
    const timespec pause{0, 50'000};
    for (; !done.load(); ++signals) {
      ::pthread_kill(poller, SIGUSR1);
      ::nanosleep(&pause, nullptr);
    }
  }};
  StreamSender sender{*at, kSeed, kBytes, 8 * 1024};
  collector.run_until([&] { return collector.count(&Stream::ended) == 1; });
  for (const auto& [id, flow] : collector.flows()) flow->close();
  collector.run_until([&] { return collector.flows().empty(); });
  done = true;
  storm.join();
  EXPECT_EQ(collector.total_received(), kBytes);
  EXPECT_GT(signals, 10u);
  EXPECT_TRUE(rig->group.close());
}

std::uint64_t resident_bytes() {
  std::ifstream file{"/proc/self/statm"};
  std::uint64_t total = 0, resident = 0;
  file >> total >> resident;
  return resident * static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

// Goal: what a Group takes it gives back: 2,000 of them, each with a flow, leave nothing; in a soak
// a million.
TEST_P(Process, OpeningAndClosingLeavesNothing) {
  constexpr int kWarm = 200;
  const int rounds = kWarm + quota_or_soak(2000, 1'000'000);
  std::uint64_t before = 0;
  int fds = 0, maps = 0;
  for (int i = 0; i < rounds; ++i) {
    if (i == kWarm) {
      before = resident_bytes();
      fds = open_fds();
      maps = mappings_of("");
    }
    RigOptions options;
    options.region_bytes = 256 * 1024;
    options.group.buffers_max = 256;
    LANDFALL_OPEN_RIG(rig, GetParam(), options);
    const auto at = rig->group.listen({"127.0.0.1", 0});
    ASSERT_TRUE(at) << at.error().describe();
    Collector collector{rig->receiver()};
    collector.seed_of = [](std::size_t) { return kSeed; };
    Fd peer = connect_to(*at);
    ASSERT_TRUE(send_pattern(peer.get(), kSeed, 0, 1000));
    collector.run_until([&] { return collector.total_received() == 1000; });
    close_with_reset(peer);
    // Every other one is left to its destructor, with its flow open.
    if (i % 2 == 0) {
      for (const auto& [id, flow] : collector.flows()) flow->close(true);
      collector.run_until([&] { return collector.flows().empty(); });
      ASSERT_TRUE(rig->group.close());
    }
  }
  EXPECT_EQ(open_fds(), fds);
  // A sanitizer keeps freed memory on purpose, and finds leaks by itself.
  if (kSanitized) return;
  EXPECT_LE(mappings_of(""), maps + 2) << "the heap may have grown by a mapping";
  // A leak of one page per round would be 8 MiB.
  EXPECT_LT(resident_bytes(), before + (2u << 20));
}

INSTANTIATE_TEST_SUITE_P(Ways, Process, testing::ValuesIn(all_ways()), way_name);

}  // namespace
}  // namespace landfall::test
