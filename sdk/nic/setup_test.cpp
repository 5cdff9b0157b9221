// SPDX-License-Identifier: Apache-2.0
// Goal: whatever happens between two steps of an apply or a restore, the NIC ends as it was before
// or as the plan says, and nothing of others is touched.
#include "nic/setup.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>
#include <filesystem>
#include <fstream>
#include <functional>
#include <sstream>

#include "landfall_test/temp_folder.hpp"
#include "nic/flow_key.hpp"
#include "nic/forwarding_nic.hpp"
#include "nic/sim_nic.hpp"

namespace landfall::nic {
namespace {

using ::testing::HasSubstr;
using ::testing::IsEmpty;
using ::testing::SizeIs;
using What = Step::What;

constexpr std::uint32_t kIndex = 7, kOther = 8;

struct Crash {};

/// A NIC under which the process dies at one of the calls that change it.
class CrashingNic final : public ForwardingNic {
 private:
  template <class Call>
  auto at(Call&& call) {
    EXPECT_FALSE(dead_) << "a dead process changes nothing";
    const int now = changes++;
    if (now == crash_before) die();
    auto result = call();
    if (now == crash_after) die();
    return result;
  }
  [[noreturn]] void die() {
    dead_ = true;
    throw Crash{};
  }
  bool dead_ = false;

 public:
  using ForwardingNic::ForwardingNic;
  int crash_before = -1, crash_after = -1;  // this change, counted from 0
  int changes = 0;

  Result<std::uint32_t> insert_rule(std::uint32_t index, const Rule& rule) override {
    return at([&] { return ForwardingNic::insert_rule(index, rule); });
  }
  Result<void> remove_rule(std::uint32_t index, std::uint32_t location) override {
    return at([&] { return ForwardingNic::remove_rule(index, location); });
  }
  Result<void> set_channels(std::uint32_t index, std::uint32_t receiving) override {
    return at([&] { return ForwardingNic::set_channels(index, receiving); });
  }
  Result<void> set_rings(std::uint32_t index, const RingsRequest& request) override {
    return at([&] { return ForwardingNic::set_rings(index, request); });
  }
  Result<void> set_ntuple(std::uint32_t index, bool on) override {
    return at([&] { return ForwardingNic::set_ntuple(index, on); });
  }
  Result<void> set_rss_table(std::uint32_t index, std::span<const std::uint32_t> table) override {
    return at([&] { return ForwardingNic::set_rss_table(index, table); });
  }
  Result<std::uint32_t> add_rss_context(std::uint32_t index,
                                        std::span<const std::uint32_t> table) override {
    return at([&] { return ForwardingNic::add_rss_context(index, table); });
  }
  Result<void> remove_rss_context(std::uint32_t index, std::uint32_t id) override {
    return at([&] { return ForwardingNic::remove_rss_context(index, id); });
  }
};

Rule tcp_rule(std::uint16_t port, std::uint32_t queue) {
  FlowKey key;
  key.local.port = port;
  key.local.any_address = true;
  return rule_of(key, queue);
}

class SetupTest : public ::testing::Test {
 protected:
  SetupTest() {
    SimInterface& at = sim_->add(kIndex, "eth7", 4);
    at.state.rings->header_split = HeaderSplit::off;
    at.use_default_table();
    Rule foreign = tcp_rule(22, 0);
    foreign.spec.location = 3;
    at.rules.push_back(foreign);
    before_ = now();
    sim_->add(kOther, "eth8", 2).state.ntuple = false;
    before_other_ = *read_settings(*sim_, kOther);
  }

  static Step setting(What what, std::uint64_t from, std::uint64_t to) {
    Step step;
    step.what = what;
    step.interface_index = kIndex;
    step.interface = "eth7";
    step.from = from;
    step.to = to;
    return step;
  }
  static Step context(const std::string& name, std::uint32_t queue) {
    Step step = setting(What::rss_context, 0, 0);
    step.context = name;
    step.to_table.assign(128, queue);
    return step;
  }
  static Step rule(std::uint16_t port, std::uint32_t queue, const std::string& to_context = "") {
    Step step = setting(What::rule, 0, 0);
    step.rule = tcp_rule(port, queue);
    step.context = to_context;
    if (!to_context.empty()) step.rule.spec.flow_type |= FLOW_RSS;
    return step;
  }
  static Step on_other(Step step) {
    step.interface_index = kOther;
    step.interface = "eth8";
    return step;
  }
  /// One of each kind, over two interfaces.
  static std::vector<Step> plan() {
    Step table = setting(What::rss_table, 0, 0);
    for (std::uint32_t i = 0; i < 128; ++i) table.to_table.push_back(i % 6);
    return {on_other(setting(What::ntuple, 0, 1)),
            on_other(rule(5203, 1)),
            setting(What::channels, 4, 8),
            setting(What::rx_ring, 256, 4096),
            setting(What::header_split, 0, 1),
            setting(What::hds_threshold, 0, 100),
            table,
            context("ingest", 6),
            rule(5201, 0, "ingest"),
            rule(5202, 7)};
  }

  NicSetup open(Nic& nic) {
    auto setup = NicSetup::open(nic, folder_.path());
    EXPECT_TRUE(setup) << setup.error().describe();
    return std::move(*setup);
  }
  Settings now() { return *read_settings(*sim_, kIndex); }
  /// As if landfall had never been there.
  void expect_as_before() {
    EXPECT_TRUE(same_settings(now(), before_));
    EXPECT_TRUE(same_settings(*read_settings(*sim_, kOther), before_other_));
    EXPECT_FALSE(sim_->at(kIndex).table_is_users) << "the driver's table follows its channels";
    EXPECT_FALSE(std::filesystem::exists(journal_path(folder_.path())));
  }
  void apply_all(std::uint64_t deadline_s = 0) {
    NicSetup setup = open(*sim_);
    const auto applied = setup.apply(plan(), {"test", deadline_s});
    ASSERT_TRUE(applied) << applied.error().describe();
  }
  void restore_all() {
    NicSetup setup = open(*sim_);
    const auto undone = setup.restore();
    ASSERT_TRUE(undone) << undone.error().describe();
    EXPECT_THAT(undone->failed, IsEmpty());
    EXPECT_THAT(undone->elsewhere, IsEmpty());
  }
  /// Runs `act` with a crash at its k-th change, for all k and on both sides of it; `check` after
  /// each one that a new process has recovered from.
  void crash_everywhere(const std::function<void()>& arrange,
                        const std::function<void(NicSetup&)>& act,
                        const std::function<void()>& check) {
    for (int k = 0;; ++k) {
      for (const bool after : {false, true}) {
        arrange();
        CrashingNic nic{sim_};
        (after ? nic.crash_after : nic.crash_before) = k;
        bool crashed = false;
        try {
          NicSetup setup = open(nic);
          act(setup);
        } catch (const Crash&) {
          crashed = true;
        }
        if (!crashed) {
          EXPECT_GT(k, 0) << "no crash at all";
          return;
        }
        SCOPED_TRACE((after ? "after change " : "before change ") + std::to_string(k));
        NicSetup setup = open(*sim_);
        const auto undone = setup.recover();
        ASSERT_TRUE(undone) << undone.error().describe();
        EXPECT_THAT(undone->failed, IsEmpty());
        EXPECT_THAT(undone->elsewhere, IsEmpty());
        check();
        if (HasFailure()) return;
      }
    }
  }
  std::string journal() {
    std::ifstream in{journal_path(folder_.path()), std::ios::binary};
    std::ostringstream text;
    text << in.rdbuf();
    return text.str();
  }
  void write_journal(const std::string& text) {
    std::ofstream{journal_path(folder_.path()), std::ios::binary | std::ios::trunc} << text;
  }

  test::TempFolder folder_;
  std::shared_ptr<SimNic> sim_ = std::make_shared<SimNic>();
  Settings before_, before_other_;
};

TEST_F(SetupTest, WhatWasAppliedIsThereAndRestorePutsBackWhatWas) {
  apply_all();
  const Settings after = now();
  EXPECT_EQ(read_settings(*sim_, kOther)->ntuple, true);
  EXPECT_EQ(after.channels, 8u);
  EXPECT_EQ(after.rx_ring, 4096u);
  EXPECT_EQ(after.header_split, HeaderSplit::on);
  EXPECT_EQ(after.hds_threshold_bytes, 100u);
  ASSERT_THAT(after.rss, SizeIs(2));
  EXPECT_EQ(after.rss[0].table[5], 5u);
  ASSERT_THAT(after.rules, SizeIs(3));
  EXPECT_EQ(after.rules[0].rss_context, after.rss[1].id);
  restore_all();
  expect_as_before();
}

TEST_F(SetupTest, AnApplyThatIsKilledAnywhereIsTakenBack) {
  crash_everywhere([] {}, [](NicSetup& setup) { (void)setup.apply(plan(), {}); },
                   [&] { expect_as_before(); });
}

TEST_F(SetupTest, ARestoreThatIsKilledAnywhereGoesOn) {
  crash_everywhere(
      [&] {
        if (!std::filesystem::exists(journal_path(folder_.path()))) apply_all();
      },
      [](NicSetup& setup) { (void)setup.restore(); }, [&] { expect_as_before(); });
}

TEST_F(SetupTest, ASecondApplyThatIsKilledAnywhereLeavesTheFirst) {
  apply_all();
  const Settings first = now();
  crash_everywhere([] {},
                   [](NicSetup& setup) {
                     Step rule_gone = inverse(setup.state().steps.back());
                     std::vector<Step> steps{rule_gone, setting(What::rx_ring, 4096, 1024),
                                             context("other", 7), rule(5203, 0, "other")};
                     (void)setup.apply(steps, {});
                   },
                   [&] { EXPECT_TRUE(same_settings(now(), first)); });
  restore_all();
}

TEST_F(SetupTest, ARollbackThatIsKilledAnywhereIsFinished) {
  crash_everywhere(
      [&] {
        if (!std::filesystem::exists(journal_path(folder_.path()))) apply_all(1);
      },
      [](NicSetup& setup) { (void)setup.roll_back(); }, [&] { expect_as_before(); });
}

TEST_F(SetupTest, WhatAStepReplacedIsWhatLandfallFound) {
  apply_all();
  {
    NicSetup setup = open(*sim_);
    ASSERT_TRUE(setup.apply({setting(What::rx_ring, 4096, 8192)}, {}));
    ASSERT_TRUE(setup.apply({setting(What::hds_threshold, 100, 0)}, {}));
    EXPECT_EQ(setup.state().find(setting(What::rx_ring, 0, 0))->from, 256u);
    EXPECT_EQ(setup.state().find(setting(What::hds_threshold, 0, 0)), nullptr) << "as it was";
  }
  restore_all();
  expect_as_before();
}

TEST_F(SetupTest, ARefusalAtAnyCallTakesBackWhatWasDone) {
  std::uint32_t calls = 0;
  {
    const std::uint32_t from = sim_->calls();
    apply_all();
    calls = sim_->calls() - from;
    restore_all();
  }
  for (std::uint32_t k = 0; k < calls; ++k) {
    SCOPED_TRACE("call " + std::to_string(k));
    NicSetup setup = open(*sim_);
    sim_->fail(k, EBUSY);
    const auto applied = setup.apply(plan(), {});
    ASSERT_FALSE(applied);
    EXPECT_NE(applied.error().reason(), ReasonCode::undo_incomplete);
    expect_as_before();
    if (HasFailure()) return;
  }
}

TEST_F(SetupTest, WhatIsNotConfirmedIsTakenBack) {
  apply_all(boot_time_s() + 1000);
  {
    NicSetup setup = open(*sim_);
    ASSERT_TRUE(setup.recover()) << "it is not late yet";
    ASSERT_TRUE(setup.state().open);
    const auto again = setup.apply({setting(What::rx_ring, 4096, 16)}, {});
    EXPECT_EQ(again.error().reason(), ReasonCode::awaiting_confirmation);
    ASSERT_TRUE(setup.roll_back());
    EXPECT_EQ(setup.confirm().error().reason(), ReasonCode::nothing_set_up);
  }
  expect_as_before();

  apply_all(1);  // which is long ago
  {
    NicSetup setup = open(*sim_);
    ASSERT_TRUE(setup.recover());
  }
  expect_as_before();

  apply_all(1);
  {
    NicSetup setup = open(*sim_);
    ASSERT_TRUE(setup.confirm());
    ASSERT_TRUE(setup.recover());
    EXPECT_EQ(setup.roll_back().error().reason(), ReasonCode::nothing_set_up);
  }
  EXPECT_EQ(now().channels, 8u);
  restore_all();
  expect_as_before();
}

TEST_F(SetupTest, WhatWaitsCountsForWhoeverPlans) {
  apply_all(boot_time_s() + 1000);
  const auto state = look_at_state(folder_.path());
  ASSERT_TRUE(state) << state.error().describe();
  EXPECT_THAT(state->steps, SizeIs(10));
  ASSERT_TRUE(state->open);
  EXPECT_EQ(state->find(setting(What::rx_ring, 0, 0))->to, 4096u);
}

TEST_F(SetupTest, WhatSomebodyElseChangedIsLeftAndTold) {
  apply_all();
  SimInterface& at = sim_->at(kIndex);
  at.state.rings->rx = 1024;
  const auto ours = std::ranges::find_if(at.rules, [](const Rule& one) {
    return (one.spec.flow_type & FLOW_RSS) == 0 && one.spec.location != 3;
  });
  ASSERT_NE(ours, at.rules.end());
  Rule foreign = tcp_rule(8080, 1);
  foreign.spec.location = ours->spec.location;
  *ours = foreign;

  NicSetup setup = open(*sim_);
  const auto undone = setup.restore();
  ASSERT_TRUE(undone);
  EXPECT_THAT(undone->elsewhere, SizeIs(2));
  EXPECT_THAT(undone->failed, IsEmpty());
  EXPECT_EQ(now().rx_ring, 1024u);
  ASSERT_NE(now().rule_at(foreign.spec.location), nullptr);
  EXPECT_TRUE(same_rule(*now().rule_at(foreign.spec.location), foreign));
  EXPECT_EQ(now().channels, 4u) << "all else is put back";
}

TEST_F(SetupTest, APlanThatTheNicHasLeftBehindIsRefused) {
  NicSetup setup = open(*sim_);
  sim_->at(kIndex).state.rings->rx = 512;
  const auto applied = setup.apply(plan(), {});
  ASSERT_FALSE(applied);
  EXPECT_EQ(applied.error().reason(), ReasonCode::plan_outdated);
  EXPECT_THAT(std::string{applied.error().cause()}, HasSubstr("RX ring 256 -> 4096"));
  EXPECT_EQ(read_settings(*sim_, kOther)->ntuple, false);
}

TEST_F(SetupTest, ARuleThatSomebodyElsePutThereMeanwhileIsNotReplaced) {
  NicSetup setup = open(*sim_);
  Step step = rule(5201, 1);
  step.rule.spec.location = 12;
  // Between the look at the state and the step.
  sim_->after_next_call([&] {
    Rule foreign = tcp_rule(8080, 2);
    foreign.spec.location = 12;
    sim_->at(kIndex).rules.push_back(foreign);
  });
  const auto applied = setup.apply({setting(What::rx_ring, 256, 512), step}, {});
  ASSERT_FALSE(applied);
  EXPECT_THAT(std::string{applied.error().cause()}, HasSubstr("location 12"));
  ASSERT_NE(now().rule_at(12), nullptr);
  EXPECT_EQ(ntohs(now().rule_at(12)->spec.h_u.tcp_ip4_spec.pdst), 8080);
  EXPECT_EQ(now().rx_ring, 256u) << "the step before it is taken back";
}

TEST_F(SetupTest, RulesOfOthersKeepTheFeatureOn) {
  apply_all();
  Rule foreign = tcp_rule(8080, 0);
  foreign.spec.location = 9;
  sim_->at(kOther).rules.push_back(foreign);
  NicSetup setup = open(*sim_);
  const auto undone = setup.restore();
  ASSERT_TRUE(undone);
  ASSERT_THAT(undone->elsewhere, SizeIs(1));
  EXPECT_EQ(undone->elsewhere[0].what, What::ntuple);
  ASSERT_THAT(sim_->at(kOther).rules, SizeIs(1));
  EXPECT_EQ(sim_->at(kOther).rules[0].spec.location, 9u);
}

TEST_F(SetupTest, ANicThatWillNotGoBackIsToldAndTriedAgain) {
  apply_all();
  sim_->privileged = false;
  {
    NicSetup setup = open(*sim_);
    const auto undone = setup.restore();
    ASSERT_TRUE(undone);
    EXPECT_THAT(undone->failed, SizeIs(10));
    EXPECT_EQ(undone->failed[0].second.code(), Errc::permission_denied);
  }
  sim_->privileged = true;
  NicSetup setup = open(*sim_);
  ASSERT_TRUE(setup.recover());
  expect_as_before();
}

TEST_F(SetupTest, AnInterfaceThatWentTakesItsSettingsAlong) {
  apply_all();
  sim_->remove(kIndex);
  sim_->add(kIndex, "eth7", 4).state.bus = "another";
  const Settings fresh = now();
  NicSetup setup = open(*sim_);
  const auto refused = setup.apply({setting(What::rx_ring, 256, 512)}, {});
  EXPECT_EQ(refused.error().reason(), ReasonCode::interface_replaced);
  const auto undone = setup.restore();
  ASSERT_TRUE(undone);
  EXPECT_THAT(undone->gone, SizeIs(8));
  EXPECT_THAT(undone->undone, SizeIs(2)) << "those of the other one";
  EXPECT_TRUE(same_settings(now(), fresh));
  EXPECT_FALSE(std::filesystem::exists(journal_path(folder_.path())));
}

TEST_F(SetupTest, AJournalOfAnotherBootIsClosedAndNothingIsWritten) {
  apply_all();
  bool damaged = false;
  std::vector<Record> records = decode_all(journal(), damaged);
  ASSERT_FALSE(damaged);
  for (auto& [name, value] : records.front().fields)
    if (name == "boot") value = "another";
  std::string text;
  for (const Record& record : records) text += encode(record);
  write_journal(text);
  const std::uint32_t calls = sim_->calls();
  const Settings applied = now();
  NicSetup setup = open(*sim_);
  ASSERT_TRUE(setup.closed());
  EXPECT_THAT(setup.closed()->steps, SizeIs(10));
  EXPECT_THAT(setup.state().steps, IsEmpty());
  EXPECT_TRUE(same_settings(now(), applied));
  EXPECT_LE(sim_->calls() - calls, 4u);
  EXPECT_FALSE(std::filesystem::exists(journal_path(folder_.path())));
}

TEST_F(SetupTest, ADamagedJournalTouchesNothingOfOthers) {
  CrashingNic nic{sim_};
  nic.crash_after = 9;
  EXPECT_THROW(
      {
        NicSetup setup = open(nic);
        (void)setup.apply(plan(), {});
      },
      Crash);
  const SimInterface cut = sim_->at(kIndex);
  const std::string whole = journal();
  ASSERT_GT(whole.size(), 1000u);
  const auto foreign_is_there = [&] {
    const Settings at_this_moment = now();
    const Rule* rule = at_this_moment.rule_at(3);
    return rule != nullptr && ntohs(rule->spec.h_u.tcp_ip4_spec.pdst) == 22;
  };
  const auto expect_safe = [&](const std::string& text, bool may_pass) {
    sim_->at(kIndex) = cut;
    write_journal(text);
    auto setup = NicSetup::open(*sim_, folder_.path());
    if (setup) {
      const auto undone = setup->recover();
      EXPECT_TRUE(undone) << undone.error().describe();  // what a NIC then refuses is told
      EXPECT_TRUE(may_pass);
    } else {
      EXPECT_EQ(setup.error().reason(), ReasonCode::journal_damaged);
      EXPECT_TRUE(same_settings(now(), *read_settings(*sim_, kIndex)));
    }
    EXPECT_TRUE(foreign_is_there());
  };
  for (std::size_t end = 0; end < whole.size() && !HasFailure(); end += 61) {
    SCOPED_TRACE("cut at " + std::to_string(end));
    expect_safe(whole.substr(0, end), true);
  }
  const std::size_t last_line = whole.rfind('\n', whole.size() - 2) + 1;
  for (std::size_t at = 0; at < whole.size() && !HasFailure(); at += 97) {
    SCOPED_TRACE("flipped at " + std::to_string(at));
    std::string flipped = whole;
    flipped[at] = static_cast<char>(flipped[at] ^ 4);
    expect_safe(flipped, at >= last_line);
  }
  sim_->at(kIndex) = cut;
  write_journal(whole);
  NicSetup setup = open(*sim_);
  ASSERT_TRUE(setup.recover());
  expect_as_before();
}

TEST_F(SetupTest, WithoutRoomForTheJournalNothingIsSetUp) {
  struct sigaction ignore {
  }, old{};
  ignore.sa_handler = SIG_IGN;
  ::sigaction(SIGXFSZ, &ignore, &old);
  rlimit whole{};
  ::getrlimit(RLIMIT_FSIZE, &whole);
  std::size_t refused = 0;
  bool applied = false;
  for (rlim_t bytes = 500; !applied && !HasFailure(); bytes += 500) {
    SCOPED_TRACE(std::to_string(bytes) + " bytes");
    rlimit small = whole;
    small.rlim_cur = bytes;
    ::setrlimit(RLIMIT_FSIZE, &small);
    {
      NicSetup setup = open(*sim_);
      const auto result = setup.apply(plan(), {});
      applied = result.has_value();
      if (!applied) {
        ++refused;
        EXPECT_THAT(std::string{result.error().cause()}, HasSubstr("journal"));
        EXPECT_TRUE(same_settings(now(), before_));
      }
    }
    ::setrlimit(RLIMIT_FSIZE, &whole);
    if (applied) continue;
    NicSetup setup = open(*sim_);
    EXPECT_TRUE(setup.recover());
    expect_as_before();
  }
  ::sigaction(SIGXFSZ, &old, nullptr);
  EXPECT_GT(refused, 3u);
  restore_all();
}

TEST_F(SetupTest, OneAtATime) {
  NicSetup setup = open(*sim_);
  const auto second = NicSetup::open(*sim_, folder_.path());
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason(), ReasonCode::setup_in_progress);
}

TEST_F(SetupTest, NothingToConfirmRollBackOrRestore) {
  NicSetup setup = open(*sim_);
  EXPECT_EQ(setup.confirm().error().reason(), ReasonCode::nothing_set_up);
  EXPECT_EQ(setup.roll_back().error().reason(), ReasonCode::nothing_set_up);
  EXPECT_EQ(setup.restore().error().reason(), ReasonCode::nothing_set_up);
  EXPECT_TRUE(setup.apply({}, {}));
}

TEST(Record, SaysWhatItWasMadeOf) {
  Record record{"do", {}};
  record.add("why", std::string{"a b=c%\n\x01\xc3\xa9"}).add("to", std::uint64_t{4096});
  const std::string line = encode(record);
  EXPECT_EQ(std::ranges::count(line, '\n'), 1);
  const auto read = decode(std::string_view{line}.substr(0, line.size() - 1));
  ASSERT_TRUE(read);
  EXPECT_EQ(read->fields, record.fields);
  EXPECT_EQ(read->type, "do");
  EXPECT_FALSE(decode(line)) << "the end of the line is not part of it";
  EXPECT_FALSE(decode("00000000 do"));
}

TEST(Record, IsReadOnlyAsItIsWritten) {
  for (const char* rest : {" ", "do ", "do a=1 ", "do  a=1", "do a=%20%2", "do a=%61", "do =%"}) {
    const std::string line = sum_of_line(rest) + " " + rest;
    EXPECT_FALSE(decode(line)) << '"' << rest << '"';
  }
  const std::string good = sum_of_line("do a=%20") + " do a=%20";
  EXPECT_TRUE(decode(good));
}

}  // namespace
}  // namespace landfall::nic
