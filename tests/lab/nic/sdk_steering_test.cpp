// SPDX-License-Identifier: Apache-2.0
// Goal: a rule is in the NIC exactly as long as its flow, also when the process is killed in the
// middle, and the kernel's refusals come with their reasons.
#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <netinet/in.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <chrono>
#include <random>

#include "landfall_test/quota.hpp"
#include "nic/forwarding_nic.hpp"
#include "nic/steering.hpp"
#include "sdk_rig.hpp"

namespace landfall::nic::lab {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;

FlowKey key(std::uint16_t port, bool to_anybody = false) {
  FlowKey result;
  ::inet_pton(AF_INET, "10.77.0.1", result.local.address.data());
  ::inet_pton(AF_INET, "10.77.0.2", result.remote.address.data());
  result.local.port = port;
  result.remote.port = 40000;
  result.any_remote = to_anybody;
  return result;
}

/// The kernel, in a process that is killed as soon as a rule is in the NIC, before it knows where.
class KilledAfterInsertion final : public ForwardingNic {
 public:
  using ForwardingNic::ForwardingNic;
  Result<std::uint32_t> insert_rule(std::uint32_t index, const Rule& rule) override {
    const auto location = ForwardingNic::insert_rule(index, rule);
    if (location) ::kill(::getpid(), SIGKILL);
    return location;
  }
};

class SdkSteering : public SdkOnNic {
 protected:
  void SetUp() override {
    SdkOnNic::SetUp();
    steering_ = Steering::open(nic_, index_);
    ASSERT_THAT(rules(), IsEmpty());
  }
  std::vector<Rule> rules() {
    auto listed = nic_->rules(index_);
    EXPECT_TRUE(listed) << listed.error().describe();
    return listed ? *listed : std::vector<Rule>{};
  }
  Result<Steered> steer(const FlowKey& one, std::uint32_t queue_id = 3) {
    return steering_->steer(std::span{&one, 1}, queue_id);
  }
  /// The guard acts when it has seen the process end; the table is the only thing that tells.
  bool rules_go_away() {
    const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (!rules().empty())
      if (std::chrono::steady_clock::now() > patience) return false;
    return true;
  }
  /// A process that steers `flows` flows and then waits to be killed; it writes a byte for each.
  pid_t steer_in_child(int flows, int ready) {
    const pid_t child = ::fork();
    if (child != 0) return child;
    steering_ = Steering::open(nic_, index_);  // the child's own
    std::vector<Steered> steered;
    for (int i = 0; i < flows; ++i) {
      auto one = steer(key(static_cast<std::uint16_t>(6000 + i)));
      if (!one) ::_exit(1);
      steered.push_back(std::move(*one));
      if (::write(ready, "x", 1) != 1) ::_exit(1);
    }
    ::pause();
    ::_exit(0);
  }
  std::unique_ptr<Steering> steering_;
};

TEST_F(SdkSteering, ARuleIsThereAsLongAsItsFlow) {
  {
    const auto steered = steer(key(5201));
    ASSERT_TRUE(steered) << steered.error().describe();
    ASSERT_THAT(rules(), SizeIs(1));
    EXPECT_EQ(rules()[0].spec.location, steered->locations()[0]);
    EXPECT_EQ(rules()[0].spec.ring_cookie, 3u);
    const auto listening = steer(key(5202, true), 2);
    ASSERT_TRUE(listening);
    EXPECT_THAT(rules(), SizeIs(2));
  }
  EXPECT_THAT(rules(), IsEmpty());
}

// Goal: what the NIC's classifier says of a packet is what was asked for.
TEST_F(SdkSteering, TheNicSteersByIt) {
  const auto goes_to = [](const std::string& packet) {
    const std::string file = "/sys/kernel/debug/landfall_nic/lf0/classify";
    std::ofstream{file} << packet << std::flush;
    std::string word, line;
    std::ifstream answer{file};
    std::getline(answer, line);
    return line;
  };
  const auto flow = steer(key(5201), 3);
  const auto port = steer(key(5202, true), 2);
  ASSERT_TRUE(flow && port);
  EXPECT_THAT(goes_to("tcp 10.77.0.2 40000 10.77.0.1 5201"), HasSubstr("queue 3"));
  EXPECT_THAT(goes_to("tcp 10.77.0.2 40001 10.77.0.1 5201"), HasSubstr("rule -1"));
  EXPECT_THAT(goes_to("tcp 10.77.0.9 7 10.77.0.1 5202"), HasSubstr("queue 2"));
  FlowKey six;
  six.family = AF_INET6;
  ::inet_pton(AF_INET6, "fd77::1", six.local.address.data());
  six.local.port = 5203;
  const auto v6 = steer(six, 3);
  ASSERT_TRUE(v6);
  EXPECT_THAT(goes_to("tcp fd77::2 9 fd77::1 5203"), HasSubstr("queue 3"));
}

TEST_F(SdkSteering, NamesEachRefusal) {
  write_fault("rules_full", 1);
  const auto full = steer(key(5201));
  write_fault("rules_full", 0);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), ReasonCode::rules_full);
  run("ethtool -K lf0 ntuple off");
  const auto off = steer(key(5201));
  run("ethtool -K lf0 ntuple on");
  ASSERT_FALSE(off);
  EXPECT_EQ(off.error().reason(), ReasonCode::ntuple_off);
  const auto beyond = steer(key(5201), 4000);
  ASSERT_FALSE(beyond);
  EXPECT_EQ(beyond.error().reason(), ReasonCode::rule_refused);
  run("ethtool -N lf0 flow-type tcp4 dst-port 5201 action 1 loc 0");
  const auto hidden = steer(key(5201));
  ASSERT_FALSE(hidden);
  EXPECT_EQ(hidden.error().reason(), ReasonCode::rule_conflict);
  EXPECT_THAT(rules(), SizeIs(1));
  run("ethtool -N lf0 delete 0");
}

TEST_F(SdkSteering, TheTableCanBeFull) {
  std::vector<Steered> all;
  for (std::uint16_t port = 1;; ++port) {
    auto one = steer(key(port));
    if (!one) {
      EXPECT_EQ(one.error().reason(), ReasonCode::rules_full);
      break;
    }
    all.push_back(std::move(*one));
    ASSERT_LT(port, 100);
  }
  EXPECT_THAT(rules(), SizeIs(all.size()));
  all.clear();
  EXPECT_THAT(rules(), IsEmpty());
}

TEST_F(SdkSteering, KillLeavesNoRule) {
  std::mt19937 random{20261123};
  const int rounds = test::quota_or_soak(10, 500);
  for (int round = 0; round < rounds; ++round) {
    SCOPED_TRACE(round);
    int ready[2];
    ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
    const pid_t child = steer_in_child(8, ready[1]);
    ASSERT_GE(child, 0);
    // Killed after some of them, that is, at some point of making the next one.
    const int seen = std::uniform_int_distribution{0, 8}(random);
    char byte;
    for (int i = 0; i < seen; ++i) ASSERT_EQ(::read(ready[0], &byte, 1), 1);
    ::kill(child, SIGKILL);
    ASSERT_EQ(::waitpid(child, nullptr, 0), child);
    ::close(ready[0]);
    ::close(ready[1]);
    ASSERT_TRUE(rules_go_away());
  }
}

TEST_F(SdkSteering, KillAtTheWorstMomentLeavesNoRule) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto steering = Steering::open(std::make_shared<KilledAfterInsertion>(nic_), index_);
    const FlowKey one = key(6000);
    const auto never = steering->steer(std::span{&one, 1}, 3);
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  ASSERT_TRUE(WIFSIGNALED(status)) << "the rule was not made";
  EXPECT_TRUE(rules_go_away());
}

// Goal: who starts again at once after kill -9 has a rule of its own, not the old one that goes.
TEST_F(SdkSteering, ARestartHasItsOwnRule) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = steer_in_child(1, ready[1]);
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  const auto steered = steer(key(6000));
  ASSERT_TRUE(steered) << steered.error().describe();
  EXPECT_THAT(steered->locations(), SizeIs(1));
}

// Goal: a foreign rule stays when the guard cleans up, also in the place of one of ours.
TEST_F(SdkSteering, TheGuardLeavesTheRulesOfOthers) {
  run("ethtool -N lf0 flow-type tcp4 dst-port 7 action 1 loc 9");
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = steer_in_child(2, ready[1]);
  char byte;
  for (int i = 0; i < 2; ++i) ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  // Someone takes the place of the second.
  std::uint32_t second = 0;
  for (const Rule& rule : rules())
    if (ntohs(rule.spec.h_u.tcp_ip4_spec.pdst) == 6001) second = rule.spec.location;
  run("ethtool -N lf0 flow-type tcp4 dst-port 8 action 1 loc " + std::to_string(second));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  const auto patience = std::chrono::steady_clock::now() + std::chrono::seconds{20};
  while (rules().size() > 2 && std::chrono::steady_clock::now() < patience) {
  }
  std::vector<int> ports;
  for (const Rule& rule : rules()) ports.push_back(ntohs(rule.spec.h_u.tcp_ip4_spec.pdst));
  EXPECT_THAT(ports, ::testing::UnorderedElementsAre(7, 8));
  run("ethtool -N lf0 delete 9 && ethtool -N lf0 delete " + std::to_string(second));
}

// Goal: a guard that was killed is replaced, and the new one knows of the old rules.
TEST_F(SdkSteering, AKilledGuardIsReplaced) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    steering_ = Steering::open(nic_, index_);
    const auto first = steer(key(6000));
    run("pkill -9 -x landfall-nic-gu");
    const auto second = steer(key(6001));
    if (!first || !second || ::write(ready[1], "x", 1) != 1) ::_exit(1);
    ::pause();
  }
  char byte;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_THAT(rules(), SizeIs(2));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_TRUE(rules_go_away());
}

// Goal: a process that has the one capability and is not root has a guard that can do its work.
TEST_F(SdkSteering, TheGuardHasTheCapabilityToo) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    constexpr uid_t kNobody = 65534;
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2]{};
    data[0].effective = data[0].permitted = 1u << CAP_NET_ADMIN;
    if (::prctl(PR_SET_KEEPCAPS, 1) != 0 || ::setresuid(kNobody, kNobody, kNobody) != 0 ||
        ::syscall(SYS_capset, &header, data) != 0)
      ::_exit(1);
    steering_ = Steering::open(nic_, index_);
    const auto steered = steer(key(6000));
    if (::write(ready[1], steered ? "y" : "n", 1) != 1) ::_exit(1);
    ::pause();
  }
  ::close(ready[1]);
  char byte = 0;
  ASSERT_EQ(::read(ready[0], &byte, 1), 1);
  EXPECT_EQ(byte, 'y');
  EXPECT_THAT(rules(), SizeIs(1));
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  EXPECT_TRUE(rules_go_away());
}

// Goal: a forked child neither steers nor takes its parent's rules away.
TEST_F(SdkSteering, ForkedChildrenAreNotTheOwners) {
  auto steered = steer(key(5201));
  ASSERT_TRUE(steered);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto refused = steer(key(5202));
    *steered = Steered{};
    ::_exit(!refused && refused.error().code() == Errc::wrong_process ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_THAT(rules(), SizeIs(1));
}

// Goal: without the guard there is no rule that nobody would remove.
TEST_F(SdkSteering, NoGuardNoRule) {
  const auto steering =
      Steering::open(nic_, index_, {.guard_program = "/nowhere/landfall-nic-guard"});
  const FlowKey one = key(5201);
  const auto refused = steering->steer(std::span{&one, 1}, 3);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), ReasonCode::steering_guard_failed);
  EXPECT_THAT(rules(), IsEmpty());
}

}  // namespace
}  // namespace landfall::nic::lab
