// SPDX-License-Identifier: Apache-2.0
#include <sys/resource.h>

#include <algorithm>

#include "landfall_test/sanitizers.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

using Clock = std::chrono::steady_clock;

constexpr std::size_t kFlows = 1000;
constexpr std::uint64_t kSlot = 16 * 1024;
constexpr std::uint64_t kRegionBytes = 64u << 20;
// Under a sanitizer the comparison of every byte is what takes the time, and its races are what is
// looked for: fewer bytes, and no verdict on speed.
constexpr bool kTimed = !kSanitized;
constexpr std::uint64_t kBulkBytes = kTimed ? 192u << 20 : 48u << 20;
constexpr std::uint64_t kBulkSeed = 1u << 20;
constexpr int kRounds = 8;  // bytes per trickling flow
constexpr int kPairs = kTimed ? 3 : 1;

class Trickle : public testing::TestWithParam<Way> {
 protected:
  static void SetUpTestSuite() {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
  }
};

/// Seconds that one bulk stream takes, with nothing of it held.
double bulk_seconds(Collector& collector, const Address& at) {
  const std::size_t ended = collector.count(&Stream::ended);
  const auto begin = Clock::now();
  StreamSender bulk{at, kBulkSeed, kBulkBytes, 256 * 1024};
  collector.run_until([&] { return collector.count(&Stream::ended) == ended + 1; });
  return std::chrono::duration<double>(Clock::now() - begin).count();
}

// Goal: 1,000 flows that trickle single bytes, all of them held, neither starve a bulk flow nor pin
// more than 4 x the bytes that are held, plus a slot for each flow.
TEST_P(Trickle, DoesNotStarveABulkFlow) {
  rlimit files{};
  ::getrlimit(RLIMIT_NOFILE, &files);
  if (files.rlim_cur < 2 * kFlows + 100) {
    GTEST_SKIP() << "RLIMIT_NOFILE is " << files.rlim_cur << ": ulimit -n 65536";
  }
  RigOptions options;
  options.region_bytes = kRegionBytes;
  options.group.slot_bytes = kSlot;
  options.group.buffers_max = 65536;
  LANDFALL_OPEN_RIG(rig, GetParam(), options);
  const auto at = rig->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();

  Collector collector{rig->receiver()};
  bool bulk = false;
  collector.seed_of = [&](std::size_t index) { return bulk ? kBulkSeed : index; };
  std::uint64_t held_bytes = 0, worst_pinned = 0;
  collector.on_data = [&](Flow& flow, Stream& stream, Buffer& buffer) {
    if (stream.seed != kBulkSeed) {
      held_bytes += buffer.length();
      stream.held.push_back(std::move(buffer));
      worst_pinned = std::max(worst_pinned, flow.held_bytes());
    }
  };

  // In the order of accept, so that seeds are known: one after the other.
  std::vector<Fd> tricklers;
  for (std::size_t i = 0; i < kFlows; ++i) {
    tricklers.push_back(connect_to(*at));
    ASSERT_TRUE(tricklers.back());
    set_no_delay(tricklers.back().get());
    collector.run_until([&] { return collector.streams().size() == i + 1; });
    if (HasFatalFailure()) return;
  }
  for (std::uint64_t round = 0; round < kRounds; ++round) {
    for (std::size_t i = 0; i < kFlows; ++i) {
      ASSERT_TRUE(send_pattern(tricklers[i].get(), i, round, 1));
    }
    collector.run_until([&] { return held_bytes == (round + 1) * kFlows; });
    if (HasFatalFailure()) return;
    const std::uint64_t pinned = rig->receiver().held_bytes();
    EXPECT_LE(pinned, 4 * held_bytes + kSlot * kFlows) << "in round " << round;
  }
  EXPECT_LE(worst_pinned, 4 * kRounds + kSlot);

  // The same Receiver, with the tricklers' bytes held: pairs in turn, the best of each.
  bulk = true;
  double with = 1e9, without = 1e9;
  LANDFALL_OPEN_RIG(quiet, GetParam(), options);
  const auto quiet_at = quiet->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(quiet_at) << quiet_at.error().describe();
  Collector quiet_collector{quiet->receiver()};
  quiet_collector.seed_of = [](std::size_t) { return kBulkSeed; };
  for (int i = 0; i < kPairs; ++i) {
    without = std::min(without, bulk_seconds(quiet_collector, *quiet_at));
    with = std::min(with, bulk_seconds(collector, *at));
    if (HasFatalFailure()) return;
  }
  std::printf("bulk %.2f GB/s alone, %.2f GB/s beside %zu tricklers that pin %.1f MiB\n",
              static_cast<double>(kBulkBytes) / without / 1e9,
              static_cast<double>(kBulkBytes) / with / 1e9, kFlows,
              static_cast<double>(rig->receiver().held_bytes()) / (1 << 20));
  if (kTimed) {
    EXPECT_LE(with, 2 * without) << "the tricklers starve the bulk flow";
  }

  for (auto& [id, stream] : collector.streams()) {
    for (const Buffer& buffer : stream.held) EXPECT_TRUE(unchanged(buffer, stream.seed));
    stream.held.clear();
  }
  for (const auto& [id, flow] : collector.flows()) flow->close();
  collector.run_until([&] { return collector.flows().empty(); });
  EXPECT_EQ(rig->receiver().held_bytes(), 0u);
}

INSTANTIATE_TEST_SUITE_P(Ways, Trickle, testing::ValuesIn(tcp_ways()), way_name);

}  // namespace
}  // namespace landfall::test
