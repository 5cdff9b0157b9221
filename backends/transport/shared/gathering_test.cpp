// SPDX-License-Identifier: Apache-2.0
// Goal: bytes gather as long as the sender need not stop for it, where that saves a wake-up, and no
// longer than a stream that stops may be late.
#include "shared/gathering.hpp"

#include <gtest/gtest.h>

namespace landfall::transport {
namespace {

constexpr std::uint64_t kMiB = 1u << 20, kSecond = 1'000'000'000, kForever = UINT64_MAX;

struct Stream {
  std::uint64_t now = 5 * kSecond;
  landfall_host host{};
  Gathering gathering{{.least_bytes_per_second = 32 * kMiB, .most_us = 4000}};

  explicit Stream(std::uint64_t most_bytes, bool allowed = true) {
    host.ctx = &now;
    host.now_ns = [](void* ctx) { return *static_cast<std::uint64_t*>(ctx); };
    gathering.open(&host, most_bytes, allowed);
  }
  void bring(std::uint64_t mib, std::uint64_t mib_per_second) {
    for (; mib != 0; --mib) {
      now += kSecond / mib_per_second;
      gathering.told(kMiB);
    }
  }
};

TEST(Gathering, IsForBulkOnly) {
  Stream slow{kMiB};
  slow.bring(100, 20);
  EXPECT_EQ(slow.gathering.begin(kForever), 0u);
  Stream fast{kMiB};
  fast.bring(100, 64);
  EXPECT_EQ(fast.gathering.begin(kForever), 4000u);
  Stream forbidden{kMiB, false};
  forbidden.bring(100, 64);
  EXPECT_EQ(forbidden.gathering.begin(kForever), 0u);
}

TEST(Gathering, EndsBeforeTheSenderMustStop) {
  Stream stream{kMiB};
  stream.bring(100, 1000);
  EXPECT_NEAR(stream.gathering.begin(kForever), 1000.0, 10.0) << "as long as most_bytes last";
}

TEST(Gathering, IsNotWhereItSavesNothingOrThereIsNoTime) {
  Stream stream{kMiB};
  stream.bring(100, 64);
  EXPECT_EQ(stream.gathering.begin(kForever, kMiB), 0u) << "256 KiB would come";
  stream.bring(100, 64);
  EXPECT_EQ(stream.gathering.begin(kForever, 128u << 10), 4000u);
  stream.bring(100, 64);
  EXPECT_EQ(stream.gathering.begin(3'000'000), 0u);
}

TEST(Gathering, EndsWithTheStream) {
  Stream stream{kMiB};
  stream.bring(100, 64);
  int waited = 0;
  while (stream.gathering.begin(kForever) != 0) {
    stream.now += 4'000'000;
    ASSERT_LT(++waited, 10);
  }
  EXPECT_GT(waited, 0);
  stream.bring(20, 64);
  EXPECT_EQ(stream.gathering.begin(kForever), 0u) << "32 MiB are wanted now";
  stream.bring(40, 64);
  EXPECT_EQ(stream.gathering.begin(kForever), 4000u);
}

}  // namespace
}  // namespace landfall::transport
