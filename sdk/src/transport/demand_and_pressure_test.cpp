// SPDX-License-Identifier: Apache-2.0
// Goal: contracts, charges and demands hold, extent by extent.
#include <array>
#include <thread>
#include <vector>

#include "models/scripted.hpp"

namespace landfall {
namespace {

using namespace std::chrono_literals;
using test::Scripted;

constexpr std::uint64_t kSlot = test::kScriptedSlot;

// Goal: a broken contract is a typed error on the flow, after the grace and not before, and counts
// only what came after the mark.
TEST_F(Scripted, ABrokenContractFailsTheFlow) {
  GroupOptions options;
  options.contract = {
      .kind = CopyContract::Kind::prefer_direct, .max_copied_ppm = 100'000, .grace_bytes = 1000};
  open(options);
  push_data(0, 1000, 0, Placement::copied);
  expect(Completion::Kind::data);
  push_data(1, 1, 0, Placement::direct);
  expect(Completion::Kind::data);
  const Completion failed = expect(Completion::Kind::failed);
  EXPECT_EQ(failed.error.code(), Errc::contract_broken);
  EXPECT_EQ(failed.error.reason(), ReasonCode::contract_copied);
  EXPECT_EQ(flows_[0]->verdict()[Placement::copied], 1000u);
  push_data(2, 10);
  expect(Completion::Kind::none);
}

// Goal: a full Receiver says so once, and says when it is over.
TEST_F(Scripted, PressureAndReliefByCharge) {
  open();
  std::vector<Completion> held;
  for (std::uint64_t i = 0; i < 231; ++i) {  // 231 of 256 slots: past 90 %
    push_data(i, 1);
    held.push_back(next());
  }
  const Completion pressure = expect(Completion::Kind::pressure);
  EXPECT_EQ(pressure.flow, nullptr);
  EXPECT_EQ(pressure.reason, ReasonCode::region_full);
  expect(Completion::Kind::none);
  held.resize(100);
  expect(Completion::Kind::relief);
  expect(Completion::Kind::none);
}

// Goal: a transport that has no memory left before all of it is charged is believed; relief waits
// until it has some again.
TEST_F(Scripted, PressureWhenTheTransportStarves) {
  open();
  push(LANDFALL_STARVED, 0, 0);
  EXPECT_EQ(expect(Completion::Kind::pressure).reason, ReasonCode::region_full);
  expect(Completion::Kind::none);
  push(LANDFALL_FED, 0, 0);
  EXPECT_EQ(expect(Completion::Kind::relief).reason, ReasonCode::region_full);
  expect(Completion::Kind::none);
}

// Goal: one flow cannot take what others need: it is paused at its share and goes on after.
TEST_F(Scripted, AGreedyFlowIsPausedAtItsShare) {
  open({}, 2, {.share_bytes = 3 * kSlot});
  std::vector<Completion> held;
  for (std::uint64_t i = 0; i < 4; ++i) {
    push_data(i, 1);
    held.push_back(next());
  }
  const Completion pressure = expect(Completion::Kind::pressure);
  EXPECT_EQ(pressure.flow, flows_[0]);
  EXPECT_EQ(pressure.reason, ReasonCode::flow_share_used_up);
  held.clear();
  EXPECT_EQ(expect(Completion::Kind::relief).flow, flows_[0]);
}

// Goal: as many Buffers out as allowed: nothing more is taken, nothing is lost.
TEST_F(Scripted, StopsAtBuffersMax) {
  GroupOptions options;
  options.buffers_max = 2;
  open(options);
  for (std::uint64_t i = 0; i < 3; ++i) push_data(i, 1);
  Completion first = expect(Completion::Kind::data);
  Completion second = expect(Completion::Kind::data);
  EXPECT_EQ(expect(Completion::Kind::pressure).reason, ReasonCode::buffers_all_out);
  expect(Completion::Kind::none);
  first.buffer.reset();
  Completion third = next();
  if (third.kind == Completion::Kind::relief) third = next();
  EXPECT_EQ(name(third.kind), "data");
}

// Goal: land and post on a transport that has neither: extents are cut and gathered in order.
TEST_F(Scripted, CutsAndGathersWhatDemandAsksFor) {
  open({}, 1, {.delivery = Delivery::demand});
  auto* host = group_->memory().host_bytes()->data();
  for (std::size_t i = 0; i < 100; ++i) host[i] = static_cast<std::byte>(i);
  push_data(0, 100);
  expect(Completion::Kind::none);  // nothing is asked for
  EXPECT_EQ(flows_[0]->land(0).error().code(), Errc::invalid_argument);
  ASSERT_TRUE(flows_[0]->land(30));
  Completion head = expect(Completion::Kind::data);
  EXPECT_EQ(head.buffer.length(), 30u);
  expect(Completion::Kind::landed);
  std::array<std::byte, 70> body{};
  ASSERT_TRUE(flows_[0]->post(body, 7));
  const Completion posted = expect(Completion::Kind::posted);
  EXPECT_EQ(posted.tag, 7u);
  EXPECT_EQ(posted.bytes, 70u);
  EXPECT_EQ(body[69], static_cast<std::byte>(99));
  EXPECT_EQ(head.buffer.host_bytes()->back(), static_cast<std::byte>(29));
  EXPECT_TRUE(transport_->scripted_returns().empty()) << "a part of the extent is still out";
  head.buffer.reset();
  expect(Completion::Kind::none);
  EXPECT_EQ(transport_->scripted_returns().size(), 1u);
  const Verdict verdict = flows_[0]->verdict();
  EXPECT_EQ(verdict[Placement::direct], 30u);
  EXPECT_EQ(verdict[Placement::copied], 70u);
}

// Goal: the stream ends inside a post: what there was, then the end.
TEST_F(Scripted, AStreamThatEndsInsideAPost) {
  open({}, 1, {.delivery = Delivery::demand});
  std::array<std::byte, 50> body{};
  ASSERT_TRUE(flows_[0]->post(body, 1));
  push_data(0, 20);
  push(LANDFALL_END_OF_STREAM);
  expect(Completion::Kind::none);  // 20 bytes gathered, 30 are missing
  const Completion posted = expect(Completion::Kind::posted);
  EXPECT_EQ(posted.bytes, 20u);
  EXPECT_EQ(posted.reason, ReasonCode::ended_before_post);
  expect(Completion::Kind::end_of_stream);
}

// Goal: a sleeper that waits for memory is woken by a drop on another thread.
TEST_F(Scripted, ADropWakesASleeperThatWaitsForIt) {
  open();
  push_data(0, 10);
  Completion data = expect(Completion::Kind::data);
  flows_[0]->close();
  std::thread dropper{[buffer = std::move(data.buffer)]() mutable { buffer.reset(); }};
  std::array<Completion, 1> one;
  const Result<std::size_t> count = receiver().wait(one, 30s);
  dropper.join();
  ASSERT_TRUE(count);
  ASSERT_EQ(*count, 1u);
  EXPECT_EQ(name(one[0].kind), "closed");
}

}  // namespace
}  // namespace landfall
