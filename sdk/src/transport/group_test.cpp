// SPDX-License-Identifier: Apache-2.0
// Goal: Buffers, flows and Groups end as they should, in whatever order, thread or process.
#include "landfall/transport/group.hpp"

#include <array>
#include <string>
#include <thread>
#include <vector>

#include "landfall_test/census.hpp"
#include "landfall_test/child.hpp"
#include "models/scripted.hpp"

namespace landfall {
namespace {

using test::NullQueue;
using test::Scripted;

constexpr std::uint64_t kSlot = test::kScriptedSlot;
constexpr std::uint64_t kRegion = test::kScriptedRegion;

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

// Goal: what one Receiver overwrites may be another's Buffer, and goes back to that one.
TEST_F(Scripted, ABufferLeftInASharedSpanGoesBackToItsOwnReceiver) {
  open();
  Result<Region> region = Region::allocate(*context_, {.source = "host", .size_bytes = kRegion});
  ASSERT_TRUE(region);
  GroupOptions options;
  options.transports = {"null"};
  options.options = {"null.generate=0"};
  Result<Group> second = Group::open(*context_, options, *region);
  ASSERT_TRUE(second);
  ASSERT_TRUE(second->listen({"127.0.0.1", 1}));
  Receiver& other = (*second)[0];
  std::array<Completion, 1> batch;
  ASSERT_EQ(*other.poll(batch), 1u);
  ASSERT_EQ(batch[0].kind, Completion::Kind::opened);

  push_data(0, 10);
  ASSERT_EQ(*receiver().poll(batch), 1u);  // from now on this one expects a Completion there
  landfall_record record{};
  record.kind = LANDFALL_DATA;
  record.length = 10;
  record.token = NullQueue::kScripted + 200;
  record.charge_bytes = kSlot;
  NullQueue* const queue = NullQueue::at(1);
  queue->push(0, record);
  ASSERT_EQ(*other.poll(batch), 1u);
  ASSERT_EQ(*receiver().poll(batch), 0u);
  EXPECT_EQ(transport_->scripted_returns().size(), 1u);
  EXPECT_TRUE(queue->scripted_returns().empty()) << "only its own Receiver's poll gives it back";
  ASSERT_EQ(*other.poll(batch), 0u);
  ASSERT_EQ(queue->scripted_returns().size(), 1u);
  EXPECT_EQ(queue->scripted_returns()[0].token, NullQueue::kScripted + 200);
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
  EXPECT_TRUE(test::holds_in_child([&] {
    std::array<Completion, 1> one;
    const bool inert = receiver().poll(one).error().code() == Errc::wrong_process &&
                       first.buffer.host_bytes().error().code() == Errc::wrong_process;
    first.buffer.reset();
    { Buffer dropped = std::move(second.buffer); }
    group_.reset();
    return inert;
  }));
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
