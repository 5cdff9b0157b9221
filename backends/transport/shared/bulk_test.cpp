// SPDX-License-Identifier: Apache-2.0
// Goal: a fast stream is bulk; one that stood still must bring more each time before it is again.
#include "shared/bulk.hpp"

#include <gtest/gtest.h>

namespace landfall::transport {
namespace {

constexpr std::uint64_t kMiB = 1u << 20, kSecond = 1'000'000'000;

struct Stream {
  BulkWatch watch{128 * kMiB};
  std::uint64_t now_ns = 5 * kSecond, windows = 0;

  Stream() { watch.end_window(now_ns, true); }
  void bring(std::uint64_t mib, std::uint64_t mib_per_second) {
    for (; mib != 0; --mib) {
      now_ns += kSecond / mib_per_second;
      if (!watch.count(kMiB)) continue;
      ++windows;
      watch.end_window(now_ns, true);
    }
  }
};

TEST(BulkWatch, KnowsAFastStreamFromASlowOne) {
  Stream slow;
  slow.bring(200, 100);
  EXPECT_FALSE(slow.watch.is_bulk());
  EXPECT_EQ(slow.windows, 12u);
  Stream fast;
  fast.bring(15, 400);
  EXPECT_FALSE(fast.watch.is_bulk());
  fast.bring(1, 400);
  EXPECT_TRUE(fast.watch.is_bulk());
  EXPECT_NEAR(static_cast<double>(fast.watch.speed()), 400.0 * kMiB, 8.0 * kMiB);
}

TEST(BulkWatch, OneThatStoodStillMustBringTwiceAsMuch) {
  Stream stream;
  std::uint64_t goal = 16;
  for (int i = 0; i < 9; ++i, goal = std::min<std::uint64_t>(goal * 2, 1024)) {
    stream.bring(goal - 1, 1000);
    EXPECT_FALSE(stream.watch.is_bulk()) << goal;
    stream.bring(1, 1000);
    EXPECT_TRUE(stream.watch.is_bulk()) << goal;
    stream.watch.was_in_vain(stream.now_ns);
  }
}

// Goal: who sends messages and waits for answers is found out, who hesitates now and then is not.
TEST(BulkWatch, TellsAHesitationFromAnExchangeOfMessages) {
  Stream stream;
  stream.bring(16, 1000);
  for (int i = 0; i < 100; ++i) stream.watch.waited(1000, i % 3 == 0 ? 0 : kMiB, 0);
  EXPECT_TRUE(stream.watch.is_bulk());
  for (int i = 0; i < 60; ++i) stream.watch.waited(1000, i % 3 != 0 ? 0 : kMiB, 0);
  EXPECT_FALSE(stream.watch.is_bulk());
  Stream messages;  // each comes in a fifth of the time that is waited
  messages.bring(16, 5000);
  ASSERT_TRUE(messages.watch.is_bulk());
  for (int i = 0; i < 5; ++i) messages.watch.waited(1000, kMiB, 0);
  EXPECT_FALSE(messages.watch.is_bulk());
}

TEST(BulkWatch, IsNotBulkWhereItMayNotBe) {
  BulkWatch watch{1};
  while (!watch.count(kMiB)) {
  }
  watch.end_window(kSecond, false);
  EXPECT_FALSE(watch.is_bulk());
  EXPECT_FALSE(watch.count(kMiB));  // a window of its own again
}

}  // namespace
}  // namespace landfall::transport
