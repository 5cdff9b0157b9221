// SPDX-License-Identifier: Apache-2.0
// Goal: slots and cells are never handed out twice, never lost, and a carved slot comes back whole.
#include "tcp/slots.hpp"

#include <gtest/gtest.h>

#include <map>
#include <random>

namespace landfall::tcp {
namespace {

TEST(SlotPool, CutsAtLeastSixteenSlotsAndPowersOfTwo) {
  EXPECT_EQ(SlotPool(0, 64u << 20, 0).slot_bytes(), 65536u);
  EXPECT_EQ(SlotPool(0, 256u << 10, 0).slot_bytes(), 16384u);
  EXPECT_EQ(SlotPool(0, 64u << 10, 0).slot_bytes(), 4096u);
  EXPECT_EQ(SlotPool(0, 64u << 10, 0).slots(), 16u);
  EXPECT_EQ(SlotPool(0, 64u << 20, 100'000).slot_bytes(), 65536u);
  EXPECT_EQ(SlotPool(0, 64u << 20, 1).slot_bytes(), 4096u);
}

TEST(SlotPool, TakesTheNewestFirst) {
  SlotPool pool{4096, 1u << 20, 65536};
  const std::uint32_t first = pool.take();
  const std::uint32_t second = pool.take();
  pool.put(first);
  pool.put(second);
  EXPECT_EQ(pool.take(), second);
  EXPECT_EQ(pool.take(), first);
  EXPECT_EQ(pool.offset_of(1) - pool.offset_of(0), 65536u);
  EXPECT_EQ(pool.offset_of(0), 4096u);
}

TEST(SlotPool, ChargesAtMostFourTimesTheBytesFromSixteenBytesOn) {
  for (const std::uint32_t slot_bytes : {4096u, 65536u, 131072u, 1u << 20}) {
    SlotPool pool{0, 64u << 20, slot_bytes};
    for (std::uint32_t length = 16; length <= slot_bytes; length += 1 + length / 64) {
      const std::uint32_t slot = pool.take();
      const auto place = pool.is_small(length) ? pool.carve(slot, length) : pool.whole(slot);
      EXPECT_GE(place.charge_bytes, length);
      EXPECT_LE(place.charge_bytes, 4 * length) << slot_bytes;
      EXPECT_EQ(pool.give_back(slot, place.offset), place.charge_bytes);
    }
    EXPECT_EQ(pool.free_slots(), pool.slots());
    EXPECT_EQ(pool.carved_slots(), 0u);
  }
}

// A model beside it: random extents are held and returned in random order; no two overlap, and when
// all are back every slot is free.
TEST(SlotPool, NeverHandsAByteOutTwice) {
  std::mt19937 random{7};
  SlotPool pool{8192, 4u << 20, 65536};
  std::map<std::uint64_t, SlotPool::Place> held;  // by offset
  const auto check_and_hold = [&](const SlotPool::Place& place) {
    const auto after = held.lower_bound(place.offset);
    if (after != held.end()) {
      ASSERT_LE(place.offset + place.charge_bytes, after->first);
    }
    if (after != held.begin()) {
      const auto before = std::prev(after);
      ASSERT_LE(before->first + before->second.charge_bytes, place.offset);
    }
    held.emplace(place.offset, place);
  };
  for (int step = 0; step < 200'000; ++step) {
    if (random() % 2 == 0 && pool.free_slots() != 0) {
      const auto length = static_cast<std::uint32_t>(1 + random() % (1u << (random() % 17)));
      const std::uint32_t slot = pool.take();
      if (!pool.is_small(length)) {
        check_and_hold(pool.whole(slot));
      } else if (const auto cell = pool.take_cell(length); cell.slot != SlotPool::kNone) {
        pool.put(slot);
        check_and_hold(cell);
      } else {
        check_and_hold(pool.carve(slot, length));
      }
    } else if (!held.empty()) {
      auto back = held.lower_bound(random() % (4u << 20));
      if (back == held.end()) back = held.begin();
      ASSERT_EQ(pool.give_back(back->second.slot, back->second.offset), back->second.charge_bytes);
      held.erase(back);
    }
  }
  for (const auto& [offset, place] : held) pool.give_back(place.slot, offset);
  EXPECT_EQ(pool.free_slots(), pool.slots());
  EXPECT_EQ(pool.carved_slots(), 0u);
}

}  // namespace
}  // namespace landfall::tcp
