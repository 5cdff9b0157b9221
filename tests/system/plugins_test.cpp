// SPDX-License-Identifier: Apache-2.0
// Plug-ins that are broken, as the user of the command meets them.
#include <nlohmann/json.hpp>

#include "child.hpp"
#include "gtest/gtest.h"

namespace landfall::test {
namespace {

struct Broken {
  const char* fixture;  // of sdk/src/base/fixtures
  const char* code;
};
void PrintTo(const Broken& broken, std::ostream* out) {
  *out << broken.fixture;
}

class Plugins : public testing::TestWithParam<Broken> {};

ChildResult info(const std::string& plugin) {
  return in_child([&] { return become({LANDFALL_CLI, "info", "--json", "--plugin", plugin}); });
}

// Goal: a plug-in that is none, that speaks another ABI, that crashes, throws or hangs is reported
// with its code, and the command ends by itself, as an error and not as a crash.
TEST_P(Plugins, AreReportedAndSurvived) {
  const ChildResult result =
      info(std::string{LANDFALL_FIXTURES} + "/plugin_fixture_" + GetParam().fixture + ".so");
  EXPECT_GT(result.status, 0) << result.output;
  EXPECT_LT(result.status, 128) << "ended by a signal: " << result.output;
  EXPECT_NE(result.output.find(GetParam().code), std::string::npos) << result.output;
}

constexpr Broken kBroken[] = {
    {"no_symbol", "LF1402"}, {"wrong_abi", "LF1403"}, {"malformed", "LF1404"}, {"aborts", "LF1405"},
    {"throws", "LF1405"},    {"segfaults", "LF1405"}, {"hangs", "LF1406"},
};
INSTANTIATE_TEST_SUITE_P(Broken, Plugins, testing::ValuesIn(kBroken),
                         [](const auto& which) { return which.param.fixture; });

// Goal: a good one is listed, and a file that is no library is refused.
TEST(Plugins, AGoodOneIsListed) {
  const ChildResult good = info(std::string{LANDFALL_FIXTURES} + "/plugin_fixture_good.so");
  EXPECT_EQ(good.status, 0) << good.output;
  EXPECT_FALSE(nlohmann::json::parse(good.output, nullptr, false).is_discarded()) << good.output;
  const ChildResult text = info("/etc/passwd");
  EXPECT_GT(text.status, 0);
  EXPECT_NE(text.output.find("LF14"), std::string::npos) << text.output;
  const ChildResult nothing = info("/nowhere/at/all.so");
  EXPECT_GT(nothing.status, 0);
  EXPECT_NE(nothing.output.find("LF1401"), std::string::npos) << nothing.output;
}

}  // namespace
}  // namespace landfall::test
