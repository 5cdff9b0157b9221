// SPDX-License-Identifier: Apache-2.0
#include "base/nearest.hpp"

#include <gtest/gtest.h>

#include <array>
#include <string>

namespace landfall::detail {
namespace {

// Goal: distances count letters changed, and neighbours swapped as one.
TEST(Nearest, CountsChanges) {
  EXPECT_EQ(edit_distance("recv", "recv"), 0u);
  EXPECT_EQ(edit_distance("rcev", "recv"), 1u);
  EXPECT_EQ(edit_distance("", "abc"), 3u);
  EXPECT_EQ(edit_distance("kitten", "sitting"), 3u);
  const std::array<std::string_view, 3> words{"recv", "send", "doctor"};
  EXPECT_EQ(nearest("rcev", words), "recv");
  EXPECT_EQ(nearest("dcotor", words), "doctor");
  EXPECT_EQ(nearest("xyzzy", words), "");
  EXPECT_EQ(nearest(std::string(100'000, 'x'), words), "");
}

}  // namespace
}  // namespace landfall::detail
