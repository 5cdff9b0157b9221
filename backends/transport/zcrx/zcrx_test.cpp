// SPDX-License-Identifier: Apache-2.0
// Goal: what goes back by the refill ring goes back once and in order, however slowly it is read.
#include <gtest/gtest.h>

#include <array>
#include <vector>

#include "zcrx/interface_queue.hpp"
#include "zcrx/options.hpp"

namespace landfall::zcrx {
namespace {

/// The kernel's side of a ring of four.
struct Kernel {
  std::uint32_t head = 0, tail = 0;
  std::array<uapi::Rqe, 4> entries{};
  RefillRing ring{&head, &tail, entries.data(), 4};

  /// Takes all that it is shown.
  std::vector<std::uint64_t> read() {
    std::vector<std::uint64_t> seen;
    while (head != tail) {
      const uapi::Rqe& entry = entries[head++ & 3];
      EXPECT_EQ(entry.pad, 0u);
      seen.push_back(entry.off);
    }
    return seen;
  }
};

TEST(RefillRing, ShowsOnlyWhatIsPublished) {
  Kernel kernel;
  kernel.ring.add(0x1000, 10);
  EXPECT_TRUE(kernel.read().empty());
  EXPECT_FALSE(kernel.ring.has_unread());
  kernel.ring.publish();
  EXPECT_TRUE(kernel.ring.has_unread());
  EXPECT_EQ(kernel.read(), std::vector<std::uint64_t>{0x1000});
  EXPECT_FALSE(kernel.ring.has_unread());
}

// Goal: a full ring loses nothing and writes over nothing that has not been read.
TEST(RefillRing, WhatDoesNotFitWaitsInOrder) {
  Kernel kernel;
  for (std::uint64_t i = 0; i < 10; ++i) kernel.ring.add(i, 1);
  kernel.ring.publish();
  EXPECT_TRUE(kernel.ring.is_full());
  EXPECT_EQ(kernel.read(), (std::vector<std::uint64_t>{0, 1, 2, 3}));
  kernel.ring.add(10, 1);  // behind those that wait, although there is room now
  kernel.ring.publish();
  EXPECT_EQ(kernel.read(), (std::vector<std::uint64_t>{4, 5, 6, 7}));
  kernel.ring.publish();
  EXPECT_EQ(kernel.read(), (std::vector<std::uint64_t>{8, 9, 10}));
  EXPECT_FALSE(kernel.ring.is_full());
}

TEST(RefillRing, GoesAroundItsEnd) {
  Kernel kernel;
  for (std::uint64_t i = 0; i < 100; ++i) {
    kernel.ring.add(i, 1);
    kernel.ring.publish();
    ASSERT_EQ(kernel.read(), std::vector<std::uint64_t>{i});
  }
}

TEST(Options, AreUnderstoodOrRefusedByName) {
  Options options;
  EXPECT_EQ(read_options("rx-page=16KiB\nrefill=64\ngather=off\ndevice=none\n", &options, nullptr),
            LANDFALL_ERRC_ok);
  EXPECT_EQ(options.rx_page_bytes, 16384u);
  EXPECT_EQ(options.refill_entries, 64u);
  EXPECT_TRUE(options.no_device);
  EXPECT_FALSE(options.gather);
  for (const char* wrong :
       {"rx-page=5000", "refill=0", "refill=65536", "device=eth0", "gather=1", "pages=1"}) {
    landfall_why why{};
    why.struct_size = sizeof why;
    EXPECT_EQ(read_options(wrong, &options, &why), LANDFALL_ERRC_invalid_argument) << wrong;
    EXPECT_EQ(why.code, static_cast<std::uint32_t>(LANDFALL_REASON_option_not_understood));
  }
}

}  // namespace
}  // namespace landfall::zcrx
