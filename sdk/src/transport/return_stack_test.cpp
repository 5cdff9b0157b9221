// SPDX-License-Identifier: Apache-2.0
#include "transport/return_stack.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <chrono>
#include <memory>
#include <thread>
#include <vector>

#include "base/membarrier.hpp"

namespace landfall::detail {
namespace {

/// Slots where the stack finds their links.
struct Slots {
  explicit Slots(std::uint32_t count) : table{*SlotTable::make(count)} {
    for (std::uint32_t i = 0; i < count; ++i) all.push_back(table.take());
  }
  Slot* operator[](std::size_t index) const { return all[index]; }
  SlotTable table;
  std::vector<Slot*> all;
};

std::size_t length(const ReturnLink* list) {
  std::size_t count = 0;
  for (; list != nullptr; list = list->next) ++count;
  return count;
}

// Goal: what comes back last is used first, so that the working set stays in the cache.
TEST(ReturnStack, TakesTheNewestFirst) {
  ReturnStack stack;
  Slots slots{3};
  for (Slot* slot : slots.all) EXPECT_EQ(stack.push(slot), ReturnStack::Pushed::quietly);
  const ReturnLink* list = stack.take_all();
  EXPECT_EQ(SlotChunk::slot_of(list), slots[2]);
  EXPECT_EQ(length(list), 3u);
  EXPECT_EQ(stack.take_all(), nullptr);
}

// Goal: a sleeper is woken by the first return and by no other.
TEST(ReturnStack, WakesASleeperOnce) {
  ReturnStack stack;
  Slots slots{3};
  EXPECT_EQ(stack.push(slots[0]), ReturnStack::Pushed::quietly);
  EXPECT_FALSE(stack.sleep()) << "something has come back already";
  stack.take_all();
  EXPECT_TRUE(stack.sleep());
  EXPECT_EQ(stack.push(slots[1]), ReturnStack::Pushed::wake_poller);
  EXPECT_TRUE(stack.wakers_busy());
  stack.wake_done();
  EXPECT_FALSE(stack.wakers_busy());
  EXPECT_EQ(stack.push(slots[2]), ReturnStack::Pushed::quietly);
  EXPECT_EQ(length(stack.take_all()), 2u);
}

// Goal: a sleeper that woke up for another reason is not written to any more.
TEST(ReturnStack, TakingForgetsTheSleeper) {
  ReturnStack stack;
  Slots slots{1};
  EXPECT_TRUE(stack.sleep());
  EXPECT_EQ(stack.take_all(), nullptr);
  EXPECT_EQ(stack.push(slots[0]), ReturnStack::Pushed::quietly);
}

// Goal: with the Receiver gone, exactly one of the droppers (or the leaver) closes the queue.
TEST(ReturnStack, ExactlyOneClosesAnOrphan) {
  constexpr int kRounds = 500;
  constexpr std::size_t kThreads = 4;
  constexpr std::size_t kEach = 8;
  for (int round = 0; round < kRounds; ++round) {
    ReturnStack stack;
    Slots slots{kThreads * kEach};
    std::atomic<int> closed{0};
    std::atomic<bool> go{false};
    std::vector<std::thread> droppers;
    for (std::size_t t = 0; t < kThreads; ++t) {
      droppers.emplace_back([&, t] {
        while (!go.load()) std::this_thread::yield();
        for (std::size_t i = 0; i < kEach; ++i) {
          const auto pushed = stack.push(slots[t * kEach + i]);
          if (pushed == ReturnStack::Pushed::orphaned && stack.orphan_returned()) ++closed;
        }
      });
    }
    go.store(true);
    const auto back = static_cast<std::int64_t>(length(stack.orphan()));
    constexpr auto kAll = static_cast<std::int64_t>(kThreads * kEach);
    if (stack.orphan_outstanding(kAll - back)) ++closed;
    for (std::thread& dropper : droppers) dropper.join();
    ASSERT_EQ(closed.load(), 1);
    ASSERT_EQ(back + static_cast<std::int64_t>(length(stack.take_all())), kAll);
  }
}

// Goal: what the polling thread drops itself waits in a list of its own, newest first; nothing else
// may go there, and nobody sleeps over it.
TEST(ReturnStack, ThePollingThreadHasAListOfItsOwn) {
  if (!can_fence_all_threads()) GTEST_SKIP() << "membarrier(2) is missing or refused";
  ReturnStack stack;
  Slots slots{4};
  EXPECT_FALSE(stack.push_here(slots[0])) << "nobody polls yet";
  stack.set_poller();
  EXPECT_TRUE(stack.push_here(slots[0]));
  EXPECT_TRUE(stack.push_here(slots[1]));
  std::thread{[&] { EXPECT_FALSE(stack.push_here(slots[2])); }}.join();
  EXPECT_FALSE(stack.empty());
  EXPECT_FALSE(stack.sleep());
  EXPECT_EQ(stack.take_all(), nullptr);
  const ReturnLink* list = stack.take_here();
  EXPECT_EQ(SlotChunk::slot_of(list), slots[1]);
  EXPECT_EQ(length(list), 2u);
  EXPECT_EQ(stack.take_here(), nullptr);
  EXPECT_TRUE(stack.empty());

  // A sleeper's own drop wakes it as any other does: it may sleep in an epoll of its own.
  EXPECT_TRUE(stack.sleep());
  EXPECT_FALSE(stack.push_here(slots[2]));
  EXPECT_EQ(stack.push(slots[2]), ReturnStack::Pushed::wake_poller);
  stack.wake_done();
  EXPECT_TRUE(stack.push_here(slots[3]));
  EXPECT_EQ(length(stack.take_all()), 1u);
  EXPECT_EQ(length(stack.take_here()), 1u);

  stack.stop();
  EXPECT_FALSE(stack.push_here(slots[0]));
  EXPECT_EQ(stack.push(slots[0]), ReturnStack::Pushed::quietly);
  EXPECT_EQ(length(stack.take_all()), 1u);
  EXPECT_EQ(length(stack.orphan()), 0u);
  EXPECT_FALSE(stack.push_here(slots[1]));
  EXPECT_EQ(stack.push(slots[1]), ReturnStack::Pushed::orphaned);
}

// Goal: whoever stops a queue while the thread that polled it drops Buffers gets each of them once.
// (Without fence_all_threads() some came twice, in one round of a few hundred.)
TEST(ReturnStack, StoppingMeetsThePollingThreadsDrops) {
  if (!can_fence_all_threads()) GTEST_SKIP() << "membarrier(2) is missing or refused";
  constexpr std::size_t kCount = 32 * SlotChunk::kSlots;
  Slots slots{kCount};
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{1};
  for (std::size_t round = 0; std::chrono::steady_clock::now() < deadline; ++round) {
    ReturnStack stack;
    std::atomic<std::size_t> dropped{0};
    std::thread poller{[&] {
      stack.set_poller();
      for (std::size_t i = 0; i < kCount; ++i) {
        if (!stack.push_here(slots[i])) stack.push(slots[i]);
        dropped.store(i + 1, std::memory_order_relaxed);
      }
    }};
    const std::size_t moment = 1 + round * 31 % (kCount / 4);
    while (dropped.load(std::memory_order_relaxed) < moment) std::this_thread::yield();
    stack.stop();
    std::size_t back = length(stack.take_here());
    poller.join();
    back += length(stack.take_here()) + length(stack.take_all());
    ASSERT_EQ(back, kCount) << "round " << round;
  }
}

// Goal: across chunks, every slot is another one, aligned, in a chunk that knows its core, and with
// a link of its own; nothing is used before it is taken.
TEST(SlotTable, ChunksHaveHeadsAndLinks) {
  constexpr std::uint32_t kCount = 2 * SlotChunk::kSlots + 5;
  SlotTable table = *SlotTable::make(kCount);
  EXPECT_FALSE(table.in_its_process()) << "no core yet";
  auto* core = reinterpret_cast<QueueCore*>(std::uintptr_t{64});  // never looked into
  table.set_core(core);
  EXPECT_TRUE(table.in_its_process());
  std::vector<Slot*> slots;
  for (std::uint32_t i = 0; i < kCount; ++i) {
    Slot* slot = table.take();
    slot->token = i;
    SlotChunk::link_of(slot)->next = SlotChunk::link_of(slot);
    slots.push_back(slot);
  }
  EXPECT_EQ(table.available(), 0u);
  for (std::uint32_t i = 0; i < kCount; ++i) {
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(slots[i]) % sizeof(Slot), 0u);
    ASSERT_EQ(slots[i]->token, i);
    ASSERT_EQ(SlotChunk::link_of(slots[i])->next, SlotChunk::link_of(slots[i]));
    ASSERT_EQ(SlotChunk::slot_of(SlotChunk::link_of(slots[i])), slots[i]);
    ASSERT_EQ(SlotChunk::of(slots[i])->core, core);
  }
  table.put(slots[7]);
  EXPECT_EQ(table.take(), slots[7]);
}

}  // namespace
}  // namespace landfall::detail
