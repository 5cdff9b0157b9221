// SPDX-License-Identifier: Apache-2.0
// Goal: whatever the order in which pages come back, each is named once, in few ranges.
#include "devmem-tcp/tokens.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <random>
#include <set>
#include <vector>

namespace landfall::devmem::test {
namespace {

TEST(PendingTokens, HoldEachTokenOnceInWhateverOrderTheyCome) {
  std::mt19937 random{1};
  for (int round = 0; round < 500; ++round) {
    PendingTokens pending;
    std::vector<std::uint32_t> tokens(round % 2 == 0 ? 600 : 100);
    for (std::uint32_t i = 0; i < tokens.size(); ++i) tokens[i] = 1 + i;
    if (round % 3 == 0) std::reverse(tokens.begin(), tokens.end());
    if (round % 3 == 1) std::shuffle(tokens.begin(), tokens.end(), random);
    std::set<std::uint32_t> in;
    for (const std::uint32_t token : tokens) {
      if (pending.full()) break;
      pending.add(token, 1);
      in.insert(token);
    }
    if (round % 3 != 1) {
      EXPECT_EQ(pending.ranges().size(), 1u);
    }
    EXPECT_EQ(pending.pages(), in.size());
    const auto taken = static_cast<std::uint32_t>(random() % in.size());
    std::vector<std::uint32_t> order;
    for (const DmabufToken& range : pending.ranges())
      for (std::uint32_t i = 0; i < range.token_count; ++i) order.push_back(range.token_start + i);
    ASSERT_EQ(std::set<std::uint32_t>(order.begin(), order.end()), in);
    pending.remove(taken);
    std::vector<std::uint32_t> rest;
    for (const DmabufToken& range : pending.ranges())
      for (std::uint32_t i = 0; i < range.token_count; ++i) rest.push_back(range.token_start + i);
    EXPECT_EQ(rest, std::vector<std::uint32_t>(order.begin() + taken, order.end()));
  }
}

}  // namespace
}  // namespace landfall::devmem::test
