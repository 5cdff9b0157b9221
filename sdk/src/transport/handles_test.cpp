// SPDX-License-Identifier: Apache-2.0
#include "transport/handles.hpp"

#include <gtest/gtest.h>

#include <atomic>
#include <optional>
#include <thread>
#include <utility>
#include <vector>

#include "landfall_test/child.hpp"

namespace landfall::detail {
namespace {

/// A table without a QueueCore: a Buffer of it is dropped without a trace, so that the tests see
/// the handles alone.
struct Handles : testing::Test {
  std::optional<SlotTable> table{*SlotTable::make(2 * SlotChunk::kSlots)};
  void* made = nullptr;
  Slot* slot = nullptr;

  void SetUp() override {
    slot = table->take();
    made = Slot::lease(slot).into_handle();
  }
  /// `made`, `by` bytes further on.
  void* moved(std::int64_t by) const {
    return reinterpret_cast<void*>(reinterpret_cast<std::uintptr_t>(made) +
                                   static_cast<std::uintptr_t>(by));
  }
};

bool accepted(void* handle) {
  const bool found = FoundHandle{handle}.slot() != nullptr;
  EXPECT_EQ(static_cast<bool>(Buffer::from_handle(handle)), found) << handle;
  return found;
}

// Goal: a handle gives its own Buffer back, once, and no address.
TEST_F(Handles, GiveTheirBufferBackOnce) {
  EXPECT_NE(made, slot);
  EXPECT_EQ(FoundHandle{made}.slot(), slot);
  Buffer back = Buffer::from_handle(made);
  EXPECT_FALSE(accepted(made)) << "while the Buffer lives";
  EXPECT_EQ(Slot::release(std::move(back)), slot);
  EXPECT_EQ(Buffer{}.into_handle(), nullptr);
  EXPECT_FALSE(accepted(nullptr));
}

// Goal: an old handle of a Slot is not the new one, neither in a row nor in a table that was made
// where another one lay.
TEST_F(Handles, StaleOnesAreRefused) {
  std::vector<void*> stale;
  for (int i = 0; i < 1000; ++i) {
    stale.push_back(made);
    EXPECT_EQ(Slot::release(Buffer::from_handle(made)), slot);
    made = Slot::lease(slot).into_handle();
  }
  for (void* handle : stale) ASSERT_FALSE(accepted(handle));
  table.reset();
  EXPECT_FALSE(accepted(made)) << "the table is gone";
  table.emplace(*SlotTable::make(2 * SlotChunk::kSlots));
  Slot* const other = table->take();  // the same address, mostly
  void* const fresh = Slot::lease(other).into_handle();
  EXPECT_FALSE(accepted(made));
  EXPECT_TRUE(accepted(fresh));
}

// Goal: what was never a handle is refused, wherever it points, without a look at it.
TEST_F(Handles, ForgedOnesAreRefused) {
  const auto chunk_start = -static_cast<std::int64_t>(SlotChunk::kSlotsBegin);
  const auto chunk = static_cast<std::int64_t>(SlotChunk::kBytes);
  for (const std::int64_t by : {
           std::int64_t{1},
           std::int64_t{8},
           std::int64_t{32},
           std::int64_t{-1},  // misaligned
           std::int64_t{64},  // a slot that was never taken
           chunk_start,
           chunk_start + 64,
           std::int64_t{-64},    // the head and the links
           chunk_start + chunk,  // and the next chunk's
           chunk_start - 64,
           chunk_start + 2 * chunk,  // before and after the table
           chunk_start + 2 * chunk + 64,
           std::int64_t{1} << 40,
       }) {
    EXPECT_FALSE(accepted(moved(by))) << by;
  }
  EXPECT_FALSE(accepted(slot)) << "an address";
  EXPECT_FALSE(accepted(moved(std::int64_t{1} << 48))) << "another serial";
  EXPECT_FALSE(accepted(reinterpret_cast<void*>(std::uintptr_t{64})));
  EXPECT_FALSE(accepted(&slot));
  EXPECT_EQ(handle_refusal(), Errc::invalid_argument);
  EXPECT_TRUE(accepted(made)) << "and this one is left as it was";
}

// Goal: each of several tables is found, until it goes.
TEST_F(Handles, AreFoundInEveryTable) {
  struct Other {
    SlotTable table;
    void* handle;
  };
  std::vector<Other> others;
  for (int i = 0; i < 8; ++i) {
    SlotTable more = *SlotTable::make(1);
    void* const handle = Slot::lease(more.take()).into_handle();
    others.push_back({std::move(more), handle});
  }
  void* const gone = others.back().handle;
  others.pop_back();
  for (const Other& other : others) EXPECT_TRUE(accepted(other.handle));
  EXPECT_FALSE(accepted(gone));
  EXPECT_TRUE(accepted(made));
}

// Goal: of threads that give one handle back at once, exactly one gets the Buffer, while other
// tables come and go.
TEST_F(Handles, ExactlyOneOfManyWins) {
  constexpr int kThreads = 4;
  std::vector<void*> handles;
  while (table->available() != 0) handles.push_back(Slot::lease(table->take()).into_handle());
  std::vector<std::atomic<int>> winners(handles.size());
  std::atomic<bool> go{false};
  std::vector<std::thread> threads;
  for (int t = 0; t < kThreads; ++t) {
    threads.emplace_back([&] {
      while (!go.load()) std::this_thread::yield();
      for (std::size_t i = 0; i < handles.size(); ++i) {
        if (Buffer::from_handle(handles[i])) ++winners[i];
      }
    });
  }
  go.store(true);
  for (int i = 0; i < 50; ++i) ASSERT_TRUE(SlotTable::make(1));
  for (std::thread& thread : threads) thread.join();
  for (const std::atomic<int>& count : winners) ASSERT_EQ(count.load(), 1);
}

// Goal: a forked child has none of its parent's handles, and can have its own; that a thread held
// the lock when it was forked does not stop it.
TEST_F(Handles, AForkedChildHasItsOwn) {
  std::atomic<bool> held{false}, done{false};
  std::thread holder{[&] {
    const FoundHandle found{made};
    held.store(true);
    while (!done.load()) std::this_thread::yield();
  }};
  while (!held.load()) std::this_thread::yield();
  EXPECT_TRUE(test::holds_in_child([&] {
    bool right = !accepted(made) && handle_refusal() == Errc::wrong_process;
    SlotTable own = *SlotTable::make(1);
    void* const handle = Slot::lease(own.take()).into_handle();
    right =
        right && accepted(handle) && !accepted(made) && handle_refusal() == Errc::invalid_argument;
    return right && !HasFailure();
  }));
  done.store(true);
  holder.join();
  EXPECT_TRUE(accepted(made)) << "the parent's is left as it was";
}

}  // namespace
}  // namespace landfall::detail
