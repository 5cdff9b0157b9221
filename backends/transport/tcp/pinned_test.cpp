// SPDX-License-Identifier: Apache-2.0
// Goal: what the application holds pins at most four times its bytes and a slot per flow, and a
// thousand flows of single bytes do not starve a bulk flow.
#include <sys/resource.h>

#include <random>

#include "tcp/mini_core.hpp"
#include "tcp/queue.hpp"

namespace landfall::tcp::test {
namespace {

constexpr int kFlows = 1000;

class Pinned : public ::testing::TestWithParam<const char*> {
 protected:
  /// nullptr: skip, for the reason in `why_not`.
  std::unique_ptr<MiniCore> open(std::uint64_t region_bytes) {
    rlimit files{};
    ::getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    ::setrlimit(RLIMIT_NOFILE, &files);
    if (files.rlim_max < 2 * kFlows + 100) {
      why_not = "RLIMIT_NOFILE is below 2100";
      return nullptr;
    }
    MiniCore::Setup setup;
    setup.options = GetParam();
    setup.region_bytes = region_bytes;
    auto core = std::make_unique<MiniCore>(setup);
    const landfall_errc code = core->open();
    if (code == LANDFALL_ERRC_not_supported || code == LANDFALL_ERRC_permission_denied) {
      why_not = "io_uring is refused here";
      return nullptr;
    }
    EXPECT_EQ(code, LANDFALL_ERRC_ok) << core->why.text;
    return core;
  }

  /// Held by the application: bytes, and what the slots hold back for them.
  static void expect_bound(MiniCore& core) {
    std::uint64_t bytes = 0, charge = 0;
    for (const auto& stream : core.streams) {
      bytes += stream->held_bytes;
      charge += stream->held_charge;
    }
    const auto& queue = *reinterpret_cast<const Queue*>(core.queue());
    const std::uint64_t slot = queue.pool().slot_bytes();
    const std::uint64_t most = 4 * bytes + slot * core.streams.size();
    ASSERT_LE(queue.slots_pinned() * slot, most) << bytes << " bytes are held";
    ASSERT_LE(charge, most);
  }

  std::string why_not;
};

TEST_P(Pinned, TrickleDoesNotStarveBulk) {
  auto owner = open(16u << 20);
  if (!owner) GTEST_SKIP() << why_not;
  MiniCore& core = *owner;
  for (int i = 0; i < kFlows; ++i) core.add().keep = true;
  Stream& bulk = core.add();
  std::mt19937 random{5};
  // Each holds its first bytes for ever: more flows than the region has slots.
  for (int i = 0; i < kFlows; ++i) {
    Stream& stream = *core.streams[static_cast<std::size_t>(i)];
    stream.to_send = 1 + random() % 3;
    stream.chunk = 1;
  }
  ASSERT_TRUE(core.run_until([&] {
    for (int i = 0; i < kFlows; ++i) {
      const Stream& stream = *core.streams[static_cast<std::size_t>(i)];
      if (stream.got < stream.to_send) return false;
    }
    return true;
  }));
  expect_bound(core);
  const auto& queue = *reinterpret_cast<const Queue*>(core.queue());
  EXPECT_LE(queue.slots_pinned(), queue.pool().slots() / 8 + 1);
  EXPECT_GT(core.moved_to_cells, 0u);
  bulk.to_send = 64u << 20;
  ASSERT_TRUE(core.run_until([&] { return bulk.got == bulk.to_send; }));
  expect_bound(core);
}

TEST_P(Pinned, StaysWithinTheBoundWhateverIsHeld) {
  auto owner = open(32u << 20);
  if (!owner) GTEST_SKIP() << why_not;
  MiniCore& core = *owner;
  for (int i = 0; i < 60; ++i) core.add().keep = true;
  std::mt19937 random{9};
  for (int round = 0; round < 3000; ++round) {
    Stream& stream = *core.streams[random() % core.streams.size()];
    const std::uint64_t most = 1ull << (random() % 16);
    stream.to_send = stream.sent + 1 + random() % most;
    core.step(stream);
    core.poll_once();
    ASSERT_NO_FATAL_FAILURE(expect_bound(core));
    // Sometimes nearly everything comes back, mostly a little.
    const std::size_t backs = random() % 100 == 0 ? 2000 : random() % 3;
    for (std::size_t i = 0; i < backs; ++i) {
      Stream& from = *core.streams[random() % core.streams.size()];
      if (!from.held.empty()) core.give_back(from, random() % from.held.size());
    }
    core.flush();
  }
}

// One flow of single bytes holds them all: it is choked before it takes more than its slot, goes on
// with returns, and loses nothing.
TEST_P(Pinned, ChokesAFlowOfSingleBytesAtOneSlot) {
  auto owner = open(4u << 20);
  if (!owner) GTEST_SKIP() << why_not;
  MiniCore& core = *owner;
  Stream& stream = core.add();
  stream.keep = true;
  stream.to_send = 20'000;
  stream.chunk = 1;
  std::uint64_t most_held = 0;
  EXPECT_TRUE(core.run_until([&] {
    most_held = std::max<std::uint64_t>(most_held, stream.held.size());
    if (stream.held_charge > 4 * stream.held_bytes + 32'768 && core.armed != 0)
      core.give_back_all(stream);
    return stream.got == stream.to_send;
  }));
  ASSERT_NO_FATAL_FAILURE(expect_bound(core));
}

INSTANTIATE_TEST_SUITE_P(Engines, Pinned,
                         ::testing::Values("engine=recv\n", "engine=io_uring\n",
                                           "engine=io_uring\nbundles=off\ngather=off\n"),
                         [](const auto& way) {
                           const std::string name = way.param;
                           return std::string{name.find("bundles") != std::string::npos ? "single"
                                              : name.find("io_uring") != std::string::npos
                                                  ? "io_uring"
                                                  : "recv"};
                         });

}  // namespace
}  // namespace landfall::tcp::test
