// SPDX-License-Identifier: Apache-2.0
// landfall_conformance [--backend PATH]... [--mutant NAME] [GoogleTest's options]
#include <gtest/gtest.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <set>
#include <string>

#include "conformance/rig.hpp"

// libfabric's tcp provider (1.17) keeps what it has of a connection that it has not told of when
// its queue is closed: a sender that came while a call failed on purpose. ofi_test runs without
// this.
extern "C" [[gnu::visibility("default")]] const char* __lsan_default_suppressions();
extern "C" const char* __lsan_default_suppressions() {
  return "leak:libfabric.so.1\n";
}

namespace landfall::test {
namespace {

std::set<const testing::TestInfo*> g_listed_skips;

class SkipsAreListed : public testing::EmptyTestEventListener {
 public:
  bool broken() const { return broken_; }

 private:
  void OnTestEnd(const testing::TestInfo& info) override {
    if (!info.result()->Skipped() || g_listed_skips.count(&info) != 0) return;
    std::printf("%s.%s was skipped, and capabilities.hpp does not say why\n",
                info.test_suite_name(), info.name());
    broken_ = true;
  }
  bool broken_ = false;
};

}  // namespace

void note_listed_skip() {
  g_listed_skips.insert(testing::UnitTest::GetInstance()->current_test_info());
}

std::string name_of(const Subject& subject) {
  std::string name = subject.label;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
}

void Transport::SetUp() {
  Result<std::unique_ptr<Rig>> rig = Rig::open(GetParam());
  if (rig) return;
  for (const ReasonCode listed : GetParam().expected().may_refuse) {
    if (rig.error().reason() != listed) continue;
    note_listed_skip();
    GTEST_SKIP() << rig.error().describe();
  }
  FAIL() << rig.error().describe();
}

void Transport::TearDown() {
  const DevmemFaults now = devmem_faults();
  EXPECT_EQ(now.bad_returns, before_.bad_returns) << "returned twice, or to the wrong flow";
  EXPECT_EQ(now.closed_with_extents, before_.closed_with_extents) << "a queue closed too early";
  EXPECT_EQ(now.demanded, before_.demanded) << "asked for what it cannot do";
}

}  // namespace landfall::test

int main(int argc, char** argv) {
  std::signal(SIGPIPE, SIG_IGN);
  landfall::test::choose_subjects(argc, argv);
  testing::InitGoogleTest(&argc, argv);
  auto* skips = new landfall::test::SkipsAreListed;  // GoogleTest deletes it
  testing::UnitTest::GetInstance()->listeners().Append(skips);
  const int failed = RUN_ALL_TESTS();
  return failed != 0 || skips->broken() ? 1 : 0;
}
