// SPDX-License-Identifier: Apache-2.0
// For this folder's tests: what runs on each engine, and with both ways to sleep.
#pragma once
#include <memory>
#include <string>

#include "tcp/mini_core.hpp"

namespace landfall::tcp::test {

struct Way {
  const char* options;
  bool use_wait_fd;
};

class Tcp : public ::testing::TestWithParam<Way> {
 protected:
  /// Opens, or skips where this machine refuses io_uring.
  std::unique_ptr<MiniCore> open(MiniCore::Setup setup = {}) {
    setup.options = GetParam().options + setup.options;
    setup.use_wait_fd = GetParam().use_wait_fd;
    auto core = std::make_unique<MiniCore>(setup);
    const landfall_errc code = core->open();
    if (code == LANDFALL_ERRC_not_supported || code == LANDFALL_ERRC_permission_denied)
      return nullptr;
    EXPECT_EQ(code, LANDFALL_ERRC_ok) << core->why.text;
    return core;
  }
};

#define OPEN_OR_SKIP(name, ...)                                  \
  auto name##_owner = open(__VA_ARGS__);                         \
  if (!name##_owner) GTEST_SKIP() << "io_uring is refused here"; \
  MiniCore& name = *name##_owner

inline const auto kEachEngine = ::testing::Values(
    Way{"engine=recv\n", false}, Way{"engine=recv\n", true}, Way{"engine=io_uring\n", false},
    Way{"engine=io_uring\n", true}, Way{"engine=io_uring\nbundles=off\ngather=off\n", false},
    Way{"engine=io_uring\nturn=16384\n", false});

inline std::string name_of_way(const ::testing::TestParamInfo<Way>& way) {
  std::string name = way.param.options;
  name = name.find("bundles") != std::string::npos    ? "single"
         : name.find("turn") != std::string::npos     ? "turns"
         : name.find("io_uring") != std::string::npos ? "io_uring"
                                                      : "recv";
  return name + (way.param.use_wait_fd ? "_wait_fd" : "");
}

}  // namespace landfall::tcp::test
