// SPDX-License-Identifier: Apache-2.0
// Full Regions, sleeping Receivers, shares.
#include <atomic>

#include "conformance/pattern.hpp"
#include "conformance/rig.hpp"

namespace landfall::test {
namespace {

class Pressure : public Transport {};
LANDFALL_CONFORMANCE(Pressure);

// Goal: a full Region says so, stalls its senders and loses nothing; relief follows the drops.
TEST_P(Pressure, AFullRegionStallsAndGoesOn) {
  constexpr std::uint64_t kTotal = 16u << 20;
  auto rig = Rig::open(GetParam(), {.region_bytes = 1 << 20});
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  stream->send(kTotal, true);
  ASSERT_TRUE((*rig)->until([&] { return (*rig)->pressures > 0; }));
  (*rig)->quiet();
  EXPECT_LT(stream->received, kTotal);
  EXPECT_FALSE(stream->ended);
  EXPECT_FALSE(stream->failed);
  for (const Held& held : stream->held) EXPECT_TRUE(held.unchanged());
  EXPECT_EQ((*rig)->reliefs, 0u);
  stream->held.clear();
  ASSERT_TRUE((*rig)->until([&] { return (*rig)->reliefs > 0; }));
  stream->consume = nullptr;
  stream->held.clear();
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(stream->received, kTotal);
}

// Goal: the same where small pieces of many sizes keep memory from the large ones, so that it is
// used up long before all of it is charged.
TEST_P(Pressure, ARegionFullOfSmallPiecesSaysSo) {
  auto rig = Rig::open(GetParam(), {.region_bytes = 256u << 10});
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  for (const std::size_t bytes : {10u, 200u, 900u, 4000u}) {
    std::vector<std::byte> piece(bytes);
    fill_pattern(stream->seed, stream->sent_bytes, piece);
    stream->sent_bytes += bytes;
    std::thread sender{[&] { EXPECT_TRUE(stream->peer->send(piece)); }};
    const bool came = (*rig)->until([&] { return stream->received == stream->sent_bytes; });
    sender.join();
    ASSERT_TRUE(came);
  }
  stream->send(4u << 20, true);
  ASSERT_TRUE((*rig)->until([&] { return (*rig)->pressures > 0; }));
  stream->consume = nullptr;
  stream->held.clear();
  ASSERT_TRUE((*rig)->until([&] { return stream->ended && (*rig)->reliefs > 0; }));
  EXPECT_EQ(stream->received, stream->sent_bytes);
}

// Goal: the same by the number of Buffers: never more are out than the Receiver was opened for.
TEST_P(Pressure, BuffersAreLimited) {
  constexpr std::uint64_t kTotal = 4u << 20;
  auto rig = Rig::open(GetParam(), {.buffers_max = 16});
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  stream->send(kTotal, true);
  (*rig)->quiet();
  EXPECT_LE(stream->held.size(), 16u);
  stream->consume = nullptr;
  stream->held.clear();
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(stream->received, kTotal);
}

// Goal: a Receiver that sleeps because all is out wakes when another thread drops a Buffer, each
// time: no wake-up is lost between looking, arming and sleeping.
TEST_P(Pressure, ADropOnAnotherThreadWakesASleeper) {
  constexpr std::uint64_t kRounds = 10'000;
  auto rig = Rig::open(GetParam(), {.slot_bytes = 4096, .buffers_max = 2});
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  std::mutex mutex;
  std::vector<Held> handed;
  std::atomic<bool> stop{false};
  std::uint64_t rounds = 0;
  std::thread dropper{[&] {
    while (!stop) {
      std::vector<Held> mine;
      {
        const std::lock_guard lock{mutex};
        mine.swap(handed);
      }
      if (mine.empty()) std::this_thread::yield();
    }
  }};
  stream->consume = [&](Held one) {
    const std::lock_guard lock{mutex};
    handed.push_back(std::move(one));
    ++rounds;
  };
  stream->send(kRounds * 4096, false, 4096);
  EXPECT_TRUE((*rig)->until([&] {
    return rounds >= kRounds || stream->received == stream->sent_bytes;
  })) << "asleep for good after "
      << rounds << " rounds";
  stop = true;
  dropper.join();
}

// Goal: flows that trickle single bytes, each held, do not starve one that streams.
TEST_P(Pressure, TricklesDoNotStarveAStream) {
  auto rig = Rig::open(GetParam(), {.region_bytes = 16u << 20});
  ASSERT_OK(rig);
  std::vector<Stream*> trickles;
  for (int i = 0; i < GetParam().many_senders; ++i) {
    Stream* stream = (*rig)->connect();
    ASSERT_NE(stream, nullptr);
    stream->keep();
    stream->send(4, false, 1);
    trickles.push_back(stream);
  }
  for (Stream* stream : trickles) EXPECT_TRUE((*rig)->until([&] { return stream->received == 4; }));
  Stream* bulk = (*rig)->connect();
  ASSERT_NE(bulk, nullptr);
  bulk->send(32u << 20, true);
  EXPECT_TRUE((*rig)->until([&] { return bulk->ended; }));
  EXPECT_EQ(bulk->received, 32u << 20);
}

}  // namespace
}  // namespace landfall::test
