// SPDX-License-Identifier: Apache-2.0
#include "policy/findings.hpp"

#include <gtest/gtest.h>

#include "landfall/base/limits.hpp"

namespace landfall::policy {
namespace {

// Goal: the caret stands under the character that is meant, whatever its line is made of.
TEST(PolicyFindings, PointAtThePlace) {
  PolicyFindings findings;
  const std::string text = "a: 1\n\xC3\xA4\xC3\xB6\tx: no\n" + std::string(1000, 'y') + "Z\n";
  Finder finder{text, findings};
  finder.add(ReasonCode::policy_value, {0, 3}, "a", "first");
  finder.add(ReasonCode::policy_value, {1, 5}, "x", "second", "mend it");
  finder.add(ReasonCode::policy_value, {2, 1000}, "", "third");
  finder.add(ReasonCode::policy_value, {9, 9}, "", "beyond the end");
  finder.add_whole(ReasonCode::policy_value, "all of it");
  EXPECT_EQ(describe(findings[0], "p.yaml"), "p.yaml:1:4: error[LF1516]: first\n  a: 1\n     ^\n");
  EXPECT_EQ(describe(findings[1], "p.yaml"),
            "p.yaml:2:4: error[LF1516]: second\n"
            "  \xC3\xA4\xC3\xB6 x: no\n"
            "     ^\nhint: mend it\n");
  EXPECT_EQ(findings[2].column, 1001u);
  ASSERT_LT(findings[2].source_column, findings[2].source.size());
  EXPECT_EQ(findings[2].source[findings[2].source_column], 'Z');
  EXPECT_EQ(findings[3].line, 10u);
  EXPECT_EQ(describe(findings[4], "p.yaml"), "p.yaml: error[LF1516]: all of it\n");
}

// Goal: there is an end to what is reported.
TEST(PolicyFindings, AreLimited) {
  PolicyFindings findings;
  Finder finder{"a\n", findings};
  for (std::uint32_t i = 0; i < 2 * kPolicyFindingsMax; ++i)
    finder.add(ReasonCode::policy_value, {0, 0}, "", "x");
  EXPECT_EQ(findings.size(), kPolicyFindingsMax);
  EXPECT_TRUE(finder.full());
}

}  // namespace
}  // namespace landfall::policy
