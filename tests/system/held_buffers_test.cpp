// SPDX-License-Identifier: Apache-2.0
#include "landfall_test/census.hpp"
#include "models/devmem_model.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

constexpr std::uint64_t kHeldSeed = 7, kBulkSeed = 8;
constexpr std::size_t kBuffers = 1000;
constexpr std::uint64_t kBulkBytes = 48u << 20;

enum class End { fin, reset, close };

class HeldBuffers : public testing::TestWithParam<Way> {
 protected:
  void run(End end);
};

/// One flow's first 1,000 Buffers are kept while it ends as `end` says, and while another flow
/// passes through the rest of the Region many times over.
void HeldBuffers::run(End end) {
  const FdCensus fds;
  const MapCensus maps;
  const DevmemFaults before = devmem_faults();
  {
    RigOptions options;
    options.region_bytes = 8u << 20;
    options.group.slot_bytes = 4096;
    LANDFALL_OPEN_RIG(rig, GetParam(), options);
    FlowOptions flow_options;
    flow_options.share_bytes = 6u << 20;  // it may hold what it is about to hold
    const auto at = rig->group.listen({"127.0.0.1", 0}, flow_options);
    ASSERT_TRUE(at) << at.error().describe();

    Collector collector{rig->receiver()};
    collector.seed_of = [](std::size_t index) { return index == 0 ? kHeldSeed : kBulkSeed; };
    Flow* holder = nullptr;
    std::uint64_t holder_id = 0;
    std::vector<Buffer> held;
    collector.on_data = [&](Flow& flow, Stream&, Buffer& buffer) {
      if (flow.id() == holder_id && held.size() < kBuffers) held.push_back(std::move(buffer));
    };
    collector.on_event = [&](const Completion& completion) {
      if (completion.kind != Completion::Kind::opened || holder != nullptr) return;
      holder = completion.flow;
      holder_id = holder->id();
    };

    Fd peer = connect_to(*at);
    ASSERT_TRUE(peer);
    std::thread filler{[&] {
      // More than 1,000 extents can hold: the rest of it is what is under way when it ends.
      send_pattern(peer.get(), kHeldSeed, 0, 8u << 20);
    }};
    collector.run_until([&] { return held.size() == kBuffers; });
    if (HasFatalFailure()) {
      close_with_reset(peer);
      return filler.join();
    }
    switch (end) {
      case End::fin:
        collector.run_until([&] { return collector.streams()[holder_id].received == 8u << 20; });
        filler.join();
        finish(peer.get());
        collector.run_until([&] { return collector.streams()[holder_id].ended; });
        holder->close();
        break;
      case End::reset:
        collector.run_until([&] { return collector.streams()[holder_id].received == 8u << 20; });
        filler.join();
        close_with_reset(peer);
        collector.run_until([&] { return collector.streams()[holder_id].failed; });
        EXPECT_EQ(collector.streams()[holder_id].error.code(), Errc::flow_reset);
        holder->close();
        break;
      case End::close:
        holder->close(true);
        filler.join();
        break;
    }

    StreamSender bulk{*at, kBulkSeed, kBulkBytes};
    collector.run_until(
        [&] { return collector.count(&Stream::ended) == (end == End::fin ? 2 : 1); });
    EXPECT_FALSE(collector.streams()[holder_id].closed) << "closed while its Buffers are out";
    for (const Buffer& buffer : held) ASSERT_TRUE(unchanged(buffer, kHeldSeed));

    EXPECT_TRUE(rig->receiver().poll({}));  // the last ones of the other flow go back
    EXPECT_EQ(rig->receiver().buffers_out(), kBuffers);
    std::thread{[&] { held.clear(); }}.join();
    collector.run_until([&] { return collector.streams()[holder_id].closed; });
    for (const auto& [id, flow] : collector.flows()) flow->close();
    collector.run_until([&] { return collector.flows().empty(); });
    EXPECT_EQ(rig->receiver().buffers_out(), 0u);
    EXPECT_EQ(rig->receiver().held_bytes(), 0u);
    const auto region = rig->group.close();
    EXPECT_TRUE(region) << region.error().describe();
  }
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
  EXPECT_EQ(devmem_faults().bad_returns, before.bad_returns);
  EXPECT_EQ(devmem_faults().closed_with_extents, before.closed_with_extents);
}

// Goal: what a peer's FIN leaves behind stays as it was received until it is dropped.
TEST_P(HeldBuffers, StayAsTheyWereAfterFin) {
  run(End::fin);
}

// Goal: the same after RST, which the kernel may answer by freeing what it still had.
TEST_P(HeldBuffers, StayAsTheyWereAfterReset) {
  run(End::reset);
}

// Goal: the same after our own close, while bytes were under way.
TEST_P(HeldBuffers, StayAsTheyWereAfterClose) {
  run(End::close);
}

// Goal: a Group that is gone keeps memory under Buffers that are out, and gives all up with the
// last of them.
TEST_P(HeldBuffers, OutliveTheirGroup) {
  const FdCensus fds;
  const MapCensus maps;
  std::vector<Buffer> held;
  {
    RigOptions options;
    options.group.slot_bytes = 4096;
    LANDFALL_OPEN_RIG(rig, GetParam(), options);
    const auto at = rig->group.listen({"127.0.0.1", 0});
    ASSERT_TRUE(at) << at.error().describe();
    Collector collector{rig->receiver()};
    collector.seed_of = [](std::size_t) { return kHeldSeed; };
    collector.on_data = [&](Flow&, Stream&, Buffer& buffer) { held.push_back(std::move(buffer)); };
    StreamSender sender{*at, kHeldSeed, 4u << 20};
    collector.run_until([&] { return collector.count(&Stream::ended) == 1; });
    EXPECT_FALSE(rig->group.close()) << "closed with Buffers out";
  }
  for (const Buffer& buffer : held) ASSERT_TRUE(unchanged(buffer, kHeldSeed));
  // Several threads, so that the last drop is on one that never knew the Group.
  std::vector<std::thread> droppers;
  for (std::size_t t = 0; t < 4; ++t) {
    droppers.emplace_back([&, t] {
      for (std::size_t i = t; i < held.size(); i += 4) held[i].reset();
    });
  }
  for (std::thread& dropper : droppers) dropper.join();
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
}

INSTANTIATE_TEST_SUITE_P(Ways, HeldBuffers, testing::ValuesIn(all_ways()), way_name);

}  // namespace
}  // namespace landfall::test
