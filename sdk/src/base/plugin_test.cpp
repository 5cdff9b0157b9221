// SPDX-License-Identifier: Apache-2.0
// Goal: a plug-in that is broken in any way is named and skipped, the process lives, and nothing of
// the trial is left behind.
#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <csignal>
#include <filesystem>
#include <thread>

#include "base/context_core.hpp"
#include "landfall/base/context.hpp"
#include "landfall/base/limits.hpp"
#include "landfall_test/fault_loop.hpp"

namespace landfall {
namespace {

using ::testing::HasSubstr;

std::string fixture(const std::string& name) {
  return LANDFALL_FIXTURES "/plugin_fixture_" + name + ".so";
}

class Plugin : public ::testing::Test {
 public:
  // The census looks last: no child left to wait for, no descriptor.
  ~Plugin() override {
    EXPECT_EQ(::waitpid(-1, nullptr, WNOHANG), -1);
    EXPECT_EQ(fds_.leaked(), 0);
  }

 protected:
  Error refused(const std::string& path) {
    auto loaded = context_.load(path);
    EXPECT_FALSE(loaded) << path;
    EXPECT_EQ(events_, 1) << "a refusal is an event, too";
    EXPECT_TRUE(context_.backends().empty());
    return loaded ? Error{Errc::ok, ""} : loaded.error();
  }
  void expect(const std::string& name, ReasonCode reason, const char* text) {
    const Error error = refused(fixture(name));
    EXPECT_EQ(error.reason(), reason) << error.describe();
    EXPECT_THAT(error.describe(), HasSubstr(text));
  }

  test::FdCensus fds_;
  int events_ = 0;
  Context context_ = *Context::create(
      {.builtin_backends = false, .on_event = [this](const Reason&) { ++events_; }});
};

TEST_F(Plugin, RegistersAllThatOneLibraryCarries) {
  auto loaded = context_.load(fixture("good"));
  ASSERT_TRUE(loaded) << loaded.error().describe();
  const auto infos = context_.backends();
  ASSERT_EQ(infos.size(), 2u);
  EXPECT_EQ(infos[0].name, "fixture-one");
  EXPECT_EQ(infos[1].name, "fixture-two");
  EXPECT_THAT(infos[0].path, HasSubstr("plugin_fixture_good.so"));
  EXPECT_FALSE(infos[0].builtin);
  auto again = context_.load(fixture("good"));
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().reason(), ReasonCode::backend_exists);
  EXPECT_EQ(context_.backends().size(), 2u);
}

TEST_F(Plugin, MissingSymbol) {
  expect("no_symbol", ReasonCode::plugin_symbol_missing, "LF1402");
}
TEST_F(Plugin, WrongAbi) {
  expect("wrong_abi", ReasonCode::plugin_abi_mismatch, "ABI 8");
}
TEST_F(Plugin, NothingForThisAbi) {
  expect("empty", ReasonCode::plugin_abi_mismatch, "no backend");
}
TEST_F(Plugin, Malformed) {
  expect("malformed", ReasonCode::plugin_malformed, "name");
}
TEST_F(Plugin, EndlessList) {
  expect("endless", ReasonCode::plugin_malformed, "does not end");
}
TEST_F(Plugin, AllOrNothing) {
  expect("second_bad", ReasonCode::plugin_malformed, "name");
}
TEST_F(Plugin, AbortsOnLoading) {
  expect("aborts", ReasonCode::plugin_crashed, "SIGABRT");
}
TEST_F(Plugin, ThrowsOnLoading) {
  expect("throws", ReasonCode::plugin_crashed, "SIGABRT");
}
TEST_F(Plugin, ExitsOnLoading) {
  expect("exits", ReasonCode::plugin_crashed, "status 3");
}
// The sanitizers turn SIGSEGV into an exit: both are a crash.
TEST_F(Plugin, CrashesOnLoading) {
  expect("segfaults", ReasonCode::plugin_crashed, "LF1405");
}
// The pipe of the trial stays open in a grandchild: only the process descriptor tells.
TEST_F(Plugin, CrashesAndLeavesAProcess) {
  expect("pipe_held", ReasonCode::plugin_crashed, "SIGABRT");
}

TEST_F(Plugin, HangsOnLoading) {
  std::uint64_t now_ns = 0;
  auto context = *Context::create({.builtin_backends = false, .now_ns = [&now_ns] {
                                     return now_ns += std::uint64_t{kPluginTrialMs} * 1'000'000u;
                                   }});
  auto loaded = context.load(fixture("hangs"));
  ASSERT_FALSE(loaded);
  EXPECT_EQ(loaded.error().code(), Errc::timed_out);
  EXPECT_EQ(loaded.error().reason(), ReasonCode::plugin_hangs);
}

TEST_F(Plugin, PathsThatAreNoPlugin) {
  const Error missing = refused("/nonexistent/x.so");
  EXPECT_EQ(missing.code(), Errc::not_found);
  EXPECT_EQ(missing.reason(), ReasonCode::plugin_not_found);
  for (const char* path : {"", "/", "/dev/null", "/etc/passwd"}) {
    auto loaded = context_.load(path);
    ASSERT_FALSE(loaded) << path;
    EXPECT_EQ(loaded.error().reason(), ReasonCode::plugin_not_found) << loaded.error().describe();
  }
}

// Goal: the application's own way with children changes nothing.
TEST_F(Plugin, WhereTheApplicationIgnoresItsChildren) {
  const auto old = std::signal(SIGCHLD, SIG_IGN);
  const Error error = refused(fixture("aborts"));
  auto loaded = context_.load(fixture("good"));
  std::signal(SIGCHLD, old);
  EXPECT_EQ(error.reason(), ReasonCode::plugin_crashed) << error.describe();
  EXPECT_TRUE(loaded);
}

// Goal: the forked child takes no lock that another thread held at the fork.
TEST_F(Plugin, WhileOtherThreadsAllocateAndReport) {
  std::atomic<bool> stop = false;
  std::thread busy{[&] {
    const Error base{Errc::busy, "busy"};
    while (!stop) {
      const auto text = std::make_unique<std::string>(64, 'x');
      EXPECT_FALSE(base.with(*text).cause().empty());
    }
  }};
  for (int i = 0; i < 5; ++i) {
    auto loaded = context_.load(fixture("malformed"));
    EXPECT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason(), ReasonCode::plugin_malformed) << loaded.error().describe();
  }
  stop = true;
  busy.join();
}

class Folder {
 public:
  Folder() : path_{std::filesystem::temp_directory_path() / "landfall-plugin-XXXXXX"} {
    std::string name = path_.string();
    if (::mkdtemp(name.data()) != nullptr) path_ = name;
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

TEST_F(Plugin, PathsThatOthersMayWrite) {
  if (::geteuid() != 0) GTEST_SKIP() << "root: only a process with privileges minds who may write";
  const Folder folder;
  const auto file = folder.path() / "good.so";
  std::filesystem::copy_file(fixture("good"), file);
  ASSERT_EQ(::chmod(file.c_str(), 0757), 0);
  EXPECT_EQ(refused(file).reason(), ReasonCode::plugin_path_unsafe);
  ASSERT_EQ(::chmod(file.c_str(), 0755), 0);
  for (const mode_t mode : {0777u, 0775u}) {
    ASSERT_EQ(::chmod(folder.path().c_str(), mode), 0);
    auto loaded = context_.load(file);
    ASSERT_FALSE(loaded);
    EXPECT_EQ(loaded.error().reason(), ReasonCode::plugin_path_unsafe);
    EXPECT_THAT(std::string{loaded.error().remedy()},
                HasSubstr("chmod go-w " + folder.path().string()));
  }
  ASSERT_EQ(::chmod(folder.path().c_str(), 01777), 0);
  EXPECT_TRUE(context_.load(file)) << "in a sticky folder nobody replaces another's file";
}

TEST_F(Plugin, EveryOutsideCallMayFail) {
  test::FaultPlan plan;
  auto context = *Context::create({.builtin_backends = false, .fault = plan.hook()});
  const auto result = test::fail_each_call(plan, [&] {
    auto fresh = *Context::create({.builtin_backends = false, .fault = plan.hook()});
    return fresh.load(fixture("good")).has_value();
  });
  EXPECT_GE(result.calls, 4u);
  EXPECT_THAT(result.survived, ::testing::IsEmpty());
  EXPECT_THAT(result.leaked, ::testing::IsEmpty());
}

}  // namespace
}  // namespace landfall
