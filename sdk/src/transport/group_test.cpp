// SPDX-License-Identifier: Apache-2.0
// The core over a transport that reports what the test writes: what no real transport does on
// demand.
#include "landfall/transport/group.hpp"

#include <gtest/gtest.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <optional>
#include <thread>
#include <vector>

#include "landfall_test/census.hpp"
#include "models/null_transport.hpp"

namespace landfall {
namespace {

using namespace std::chrono_literals;
using test::NullQueue;

constexpr std::uint64_t kSlot = 4096;
constexpr std::uint64_t kRegion = 256 * kSlot;

/// A Group of one queue over `null`, with flows that say only what the test pushes.
class Scripted : public testing::Test {
 protected:
  void open(GroupOptions options = {}, std::uint32_t flows = 1, FlowOptions flow_options = {}) {
    Result<Context> made = Context::create();
    ASSERT_TRUE(made) << made.error().describe();
    context_.emplace(std::move(*made));
    ASSERT_TRUE(context_->add(&test::kNullTransport));
    Result<Region> region = Region::allocate(*context_, {.source = "host", .size_bytes = kRegion});
    ASSERT_TRUE(region) << region.error().describe();
    options.transports = {"null"};
    options.options = {"null.generate=0", "null.flows=" + std::to_string(flows)};
    Result<Group> group = Group::open(*context_, options, *region);
    ASSERT_TRUE(group) << group.error().describe();
    EXPECT_FALSE(*region) << "the Group has taken the Region";
    group_.emplace(std::move(*group));
    ASSERT_TRUE(group_->listen({"127.0.0.1", 1}, flow_options));
    for (std::uint32_t i = 0; i < flows; ++i) {
      Flow* flow = expect(Completion::Kind::opened).flow;
      ASSERT_NE(flow, nullptr);
      flows_.push_back(flow);
    }
    transport_ = NullQueue::at(0);
    ASSERT_NE(transport_, nullptr);
  }

  Receiver& receiver() { return (*group_)[0]; }

  /// The next completion, or none.
  Completion next() {
    std::array<Completion, 1> one;
    const Result<std::size_t> count = receiver().poll(one);
    EXPECT_TRUE(count) << count.error().describe();
    return count && *count == 1 ? std::move(one[0]) : Completion{};
  }
  Completion expect(Completion::Kind kind) {
    Completion completion = next();
    EXPECT_EQ(name(completion.kind), name(kind));
    return completion;
  }

  /// One extent of `length` bytes for flow number `flow`, in slot number `slot`.
  void push_data(std::uint64_t slot, std::uint32_t length, std::size_t flow = 0,
                 Placement placement = Placement::direct) {
    landfall_record record{};
    record.kind = LANDFALL_DATA;
    record.placement = static_cast<std::uint8_t>(placement);
    record.length = length;
    record.offset = slot * kSlot;
    record.token = NullQueue::kScripted + slot;
    record.stream_offset = sent_[flow];
    record.charge_bytes = kSlot;
    sent_[flow] += length;
    transport_->push(flow, record);
  }
  void push(std::uint8_t kind, std::size_t flow = 0, std::uint32_t code = 0, int native = 0) {
    landfall_record record{};
    record.kind = kind;
    record.code = code;
    record.native = native;
    transport_->push(flow, record);
  }

  std::optional<Context> context_;
  std::optional<Group> group_;
  std::vector<Flow*> flows_;
  NullQueue* transport_ = nullptr;
  std::array<std::uint64_t, 16> sent_{};
};

// Goal: an extent becomes a Buffer that says where its bytes are, and goes back once, with the
// transport's own token.
TEST_F(Scripted, AnExtentGoesBackOnceWhenItsBufferIsDropped) {
  open();
  push_data(3, 100);
  Completion data = expect(Completion::Kind::data);
  EXPECT_EQ(data.flow, flows_[0]);
  EXPECT_EQ(data.buffer.offset(), 3 * kSlot);
  EXPECT_EQ(data.buffer.length(), 100u);
  EXPECT_EQ(data.buffer.charge_bytes(), kSlot);
  EXPECT_EQ(data.buffer.host_bytes()->data(),
            group_->memory().host_bytes()->data() + data.buffer.offset());
  EXPECT_EQ(flows_[0]->held_bytes(), kSlot);
  EXPECT_EQ(receiver().buffers_out(), 1u);

  data.buffer.reset();
  EXPECT_TRUE(transport_->scripted_returns().empty()) << "only the next poll gives back";
  expect(Completion::Kind::none);
  const auto returns = transport_->scripted_returns();
  ASSERT_EQ(returns.size(), 1u);
  EXPECT_EQ(returns[0].token, NullQueue::kScripted + 3);
  EXPECT_EQ(returns[0].length, 100u);
  EXPECT_EQ(receiver().held_bytes(), 0u);
}

// Goal: the newest comes back first, whoever dropped it.
TEST_F(Scripted, GivesBackTheNewestFirst) {
  open();
  std::vector<Buffer> held;
  for (std::uint64_t i = 0; i < 4; ++i) {
    push_data(i, 10);
    held.push_back(std::move(expect(Completion::Kind::data).buffer));
  }
  for (Buffer& buffer : held) buffer.reset();
  expect(Completion::Kind::none);
  const auto returns = transport_->scripted_returns();
  ASSERT_EQ(returns.size(), 4u);
  EXPECT_EQ(returns.front().token, NullQueue::kScripted + 3);
  EXPECT_EQ(returns.back().token, NullQueue::kScripted + 0);
}

// Goal: `closed` is the last of a flow and waits for its last Buffer.
TEST_F(Scripted, ClosedWaitsForTheLastBuffer) {
  open();
  push_data(0, 10);
  Buffer buffer = std::move(expect(Completion::Kind::data).buffer);
  push(LANDFALL_END_OF_STREAM);
  expect(Completion::Kind::end_of_stream);
  flows_[0]->close();
  expect(Completion::Kind::none);
  buffer.reset();
  EXPECT_EQ(expect(Completion::Kind::closed).flow, flows_[0]);
  expect(Completion::Kind::none);
  EXPECT_EQ(receiver().flows(), 0u);
}

// Goal: data that was under way when the flow was closed goes back at once and is not delivered.
TEST_F(Scripted, DataAfterCloseIsGivenBack) {
  open();
  push_data(0, 10);
  Buffer keeps_it_open = std::move(expect(Completion::Kind::data).buffer);
  flows_[0]->close();
  push_data(1, 10);
  expect(Completion::Kind::none);
  ASSERT_EQ(transport_->scripted_returns().size(), 1u);
  EXPECT_EQ(transport_->scripted_returns()[0].token, NullQueue::kScripted + 1);
}

// Goal: an overwritten Completion drops its Buffer in time for the very poll that overwrites it.
TEST_F(Scripted, OverwritingACompletionGivesItsExtentBackInThatPoll) {
  open();
  push_data(0, 10);
  std::array<Completion, 4> batch;
  ASSERT_EQ(*receiver().poll(batch), 1u);
  ASSERT_EQ(*receiver().poll(batch), 0u);
  EXPECT_EQ(transport_->scripted_returns().size(), 1u);
}

// Goal: completions that do not fit are not lost and keep their order.
TEST_F(Scripted, WhatDoesNotFitComesLater) {
  open({}, 2);
  push_data(0, 10);
  push(LANDFALL_END_OF_STREAM);
  push_data(1, 10, 1);
  EXPECT_EQ(expect(Completion::Kind::data).flow, flows_[0]);
  EXPECT_EQ(expect(Completion::Kind::end_of_stream).flow, flows_[0]);
  EXPECT_EQ(expect(Completion::Kind::data).flow, flows_[1]);
}

// Goal: the first poller owns the Receiver; hand_over and drops are for any thread.
TEST_F(Scripted, OtherThreadsGetWrongThread) {
  open();
  push_data(0, 10);
  Buffer buffer = std::move(expect(Completion::Kind::data).buffer);
  std::thread{[&] {
    std::array<Completion, 1> one;
    EXPECT_EQ(receiver().poll(one).error().code(), Errc::wrong_thread);
    EXPECT_EQ(receiver().arm().error().code(), Errc::wrong_thread);
    Fd none;
    EXPECT_EQ(receiver().attach(none).error().code(), Errc::wrong_thread);
    buffer.reset();
  }}.join();
  expect(Completion::Kind::none);
  EXPECT_EQ(transport_->scripted_returns().size(), 1u);
}

// Goal: a forked child's copies of Buffers, Group and Receiver do nothing; the parent goes on.
TEST_F(Scripted, AForkedChildIsInert) {
  open();
  push_data(0, 10);
  push_data(1, 10);
  Completion first = expect(Completion::Kind::data);
  Completion second = expect(Completion::Kind::data);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    std::array<Completion, 1> one;
    const bool inert = receiver().poll(one).error().code() == Errc::wrong_process &&
                       first.buffer.host_bytes().error().code() == Errc::wrong_process;
    first.buffer.reset();
    { Buffer dropped = std::move(second.buffer); }
    group_.reset();
    ::_exit(inert ? 0 : 1);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  expect(Completion::Kind::none);
  EXPECT_TRUE(transport_->scripted_returns().empty()) << "the child gave nothing back";
  first.buffer.reset();
  second.buffer.reset();
  expect(Completion::Kind::none);
  EXPECT_EQ(transport_->scripted_returns().size(), 2u);
}

// Goal: a Group that dies with Buffers out keeps their memory until the last one, on any thread,
// and then nothing of it is left.
TEST_F(Scripted, ADeadGroupLivesUntilItsLastBuffer) {
  test::FdCensus fds;
  test::MapCensus maps;
  open();
  push_data(0, 10);
  push_data(1, 10);
  Completion first = expect(Completion::Kind::data);
  Completion second = expect(Completion::Kind::data);
  group_.reset();
  context_.reset();
  EXPECT_NE(NullQueue::at(0), nullptr);
  first.buffer.host_bytes()->front() = std::byte{1};
  first.buffer.reset();
  EXPECT_NE(NullQueue::at(0), nullptr);
  second.buffer.host_bytes()->front() = std::byte{2};
  std::thread{[&] { second.buffer.reset(); }}.join();
  EXPECT_EQ(NullQueue::at(0), nullptr) << "the last Buffer closes the queue";
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
}

// Goal: closing with Buffers out says how many; without, the Region comes back whole.
TEST_F(Scripted, CloseIsBusyUntilBuffersAreBack) {
  open();
  push_data(0, 10);
  Completion data = expect(Completion::Kind::data);
  Result<Region> early = group_->close();
  ASSERT_FALSE(early);
  EXPECT_EQ(early.error().code(), Errc::busy);
  EXPECT_NE(early.error().describe().find("1 Buffers"), std::string::npos);
  data.buffer.reset();
  Result<Region> region = group_->close();
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_EQ(region->memory().size_bytes(), kRegion);
}

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

// Goal: revocation reaches the application with its reason.
TEST_F(Scripted, Revoked) {
  open();
  push(LANDFALL_REVOKED, 0, LANDFALL_REASON_binding_revoked);
  EXPECT_EQ(expect(Completion::Kind::revoked).reason, ReasonCode::binding_revoked);
}

// Goal: a transport that speaks of flows that never were, or of memory that is not there, harms
// nobody, and its extents go back.
TEST_F(Scripted, ABrokenTransportIsSurvived) {
  open();
  landfall_record record{};
  record.kind = LANDFALL_DATA;
  record.memory = 999;
  record.length = 10;
  record.token = NullQueue::kScripted;
  transport_->push(0, record);
  record.memory = 0;
  record.offset = kRegion;  // outside
  transport_->push(0, record);
  push(99);
  // The bytes of the first one are lost: the flow says so, once.
  EXPECT_EQ(expect(Completion::Kind::failed).error.reason(), ReasonCode::transport_broke_rules);
  expect(Completion::Kind::none);
  expect(Completion::Kind::none);
  EXPECT_EQ(transport_->scripted_returns().size(), 2u);
}

}  // namespace
}  // namespace landfall
