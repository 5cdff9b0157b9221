// SPDX-License-Identifier: Apache-2.0
#include "transport/return_stack.hpp"

#include <gtest/gtest.h>

#include <array>
#include <atomic>
#include <memory>
#include <thread>
#include <vector>

namespace landfall::detail {
namespace {

std::size_t length(const Slot* list) {
  std::size_t count = 0;
  for (; list != nullptr; list = list->next) ++count;
  return count;
}

// Goal: what comes back last is used first, so that the working set stays in the cache.
TEST(ReturnStack, TakesTheNewestFirst) {
  ReturnStack stack;
  std::array<Slot, 3> slots{};
  for (Slot& slot : slots) EXPECT_EQ(stack.push(&slot), ReturnStack::Pushed::quietly);
  Slot* list = stack.take_all();
  EXPECT_EQ(list, &slots[2]);
  EXPECT_EQ(length(list), 3u);
  EXPECT_EQ(stack.take_all(), nullptr);
}

// Goal: a sleeper is woken by the first return and by no other.
TEST(ReturnStack, WakesASleeperOnce) {
  ReturnStack stack;
  std::array<Slot, 3> slots{};
  EXPECT_EQ(stack.push(&slots[0]), ReturnStack::Pushed::quietly);
  EXPECT_FALSE(stack.sleep()) << "something has come back already";
  stack.take_all();
  EXPECT_TRUE(stack.sleep());
  EXPECT_EQ(stack.push(&slots[1]), ReturnStack::Pushed::wake_poller);
  EXPECT_TRUE(stack.wakers_busy());
  stack.wake_done();
  EXPECT_FALSE(stack.wakers_busy());
  EXPECT_EQ(stack.push(&slots[2]), ReturnStack::Pushed::quietly);
  EXPECT_EQ(length(stack.take_all()), 2u);
}

// Goal: a sleeper that woke up for another reason is not written to any more.
TEST(ReturnStack, TakingForgetsTheSleeper) {
  ReturnStack stack;
  Slot slot{};
  EXPECT_TRUE(stack.sleep());
  EXPECT_EQ(stack.take_all(), nullptr);
  EXPECT_EQ(stack.push(&slot), ReturnStack::Pushed::quietly);
}

// Goal: with the Receiver gone, exactly one of the droppers (or the leaver) closes the queue.
TEST(ReturnStack, ExactlyOneClosesAnOrphan) {
  constexpr int kRounds = 500;
  constexpr int kThreads = 4;
  constexpr int kEach = 8;
  for (int round = 0; round < kRounds; ++round) {
    ReturnStack stack;
    std::vector<Slot> slots(kThreads * kEach);
    std::atomic<int> closed{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> droppers;
    for (int t = 0; t < kThreads; ++t) {
      droppers.emplace_back([&, t] {
        while (!go.load()) std::this_thread::yield();
        for (int i = 0; i < kEach; ++i) {
          const auto pushed = stack.push(&slots[static_cast<std::size_t>(t * kEach + i)]);
          if (pushed == ReturnStack::Pushed::orphaned && stack.orphan_returned()) ++closed;
        }
      });
    }
    go.store(true);
    const auto back = static_cast<std::int64_t>(length(stack.orphan()));
    if (stack.orphan_outstanding(kThreads * kEach - back)) ++closed;
    for (std::thread& dropper : droppers) dropper.join();
    ASSERT_EQ(closed.load(), 1);
    ASSERT_EQ(back + static_cast<std::int64_t>(length(stack.take_all())), kThreads * kEach);
  }
}

}  // namespace
}  // namespace landfall::detail
