// SPDX-License-Identifier: Apache-2.0
#include "base/deadline.hpp"

#include <gtest/gtest.h>

namespace landfall::detail {
namespace {

using std::chrono::nanoseconds;
using Clock = std::chrono::steady_clock;

// Goal: a wait ends when it is said to; one without an end has none, however it is said.
TEST(Deadline, IsNeverForWhatHasNoEnd) {
  const auto now = Clock::now();
  EXPECT_GE(deadline_after(nanoseconds{0}), now);
  EXPECT_LT(deadline_after(nanoseconds{0}), now + std::chrono::minutes{1});
  EXPECT_GE(deadline_after(std::chrono::hours{1}), now + std::chrono::hours{1});
  for (const nanoseconds forever : {nanoseconds{-1}, nanoseconds::min(), nanoseconds::max()})
    EXPECT_EQ(deadline_after(forever), Clock::time_point::max());
}

}  // namespace
}  // namespace landfall::detail
