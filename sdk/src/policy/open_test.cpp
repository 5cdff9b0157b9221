// SPDX-License-Identifier: Apache-2.0
// Goal: an application that names a receiver of a policy gets a Group where the placement allows
// what this machine can, and an Error with the cause where it does not. (The NIC's side is in the
// lab: tests/lab/nic/policy.sh.)
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <pwd.h>
#include <unistd.h>

#include <filesystem>

#include "landfall/landfall.hpp"
#include "landfall_test/loopback.hpp"
#include "landfall_test/temp_folder.hpp"

namespace landfall {
namespace {

using ::testing::HasSubstr;

class OpenByPolicy : public ::testing::Test {
 protected:
  Result<Group> open(const std::string& interface, const std::string& placement,
                     const std::string& receiver = "ingest") {
    PolicyFindings findings;
    const auto policy = Policy::parse(
        "version: 1\nmemory: {m: {source: host, size: 1MiB}}\nreceivers:\n  ingest: {interface: " +
            interface +
            ", queues: 2, memory: m, transports: [devmem-tcp, tcp], also: [verbs], placement: " +
            placement + "}\nflows: [{match: {dst_port: 5201}, to: ingest}]\n",
        findings);
    if (!policy) return policy.error();
    return Group::open(context_, *policy, receiver, {.state_folder = folder_.path() + "/state"},
                       &decision_);
  }
  std::string reasons_of(const std::string& transport) const {
    std::string text;
    for (const Decision::Candidate& one : decision_.candidates)
      for (const Reason& reason : one.reasons)
        if (one.transport == transport) text += reason.text + "\n";
    return text;
  }

  test::TempFolder folder_;
  Context context_ = std::move(*Context::create());
  Decision decision_;
};

TEST_F(OpenByPolicy, WithoutTheInterfaceWhatCopiesIsTakenAndTheReasonTold) {
  const auto group = open("nosuch0", "prefer_direct");
  ASSERT_TRUE(group) << group.error().describe();
  EXPECT_EQ(group->size(), 2u);
  EXPECT_EQ(group->memory().size_bytes(), 1u << 20);
  EXPECT_EQ(decision_.chosen, "tcp");
  EXPECT_THAT(reasons_of("devmem-tcp"), HasSubstr("no network interface nosuch0"));
  EXPECT_THAT(reasons_of("verbs"), HasSubstr("no transport of this name is registered"));
}

// Goal: no transport that is to serve beside the chosen one is passed over in silence.
TEST_F(OpenByPolicy, WhatIsToServeBesideIsTold) {
  GroupOptions options;
  options.transports = {"tcp"};
  options.also = {"verbs", "devmem-tcp", "tcp"};
  Region region =
      std::move(*Region::allocate(context_, {.source = "host", .size_bytes = 1u << 20}));
  const auto group = Group::open(context_, options, region, &decision_);
  ASSERT_TRUE(group) << group.error().describe();
  EXPECT_EQ(decision_.chosen, "tcp");
  EXPECT_THAT(decision_.describe(), HasSubstr("verbs: not usable - no transport of this name is "
                                              "registered [LF1205]"));
  EXPECT_THAT(reasons_of("devmem-tcp"), HasSubstr("cannot serve senders of its own beside"));
}

// Goal: what is to serve beside is not taken for the sockets themselves.
TEST_F(OpenByPolicy, WhatIsToServeBesideDoesNotServeSockets) {
  GroupOptions options;
  options.also = {"tcp"};
  Region region =
      std::move(*Region::allocate(context_, {.source = "host", .size_bytes = 1u << 20}));
  EXPECT_FALSE(Group::open(context_, options, region, &decision_));
  EXPECT_THAT(reasons_of("tcp"), HasSubstr("cannot serve senders of its own beside"));
}

TEST_F(OpenByPolicy, AnInterfaceThatIsNoNicIsToldAsWell) {
  const auto group = open("lo", "allow_copy");
  ASSERT_TRUE(group) << group.error().describe();
  EXPECT_THAT(reasons_of("devmem-tcp"), HasSubstr("lo "));
  EXPECT_FALSE(std::filesystem::exists(folder_.path() + "/state")) << "nothing was to be set up";
}

TEST_F(OpenByPolicy, WhatMustBeDirectIsRefusedWithTheCause) {
  const auto group = open("nosuch0", "require_direct");
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().reason(), ReasonCode::interface_unknown);
}

class OpenByAccess : public OpenByPolicy {
 protected:
  void SetUp() override {
    if (::getpwuid(::geteuid()) == nullptr) GTEST_SKIP() << "this user has no name";
  }
  Result<Group> open_with(const std::string& limits) {
    PolicyFindings findings;
    const auto policy = Policy::parse(
        "version: 1\nmemory: {m: {source: host, size: 1MiB}}\nreceivers:\n  ingest: {interface: "
        "nosuch0, queues: 2, memory: m, transports: [tcp]}\naccess: [{user: " +
            std::string{::getpwuid(::geteuid())->pw_name} + ", receivers: [ingest], " + limits +
            "}]\n",
        findings);
    if (!policy) return policy.error();
    return Group::open(context_, *policy, "ingest", {.state_folder = folder_.path() + "/state"});
  }
};

TEST_F(OpenByAccess, WithinTheLimits) {
  const auto group = open_with("max_memory: 1MiB, max_flows: 2, max_rules: 0");
  ASSERT_TRUE(group) << group.error().describe();
}

TEST_F(OpenByAccess, MoreMemoryThanIsLent) {
  const auto group = open_with("max_memory: 512KiB");
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().reason(), ReasonCode::access_limit);
  EXPECT_THAT(std::string{group.error().cause()}, HasSubstr("max_memory"));
}

TEST_F(OpenByAccess, MoreFlowsThanAreLent) {
  const auto none = open_with("max_flows: 1");
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().reason(), ReasonCode::access_limit) << "of two queues";
  auto group = open_with("max_flows: 4");
  ASSERT_TRUE(group) << group.error().describe();
  test::SocketPair pairs[] = {test::tcp_pair(), test::tcp_pair(), test::tcp_pair()};
  EXPECT_TRUE((*group)[0].attach(pairs[0].ours));
  EXPECT_TRUE((*group)[0].attach(pairs[1].ours));
  EXPECT_FALSE((*group)[0].attach(pairs[2].ours));
}

TEST_F(OpenByPolicy, ANameThatThePolicyHasNot) {
  const auto group = open("nosuch0", "prefer_direct", "ingset");
  ASSERT_FALSE(group);
  EXPECT_EQ(group.error().reason(), ReasonCode::policy_name_unknown);
  EXPECT_THAT(std::string{group.error().cause()}, HasSubstr("ingset"));
}

}  // namespace
}  // namespace landfall
