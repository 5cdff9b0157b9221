// SPDX-License-Identifier: Apache-2.0
// For tests of the core over a transport that reports what the test writes: what no real transport
// does on demand.
#pragma once
#include <gtest/gtest.h>

#include <array>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "landfall/transport/group.hpp"
#include "models/null_transport.hpp"

namespace landfall::test {

constexpr std::uint64_t kScriptedSlot = 4096;
constexpr std::uint64_t kScriptedRegion = 256 * kScriptedSlot;

/// A Group of one queue over `null`, with flows that say only what the test pushes.
class Scripted : public testing::Test {
 protected:
  void open(GroupOptions options = {}, std::uint32_t flows = 1, FlowOptions flow_options = {}) {
    Result<Context> made = Context::create();
    ASSERT_TRUE(made) << made.error().describe();
    context_.emplace(std::move(*made));
    ASSERT_TRUE(context_->add(&kNullTransport));
    Result<Region> region =
        Region::allocate(*context_, {.source = "host", .size_bytes = kScriptedRegion});
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
    record.offset = slot * kScriptedSlot;
    record.token = NullQueue::kScripted + slot;
    record.stream_offset = sent_[flow];
    record.charge_bytes = kScriptedSlot;
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

}  // namespace landfall::test
