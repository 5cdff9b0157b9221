// SPDX-License-Identifier: Apache-2.0
// Goal: a plan's steps bring a NIC to what the policy says, a second plan has nothing to do, and
// what would hurt the host or somebody else is a problem and no step.
#include "policy/plan.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cstdio>

#include "landfall_test/temp_folder.hpp"
#include "nic/sim_nic.hpp"
#include "policy/generated.hpp"

namespace landfall::policy {
namespace {

using ::testing::Contains;
using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

constexpr std::uint32_t kIndex = 5;

Policy parsed(const std::string& text) {
  PolicyFindings findings;
  auto policy = Policy::parse(text, findings);
  EXPECT_TRUE(policy) << (findings.empty() ? "" : describe(findings.front(), "policy"));
  return policy ? std::move(*policy) : Policy{};
}

std::string with(const std::string& receiver, const std::string& rest) {
  return "version: 1\nmemory: {m: {source: host, size: 1MiB}}\nreceivers:\n  ingest: {interface: "
         "eth5, memory: m, " +
         receiver + "}\n" + rest;
}

class PlanTest : public ::testing::Test {
 protected:
  PlanTest() {
    nic::SimInterface& at = sim_->add(kIndex, "eth5", 8);
    at.state.rings->header_split = nic::HeaderSplit::off;
    at.state.ntuple = false;
    at.use_default_table();
  }
  nic::SimInterface& eth5() { return sim_->at(kIndex); }
  std::vector<nic::InterfaceName> interfaces() {
    auto names = sim_->interfaces();
    return names ? std::move(*names) : std::vector<nic::InterfaceName>{};
  }

  Plan plan(const Policy& policy) {
    auto setup = nic::NicSetup::open(*sim_, folder_.path());
    EXPECT_TRUE(setup) << setup.error().describe();
    const auto found = read_found(*sim_, policy, setup->state());
    EXPECT_TRUE(found) << found.error().describe();
    return make_plan({policy, *found, setup->state(), sessions_, listeners_});
  }
  Plan plan(const std::string& text) { return plan(parsed(text)); }
  static std::vector<std::string> lines(const Plan& plan) {
    std::vector<std::string> lines;
    for (const nic::Step& step : plan.steps)
      lines.push_back((step.is_setting() ? "~ " : step.removes ? "- " : "+ ") + describe(step));
    return lines;
  }
  static std::vector<std::string> problems(const Plan& plan) {
    std::vector<std::string> lines;
    for (const PlanProblem& one : plan.problems) lines.push_back(one.subject + ": " + one.message);
    return lines;
  }
  void apply(const Plan& plan) {
    ASSERT_THAT(problems(plan), IsEmpty());
    auto setup = nic::NicSetup::open(*sim_, folder_.path());
    const auto applied = setup->apply(plan.steps, {});
    ASSERT_TRUE(applied) << applied.error().describe();
  }
  void restore() {
    auto setup = nic::NicSetup::open(*sim_, folder_.path());
    const auto undone = setup->restore();
    ASSERT_TRUE(undone) << undone.error().describe();
    EXPECT_THAT(undone->failed, IsEmpty());
    EXPECT_THAT(undone->elsewhere, IsEmpty());
  }
  nic::Settings now() { return *nic::read_settings(*sim_, kIndex); }
  void add_foreign(std::uint32_t location, std::uint16_t port, std::uint64_t queue) {
    nic::FlowKey key;
    key.local.port = port;
    key.local.any_address = true;
    nic::Rule rule = nic::rule_of(key, 0);
    rule.spec.location = location;
    rule.spec.ring_cookie = queue;
    eth5().state.ntuple = true;
    eth5().rules.push_back(rule);
  }

  landfall::test::TempFolder folder_;
  std::shared_ptr<nic::SimNic> sim_ = std::make_shared<nic::SimNic>();
  std::vector<nic::FlowKey> sessions_;
  std::vector<Listener> listeners_;
};

const std::string kIngest = with("queues: 2, header_split: required, ring: 4096", R"(
flows:
  - {match: {dst_ip: 192.0.2.7, dst_port: 5201}, to: ingest}
)");

TEST_F(PlanTest, EachStepAndItsReason) {
  const Plan made = plan(kIngest);
  EXPECT_THAT(problems(made), IsEmpty());
  EXPECT_THAT(
      lines(made),
      ElementsAre("~ n-tuple steering off -> on", "~ RSS table the driver's own -> queues 0-5",
                  "~ RX ring 256 -> 4096 descriptors", "~ header split off -> on",
                  "+ RSS context \"ingest\" over queues 6-7",
                  "+ rule tcp to 192.0.2.7 port 5201 to context \"ingest\""));
  EXPECT_EQ(made.steps[2].why, "receiver ingest: ring: 4096");
  EXPECT_EQ(made.steps[5].why, "flows[0] to ingest");
  EXPECT_THAT(made.queues.at("ingest"), ElementsAre(6, 7));
}

TEST_F(PlanTest, ASecondPlanHasNothingToDo) {
  const nic::Settings before = now();
  apply(plan(kIngest));
  EXPECT_THAT(lines(plan(kIngest)), IsEmpty());
  restore();
  EXPECT_TRUE(same_settings(now(), before));
}

TEST_F(PlanTest, WhatThePolicyNoLongerWantsIsAsItWasFound) {
  const nic::Settings before = now();
  apply(plan(kIngest));
  const std::string other = with("queues: [3], header_split: keep", R"(
flows:
  - {match: {dst_ip: 192.0.2.7, dst_port: 5201}, to: ingest}
  - {match: {dst_port: 6000-6001, family: ipv6}, to: ingest}
)");
  const Plan second = plan(other);
  EXPECT_THAT(
      lines(second),
      ElementsAre("- rule tcp to 192.0.2.7 port 5201 to context \"ingest\"",
                  "- RSS context \"ingest\" over queues 6-7",
                  "~ RSS table queues 0-5 -> queues 0-2,4-7", "~ RX ring 4096 -> 256 descriptors",
                  "~ header split on -> off", "+ rule tcp to 192.0.2.7 port 5201 to queue 3",
                  "+ rule tcp6 to port 6000 to queue 3", "+ rule tcp6 to port 6001 to queue 3"));
  apply(second);
  EXPECT_THAT(lines(plan(other)), IsEmpty());
  restore();
  EXPECT_TRUE(same_settings(now(), before));

  apply(plan(kIngest));
  apply(plan(Policy{}));
  EXPECT_TRUE(same_settings(now(), before));
}

TEST_F(PlanTest, QueuesThatAreNotThereAreMade) {
  const std::string text = with("queues: [9, 11]", "flows: [{match: {dst_port: 1}, to: ingest}]\n");
  const nic::Settings before = now();
  apply(plan(text));
  EXPECT_EQ(now().channels, 12u);
  EXPECT_EQ(now().rss[0].table[9], 10u) << "queue 9 is left out";
  restore();
  EXPECT_TRUE(same_settings(now(), before));

  eth5().state.channels->combined_max = 8;
  EXPECT_THAT(problems(plan(text)),
              ElementsAre(HasSubstr("eth5 can have 8 queues; the policy needs 12")));
  EXPECT_EQ(plan(with("queues: 8", "")).problems.at(0).code, ReasonCode::queues_missing)
      << "one stays for everything else";
}

TEST_F(PlanTest, ForeignRulesAreAProblemOrPreceded) {
  const std::string text =
      with("queues: 1", "flows: [{match: {dst_port: 5201, family: ipv4}, to: ingest}]\n");
  add_foreign(6, 5201, 2);
  const Plan refused = plan(text);
  ASSERT_THAT(problems(refused), SizeIs(1));
  EXPECT_EQ(refused.problems[0].code, ReasonCode::rule_conflict);
  EXPECT_THAT(refused.problems[0].message, HasSubstr("location 6"));
  EXPECT_FALSE(refused.problems[0].may_force);

  const Plan before = plan(text + "steering: {on_conflict: precede}\n");
  EXPECT_THAT(problems(before), IsEmpty());
  ASSERT_FALSE(before.steps.empty());
  EXPECT_EQ(before.steps.back().rule.spec.location, 5u);

  EXPECT_EQ(plan(with("queues: 1", "flows: [{match: {dst_ip: 192.0.2.7}, to: ingest}]\n"))
                .problems.size(),
            1u)
      << "some of the packets are enough";

  eth5().rules[0].spec.ring_cookie = 7;  // leads where we want it
  const Plan shared = plan(text);
  EXPECT_THAT(problems(shared), IsEmpty());
  EXPECT_THAT(shared.notes, Contains(HasSubstr("not landfall's")));
  for (const nic::Step& step : shared.steps) EXPECT_NE(step.what, nic::Step::What::rule);
}

TEST_F(PlanTest, ATableOfRulesHasAnEnd) {
  const Plan made = plan(with("queues: 1", "flows: [{match: {dst_port: 1-17}, to: ingest}]\n"));
  ASSERT_THAT(problems(made), SizeIs(1));
  EXPECT_EQ(made.problems[0].code, ReasonCode::rules_full);
  const Plan all = plan(with("queues: 1", "flows: [{match: {dst_port: 1-65535}, to: ingest}]\n"));
  EXPECT_EQ(all.problems.at(0).code, ReasonCode::rules_full);

  eth5().state.rule_table->picks_location = false;
  const Plan half =
      plan(with("queues: 1", "flows: [{match: {dst_port: 1-8, family: ipv4}, to: ingest}]\n"));
  EXPECT_THAT(problems(half), IsEmpty());
  EXPECT_EQ(half.steps.back().rule.spec.location, 8u);
  EXPECT_THAT(problems(plan(with("queues: 1",
                                 "flows: [{match: {dst_port: 1-9, family: ipv4}, to: ingest}]\n"))),
              ElementsAre(HasSubstr("upper half")));
}

TEST_F(PlanTest, NobodyIsCutOff) {
  nic::FlowKey ssh;
  ssh.local.port = 22;
  ssh.remote.port = 51000;
  ssh.any_remote = false;
  ::inet_pton(AF_INET, "192.0.2.7", ssh.local.address.data());
  ::inet_pton(AF_INET, "192.0.2.9", ssh.remote.address.data());
  sessions_.push_back(ssh);
  const Plan cut =
      plan(with("queues: 1", "flows: [{match: {dst_ip: 192.0.2.0/24}, to: ingest}]\n"));
  ASSERT_THAT(problems(cut), SizeIs(1));
  EXPECT_EQ(cut.problems[0].code, ReasonCode::cuts_off_host);
  EXPECT_TRUE(cut.problems[0].may_force);
  EXPECT_THAT(cut.problems[0].message, HasSubstr("192.0.2.7:22 from 192.0.2.9:51000"));
  EXPECT_THAT(problems(plan(kIngest)), IsEmpty());

  const Plan keep = plan(with("queues: 1, transports: [devmem-tcp]", "steering: {rss: keep}\n"));
  ASSERT_THAT(problems(keep), SizeIs(1));
  EXPECT_THAT(keep.problems[0].message, HasSubstr("ARP"));
  EXPECT_THAT(problems(plan(with("queues: 1, header_split: none", "steering: {rss: keep}\n"))),
              IsEmpty());
}

// A port where somebody listens: the rule of a flow that takes it must have been meant.
TEST_F(PlanTest, NobodyElsesTrafficIsTaken) {
  const auto listens = [&](std::uint16_t port, const std::string& user) {
    nic::FlowKey key;
    key.local.port = port;
    key.local.any_address = true;
    listeners_.push_back({nic::rule_of(key, 0), "tcp port " + std::to_string(port), user});
  };
  listens(22, "root");
  listens(5201, "ingest");
  const std::string wide = with("queues: 1", "flows: [{match: {dst_ip: 192.0.2.7}, to: ingest}]\n");
  const std::string exact =
      with("queues: 2", "flows: [{match: {dst_port: 5200-5203}, to: ingest}]\n");
  const Plan taken = plan(wide);
  ASSERT_THAT(problems(taken), SizeIs(2));
  EXPECT_EQ(taken.problems[0].code, ReasonCode::cuts_off_host);
  EXPECT_TRUE(taken.problems[0].may_force);
  EXPECT_EQ(taken.problems[0].subject, "flows[0]");
  EXPECT_THAT(taken.problems[0].message, HasSubstr("what comes to tcp port 22"));
  EXPECT_THAT(problems(plan(exact)), ElementsAre(HasSubstr("where a program of ingest listens")));
  EXPECT_THAT(problems(plan(with("queues: 1", R"(
flows:
  - {match: {proto: udp, dst_ip: 192.0.2.7}, to: ingest}
  - {match: {dst_ip: 192.0.2.7, dst_port: 23}, to: ingest}
  - {match: {dst_ip: '2001:db8::7'}, to: ingest}
)"))),
              IsEmpty())
      << "other packets";

  const std::string lent = exact + "access: [{user: ingest, receivers: [ingest]}]\n";
  EXPECT_THAT(problems(plan(lent)), IsEmpty());
  apply(plan(lent));
  EXPECT_THAT(problems(plan(exact)), IsEmpty()) << "the rules are there already";
}

// What keeps the kernel from binding memory, as it would be after the steps; FAULTS 12.
TEST_F(PlanTest, ReceiversThatMustBeDirectAndCannotBe) {
  const std::string must = with("queues: 1, placement: require_direct, header_split: ", "");
  const auto told = [&](const std::string& text) {
    std::vector<std::string> codes;
    for (const PlanProblem& one : plan(text).problems)
      codes.push_back(reason_id(one.code) + " " + one.hint);
    return codes;
  };
  const auto with_split = [&](const char* split) {
    std::string text = must;
    return text.insert(text.find("header_split: ") + 14, split);
  };
  EXPECT_THAT(told(with_split("required")), IsEmpty());
  EXPECT_THAT(told(with_split("keep")), ElementsAre("LF1216 header_split: required"));
  eth5().state.rings->header_split = nic::HeaderSplit::on;
  EXPECT_THAT(told(with_split("keep")), IsEmpty());
  eth5().state.rings->hds_threshold_bytes = 256;
  EXPECT_THAT(told(with_split("required")), IsEmpty()) << "which sets it to 0";
  EXPECT_THAT(told(with_split("keep")), ElementsAre("LF1217 header_split: required"));
  EXPECT_THAT(told(with_split("required, header_split_threshold: 256")),
              ElementsAre("LF1217 header_split_threshold: 0"));
  eth5().state.xdp_attached = true;
  EXPECT_THAT(told(with_split("required")), ElementsAre("LF1218 ip link set dev eth5 xdp off"));
  const Plan prefers = plan(with("queues: 1, header_split: required", ""));
  EXPECT_THAT(problems(prefers), IsEmpty()) << "its bytes may be copied";
  EXPECT_THAT(prefers.notes, ElementsAre(HasSubstr("no byte will land directly on eth5: an XDP")));
  EXPECT_THAT(plan(with("queues: 1, placement: allow_copy", "")).notes, IsEmpty());
  eth5().state.xdp_attached = false;

  eth5().state.queues[7].af_xdp = true;
  EXPECT_THAT(told(with_split("required")), ElementsAre(HasSubstr("LF1219")));
  eth5().state.queues[7].af_xdp = false;
  eth5().state.queues[7].dmabuf_id = 1;  // it may be this receiver that runs
  EXPECT_THAT(told(with_split("required")), IsEmpty());
  eth5().state.queues[7].dmabuf_id.reset();
  eth5().state.queues[7].leased_to = 9;
  EXPECT_THAT(told(with_split("required")), ElementsAre(HasSubstr("LF1220")));
  eth5().state.queues[7].leased_to.reset();

  eth5().restarts_queues = false;
  EXPECT_THAT(told(with_split("required")), ElementsAre(HasSubstr("LF1215")));
  sim_->privileged = false;  // and cannot ask
  EXPECT_THAT(told(with_split("required")), IsEmpty());
}

TEST_F(PlanTest, WhatTheNicCannotIsToldBeforehand) {
  EXPECT_THAT(problems(plan(with("queues: 1, ring: 16384", ""))),
              ElementsAre(HasSubstr("at most 8192")));
  eth5().state.rings->header_split = nic::HeaderSplit::unknown;
  EXPECT_EQ(plan(with("queues: 1, header_split: required", "")).problems.at(0).code,
            ReasonCode::header_split_off);
  eth5().state.ntuple.reset();
  EXPECT_EQ(
      plan(with("queues: 1", "flows: [{match: {dst_port: 1}, to: ingest}]\n")).problems.at(0).code,
      ReasonCode::rule_refused);
  Policy elsewhere = parsed(kIngest);
  elsewhere.receivers[0].interface = "eth9";
  EXPECT_THAT(problems(plan(elsewhere)), ElementsAre(HasSubstr("no interface eth9")));
}

TEST_F(PlanTest, WhatSomebodyElseChangedIsNoted) {
  apply(plan(kIngest));
  eth5().state.rings->rx = 1024;
  const Plan wanted = plan(kIngest);
  EXPECT_THAT(lines(wanted), ElementsAre("~ RX ring 1024 -> 4096 descriptors"));
  const Plan unwanted = plan(with("queues: 2, header_split: required", R"(
flows:
  - {match: {dst_ip: 192.0.2.7, dst_port: 5201}, to: ingest}
)"));
  EXPECT_THAT(lines(unwanted), IsEmpty());
  EXPECT_THAT(unwanted.notes, ElementsAre(HasSubstr("changed rx_ring to 1024")));
}

TEST_F(PlanTest, MemoryThatIsFarFromTheNicIsNoted) {
  const Policy policy = parsed(
      "version: 1\nmemory: {m: {source: host, size: 1MiB, numa_node: 1}}\nreceivers:\n  ingest: "
      "{interface: eth5, memory: m, queues: 1}\n");
  eth5().state.rings->header_split = nic::HeaderSplit::on;
  std::vector<Found> found{{*sim_->read(kIndex), {}, 1, {}}};
  const nic::SetupState none;
  EXPECT_THAT(make_plan({policy, found, none, {}}).notes, IsEmpty());
  found[0].numa_node = 0;
  EXPECT_THAT(make_plan({policy, found, none, {}}).notes,
              ElementsAre(HasSubstr("eth5 is on NUMA node 0, and memory 'm' on node 1")));
}

// Any policy at all: what can be applied is applied, has then nothing left to do, and is put back.
TEST_F(PlanTest, GeneratedPoliciesComeAndGo) {
  std::size_t applied = 0, steps = 0;
  for (std::uint32_t seed = 0; seed < 1000 && !HasFailure(); ++seed) {
    SCOPED_TRACE("seed " + std::to_string(seed));
    test::Random random{seed};
    const std::string text = test::yaml_of(test::valid_policy(random), random);
    const Policy policy = parsed(text);
    sim_ = std::make_shared<nic::SimNic>();
    std::uint32_t index = 2;
    for (const Policy::Receiver& receiver : policy.receivers) {
      bool known = false;
      for (const auto& name : interfaces()) known |= name.name == receiver.interface;
      if (known) continue;
      nic::SimInterface& at = sim_->add(index++, receiver.interface, 1 + seed % 8);
      at.state.channels->combined_max = 256;
      at.state.rings->rx_max = 1u << 20;
      at.state.rule_table->size = 1u << 14;
      at.state.ntuple = seed % 2 == 0;
      if (seed % 3 == 0) at.state.rings->header_split = nic::HeaderSplit::off;
      at.state.rings->hds_threshold_max_bytes = 1u << 20;
      if (seed % 5 != 0) at.use_default_table();
    }
    std::vector<nic::Settings> before;
    for (const auto& name : interfaces()) before.push_back(*nic::read_settings(*sim_, name.index));
    const Plan made = plan(policy);
    if (!made.problems.empty() || made.steps.size() > 60) continue;
    ++applied;
    steps += made.steps.size();
    apply(made);
    EXPECT_THAT(lines(plan(policy)), IsEmpty()) << text;
    if (!made.steps.empty()) restore();
    for (const nic::Settings& one : before)
      EXPECT_TRUE(same_settings(*nic::read_settings(*sim_, one.index), one)) << text;
  }
  std::printf("%zu policies applied, %zu steps\n", applied, steps);
  EXPECT_GT(applied, 100u);
}

// Goal: 50 ms. Printed, not judged: machines differ.
TEST_F(PlanTest, ManyQueuesAndRules) {
  sim_ = std::make_shared<nic::SimNic>();
  nic::SimInterface& at = sim_->add(kIndex, "eth5", 8);
  at.state.rule_table->size = 4096;
  at.use_default_table();
  const Policy policy = parsed(
      with("queues: 63", "flows: [{match: {dst_port: 1001-2000, family: ipv4}, to: ingest}]\n"));
  const auto begin = std::chrono::steady_clock::now();
  const Plan made = plan(policy);
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - begin;
  EXPECT_THAT(problems(made), IsEmpty());
  EXPECT_THAT(made.steps, SizeIs(1000 + 3));
  std::printf("plan of 63 queues and 1,000 rules: %.1f ms\n", took.count());
}

}  // namespace
}  // namespace landfall::policy
