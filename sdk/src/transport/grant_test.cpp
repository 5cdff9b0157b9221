// SPDX-License-Identifier: Apache-2.0
// Goal: a Group binds its Region once, to queues that can be bound, steers its flows there, and
// leaves nothing behind; each refusal reaches the caller by name.
#include "transport/grant.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <optional>
#include <vector>

#include "landfall/transport/group.hpp"
#include "landfall_test/loopback.hpp"
#include "memory/region_core.hpp"
#include "models/device_memory.hpp"
#include "models/devmem_model.hpp"
#include "nic/sim_nic.hpp"

namespace landfall {
namespace {

using test::tcp_pair;

class Grants : public testing::Test {
 public:
  Grants() {
    g_nic = std::make_shared<nic::SimNic>();
    g_nic->add(1, "lo", 4);  // its last queue is outside of the RSS table
    detail::Grant::open_nic = [](const landfall_host*) -> Result<std::shared_ptr<nic::Nic>> {
      return std::shared_ptr<nic::Nic>{g_nic};
    };
    context_.emplace(std::move(*Context::create()));
    EXPECT_TRUE(context_->add(&test::kDevmemModel));
    EXPECT_TRUE(context_->add(&test::kDeviceMemory));
  }
  ~Grants() override {
    detail::Grant::open_nic = usual_;
    g_nic.reset();
  }

 protected:
  Region allocate() {
    Result<Region> region =
        Region::allocate(*context_, {.source = "device-memory", .size_bytes = 1u << 20});
    EXPECT_TRUE(region) << region.error().describe();
    return std::move(*region);
  }
  GroupOptions options() const {
    GroupOptions options;
    options.interface = "lo";
    options.transports = {"devmem-model"};
    options.options = {"devmem-model.dmabuf=1", "devmem-model.grant=1"};
    return options;
  }
  Group open(const GroupOptions& with) {
    Region region = allocate();
    Result<Group> group = Group::open(*context_, with, region);
    EXPECT_TRUE(group) << group.error().describe();
    return std::move(*group);
  }
  std::vector<std::uint32_t> bound_queues() const {
    std::vector<std::uint32_t> bound;
    const Result<nic::NicState> state = g_nic->read(1);
    for (const nic::QueueState& queue : state->queues)
      if (queue.dmabuf_id) bound.push_back(queue.id);
    return bound;
  }
  std::size_t rules() const { return g_nic->rules(1)->size(); }
  /// Polls until `done`.
  template <class Done>
  static bool until(Receiver& receiver, std::vector<Completion>& batch, Done&& done) {
    for (int i = 0; i < 1000; ++i) {
      const Result<std::size_t> count = receiver.wait(batch, std::chrono::milliseconds{10});
      if (!count) return false;
      for (std::size_t k = 0; k < *count; ++k)
        if (done(batch[k])) return true;
    }
    return false;
  }

  static inline std::shared_ptr<nic::SimNic> g_nic;
  std::optional<Context> context_;

 private:
  const detail::Grant::OpenNic usual_ = detail::Grant::open_nic;
};

TEST_F(Grants, BindTheQueuesThatAreNamedOnceAndUnbindThem) {
  GroupOptions with = options();
  with.queue_ids = {1, 3};
  with.queues = 2;
  {
    Group group = open(with);
    EXPECT_EQ(g_nic->bindings(), 1u);
    EXPECT_EQ(bound_queues(), (std::vector<std::uint32_t>{1, 3}));
    ASSERT_TRUE(group.close());
    EXPECT_EQ(g_nic->bindings(), 0u);
  }
  { const Group group = open(with); }
  EXPECT_EQ(g_nic->bindings(), 0u);
}

TEST_F(Grants, ChooseQueuesThatCarryNothingElse) {
  const Group group = open(options());
  EXPECT_EQ(bound_queues(), (std::vector<std::uint32_t>{3}));
}

// Two programs that look at the same moment see the same queues free.
TEST_F(Grants, ChooseAQueueThatNobodyElseIsChoosing) {
  g_nic->at(1).state.rss.front().table = {0, 1};
  {
    const Result<Fd> other = g_nic->claim_queue(1, 3);
    ASSERT_TRUE(other);
    EXPECT_EQ(g_nic->claim_queue(1, 3).error().reason(), ReasonCode::queue_busy);
    const Group group = open(options());
    EXPECT_EQ(bound_queues(), (std::vector<std::uint32_t>{2}));
    EXPECT_FALSE(g_nic->claim_queue(1, 2)) << "the Group has it";
    Region region = allocate();
    const Result<Group> third = Group::open(*context_, options(), region);
    ASSERT_FALSE(third);
    EXPECT_EQ(third.error().reason(), ReasonCode::queue_busy) << third.error().describe();
  }
  const Group group = open(options());
  EXPECT_EQ(bound_queues(), (std::vector<std::uint32_t>{3}));
}

TEST_F(Grants, AClaimOfAnotherDoesNotRefuseAQueueThatIsNamed) {
  const Result<Fd> other = g_nic->claim_queue(1, 3);
  GroupOptions with = options();
  with.queue_ids = {3};
  const Group group = open(with);
  EXPECT_EQ(bound_queues(), (std::vector<std::uint32_t>{3}));
}

TEST_F(Grants, LastUntilTheLastBufferIsBack) {
  std::vector<Completion> batch(8);
  Buffer buffer;
  {
    Group group = open(options());
    test::SocketPair pair = tcp_pair();
    ASSERT_TRUE(group[0].attach(pair.ours));
    ASSERT_EQ(::send(pair.theirs.get(), "x", 1, 0), 1);
    ASSERT_TRUE(until(group[0], batch, [&](Completion& one) {
      if (one.kind == Completion::Kind::data) buffer = std::move(one.buffer);
      return static_cast<bool>(buffer);
    }));
  }
  EXPECT_EQ(g_nic->bindings(), 1u);
  buffer.reset();
  EXPECT_EQ(g_nic->bindings(), 0u);
}

TEST_F(Grants, SteerEachFlowForAsLongAsItLives) {
  Group group = open(options());
  std::vector<Completion> batch(8);
  test::SocketPair pair = tcp_pair();
  Result<Flow*> flow = group[0].attach(pair.ours);
  ASSERT_TRUE(flow) << flow.error().describe();
  ASSERT_EQ(rules(), 1u);
  EXPECT_EQ(g_nic->rules(1)->front().spec.ring_cookie, 3u);
  (*flow)->close();
  ASSERT_TRUE(
      until(group[0], batch, [](Completion& one) { return one.kind == Completion::Kind::closed; }));
  ASSERT_TRUE(group[0].poll(batch));
  EXPECT_EQ(rules(), 0u);
}

TEST_F(Grants, SteerConnectionsBeforeTheirFirstPacket) {
  Group group = open(options());
  std::vector<Completion> batch(8);
  const test::ListeningSocket listening;
  ASSERT_TRUE(group[0].connect(listening.address));
  EXPECT_EQ(rules(), 1u);
  ASSERT_TRUE(
      until(group[0], batch, [](Completion& one) { return one.kind == Completion::Kind::opened; }));
  EXPECT_EQ(rules(), 1u);
  ASSERT_TRUE(group.close());
  EXPECT_EQ(rules(), 0u);
}

// One rule for all that a listener accepts.
TEST_F(Grants, SteerListeners) {
  Group group = open(options());
  std::vector<Completion> batch(8);
  const Result<Address> at = group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();
  EXPECT_EQ(rules(), 1u);
  const Fd first = test::try_connect_to(*at), second = test::try_connect_to(*at);
  int opened = 0;
  ASSERT_TRUE(until(group[0], batch, [&](Completion& one) {
    return one.kind == Completion::Kind::opened && ++opened == 2;
  }));
  EXPECT_EQ(rules(), 1u);
  ASSERT_TRUE(group.close());
  EXPECT_EQ(rules(), 0u);
}

TEST_F(Grants, LeaveSteeringToOthersOnRequest) {
  GroupOptions with = options();
  with.steer = GroupOptions::Steer::nothing;
  Group group = open(with);
  test::SocketPair pair = tcp_pair();
  ASSERT_TRUE(group[0].attach(pair.ours));
  ASSERT_TRUE(group.listen({"127.0.0.1", 0}));
  EXPECT_EQ(rules(), 0u);
}

// A policy's rules stand beforehand, by port to a queue or to a context over the queues.
TEST_F(Grants, SteerTheRestOnRequest) {
  std::vector<test::SocketPair> pairs;
  for (int i = 0; i < 4; ++i) pairs.push_back(tcp_pair());
  const auto stand = [&](const test::SocketPair& pair, std::uint64_t queue, std::uint32_t context) {
    nic::Rule rule = nic::rule_of(nic::keys_of(pair.ours.get())->front(), 0);
    auto &value = rule.spec.h_u.tcp_ip4_spec, &mask = rule.spec.m_u.tcp_ip4_spec;
    value.ip4src = value.ip4dst = mask.ip4src = mask.ip4dst = 0;
    value.psrc = mask.psrc = 0;
    rule.spec.ring_cookie = queue;
    rule.rss_context = context;
    if (context != 0) rule.spec.flow_type |= FLOW_RSS;
    EXPECT_TRUE(g_nic->insert_rule(1, rule));
  };
  const auto context_of = [](std::vector<std::uint32_t> queues) {
    std::vector<std::uint32_t> table(128);
    for (std::size_t i = 0; i < table.size(); ++i) table[i] = queues[i % queues.size()];
    const auto id = g_nic->add_rss_context(1, table);
    EXPECT_TRUE(id);
    return *id;
  };
  stand(pairs[0], 3, 0);
  stand(pairs[1], 0, context_of({3}));
  stand(pairs[2], 0, context_of({2, 3}));
  GroupOptions with = options();
  with.steer = GroupOptions::Steer::rest;
  with.rules_max = 1;
  Group group = open(with);
  const auto attach = [&](std::size_t i) { return group[0].attach(pairs[i].ours); };
  ASSERT_TRUE(attach(0));
  const auto spread = attach(1);
  ASSERT_TRUE(spread) << spread.error().describe();
  EXPECT_EQ(rules(), 3u) << "both come by rules that stand";
  const auto other = attach(2);
  ASSERT_FALSE(other) << "one of its queues is another's";
  EXPECT_EQ(other.error().reason(), ReasonCode::rule_conflict) << other.error().describe();
  ASSERT_TRUE(attach(3));
  EXPECT_EQ(rules(), 4u);
  test::SocketPair one_more = tcp_pair();
  const auto refused = group[0].attach(one_more.ours);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::limit_reached);
  EXPECT_EQ(refused.error().reason(), ReasonCode::access_limit);
  EXPECT_TRUE(one_more.ours) << "taken only on success";
}

TEST_F(Grants, AFullTableOfRulesLeavesTheSocketWithTheCaller) {
  g_nic->at(1).state.rule_table = nic::RuleTable{.rules = 0, .size = 2, .picks_location = false};
  Group group = open(options());
  test::SocketPair first = tcp_pair(), second = tcp_pair();
  ASSERT_TRUE(group[0].attach(first.ours));
  const Result<Flow*> refused = group[0].attach(second.ours);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), Errc::limit_reached);
  EXPECT_EQ(refused.error().reason(), ReasonCode::rules_full) << refused.error().describe();
  EXPECT_TRUE(second.ours) << "taken only on success";
  EXPECT_EQ(group[0].flows(), 1u);
}

TEST_F(Grants, RefusalsReachTheDecision) {
  const auto reason_of = [&](const GroupOptions& with) {
    Region region = allocate();
    Decision decision;
    const Result<Group> group = Group::open(*context_, with, region, &decision);
    EXPECT_FALSE(group);
    EXPECT_TRUE(static_cast<bool>(region)) << "taken only on success";
    for (const Decision::Candidate& candidate : decision.candidates)
      if (candidate.transport == "devmem-model" && !candidate.reasons.empty())
        return candidate.reasons.front().code;
    return ReasonCode::none;
  };
  GroupOptions nowhere = options();
  nowhere.interface.clear();
  EXPECT_EQ(reason_of(nowhere), ReasonCode::interface_not_named);
  GroupOptions unknown = options();
  unknown.queue_ids = {9};
  EXPECT_EQ(reason_of(unknown), ReasonCode::queue_unknown);
  GroupOptions too_many = options();
  too_many.queues = 3;
  EXPECT_EQ(reason_of(too_many), ReasonCode::queue_in_rss);
  GroupOptions named = options();
  named.queue_ids = {3};
  g_nic->at(1).state.rings->header_split = nic::HeaderSplit::off;
  EXPECT_EQ(reason_of(named), ReasonCode::header_split_off);
  g_nic->at(1).state.rings->header_split = nic::HeaderSplit::on;
  g_nic->privileged = false;
  EXPECT_EQ(reason_of(named), ReasonCode::not_permitted);
  g_nic->privileged = true;
  const Group holder = open(named);
  EXPECT_EQ(reason_of(named), ReasonCode::queue_busy);
  EXPECT_EQ(g_nic->bindings(), 1u);
}

// Nothing else says so, neither the binding nor the sockets.
TEST_F(Grants, AnInterfaceThatGoesIsARevokedBinding) {
  Group group = open(options());
  std::vector<Completion> batch(8);
  test::SocketPair pair = tcp_pair();
  ASSERT_TRUE(group[0].attach(pair.ours));
  ASSERT_TRUE(group[0].poll(batch));
  g_nic->remove(1);
  EXPECT_TRUE(until(group[0], batch,
                    [](Completion& one) { return one.kind == Completion::Kind::revoked; }));
}

// The kernel would hand each of its pages out twice.
TEST_F(Grants, AMemoryIsBoundOnce) {
  Region region = allocate();
  Result<DmabufRange> name = region.export_dmabuf(0, region.memory().size_bytes());
  ASSERT_TRUE(name);
  const detail::Grant::Request request{
      .interface_index = 1, .queue_ids = {3}, .dmabuf_fd = name->fd.get()};
  const detail::ContextCore& core = *detail::RegionCore::share(region)->context();
  const Result<detail::Grant> first = detail::Grant::make(core, request);
  ASSERT_TRUE(first) << first.error().describe();
  detail::Grant::Request again = request;
  again.queue_ids = {2};
  const Result<detail::Grant> second = detail::Grant::make(core, again);
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason(), ReasonCode::region_in_use) << second.error().describe();
}

// Two dma-bufs over one memfd, as two Regions that adopted it export them.
TEST_F(Grants, AMemoryIsBoundOnceWhateverItsNames) {
  const Fd memfd{::memfd_create("grant_test", MFD_CLOEXEC)};
  ASSERT_EQ(::ftruncate(memfd.get(), 1 << 20), 0);
  Region one = allocate(), other = allocate();
  const detail::ContextCore& core = *detail::RegionCore::share(one)->context();
  Result<DmabufRange> first = one.export_dmabuf(0, one.memory().size_bytes());
  Result<DmabufRange> second = other.export_dmabuf(0, other.memory().size_bytes());
  ASSERT_TRUE(first && second);
  detail::Grant::Request request{.interface_index = 1,
                                 .queue_ids = {3},
                                 .dmabuf_fd = first->fd.get(),
                                 .backing = {.memfd = memfd.get(), .length_bytes = 1u << 20}};
  const Result<detail::Grant> bound = detail::Grant::make(core, request);
  ASSERT_TRUE(bound) << bound.error().describe();
  request.queue_ids = {2};
  request.dmabuf_fd = second->fd.get();
  const Result<detail::Grant> again = detail::Grant::make(core, request);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason(), ReasonCode::region_in_use) << again.error().describe();
}

// A transport whose pool drops says so, and the report names who holds it.
TEST_F(Grants, PressureSaysThatPacketsAreDroppedAndWhoHoldsTheMemory) {
  GroupOptions with = options();
  with.options.emplace_back("devmem-model.drop=1");
  with.pressure_percent = 50;
  with.relief_percent = 40;
  Group group = open(with);
  test::SocketPair small = tcp_pair(), large = tcp_pair();
  Result<Flow*> little = group[0].attach(small.ours), greedy = group[0].attach(large.ours);
  ASSERT_TRUE(little && greedy);
  ASSERT_EQ(::send(small.theirs.get(), "x", 1, 0), 1);
  const std::vector<char> bytes(16 * 1024);
  ASSERT_GT(::send(large.theirs.get(), bytes.data(), bytes.size(), 0), 0);
  std::vector<Completion> batch(64);
  std::vector<Buffer> held;
  const bool pressed = until(group[0], batch, [&](Completion& one) {
    ::send(large.theirs.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
    if (one.kind == Completion::Kind::data) held.push_back(std::move(one.buffer));
    return one.kind == Completion::Kind::pressure && one.reason == ReasonCode::region_full_drops;
  });
  EXPECT_TRUE(pressed);
  const auto holders = group[0].holders();
  ASSERT_TRUE(holders);
  ASSERT_EQ(holders->size(), 2u);
  EXPECT_EQ((*holders)[0].flow, *greedy);
  EXPECT_EQ((*holders)[0].held_bytes, (*greedy)->held_bytes());
  EXPECT_EQ((*holders)[1].flow, *little);
  EXPECT_EQ((*holders)[1].buffers_out, 1u);
}

}  // namespace
}  // namespace landfall
