// SPDX-License-Identifier: Apache-2.0
#include "landfall/transport/placement.hpp"

#include <gtest/gtest.h>

namespace landfall {
namespace {

Verdict verdict(std::uint64_t direct, std::uint64_t linear, std::uint64_t copied,
                std::uint64_t unsure) {
  Verdict v;
  v.bytes = {direct, linear, copied, unsure};
  return v;
}

// Goal: the arithmetic that people's alerts depend on, at its edges.
TEST(CopyContract, RequireDirectAllowsLinearBytesOnlyUpToItsShare) {
  const CopyContract contract{.kind = CopyContract::Kind::require_direct, .max_linear_ppm = 10'000};
  EXPECT_EQ(contract.broken_by(verdict(99, 1, 0, 0)), ReasonCode::none);
  EXPECT_EQ(contract.broken_by(verdict(98, 2, 0, 0)), ReasonCode::contract_linear);
  EXPECT_EQ(contract.broken_by(verdict(1'000'000, 0, 1, 0)), ReasonCode::contract_copied);
  EXPECT_EQ(contract.broken_by(verdict(1'000'000, 0, 0, 1)), ReasonCode::contract_copied)
      << "unsure is held to be copied";
}

TEST(CopyContract, PreferDirectCountsAllThatWasNotDirect) {
  const CopyContract contract{.kind = CopyContract::Kind::prefer_direct, .max_copied_ppm = 500'000};
  EXPECT_EQ(contract.broken_by(verdict(3, 1, 1, 1)), ReasonCode::none);
  EXPECT_EQ(contract.broken_by(verdict(2, 1, 1, 1)), ReasonCode::contract_copied);
  EXPECT_EQ(CopyContract{}.broken_by(verdict(0, 0, 1, 0)), ReasonCode::none)
      << "the default lets everything be copied";
}

TEST(CopyContract, DoesNotOverflow) {
  const CopyContract contract{.kind = CopyContract::Kind::require_direct,
                              .max_linear_ppm = 999'999};
  const std::uint64_t huge = std::uint64_t{1} << 62;
  EXPECT_EQ(contract.broken_by(verdict(0, huge, 0, 0)), ReasonCode::contract_linear);
  EXPECT_EQ(contract.broken_by(verdict(huge, huge, 0, 0)), ReasonCode::none);
}

TEST(CopyContract, AllowCopyIsNeverBroken) {
  EXPECT_EQ(CopyContract{.kind = CopyContract::Kind::allow_copy}.broken_by(verdict(0, 1, 1, 1)),
            ReasonCode::none);
}

// Goal: reasons keep their first four places, and bytes are counted even when there is no fifth.
TEST(Verdict, CountsReasons) {
  Verdict v;
  v.add(Placement::copied, 10, ReasonCode::copied_by_kernel);
  v.add(Placement::copied, 5, ReasonCode::gathered_by_core);
  v.add(Placement::copied, 1, ReasonCode::copied_by_kernel);
  v.add(Placement::direct, 7, ReasonCode::none);
  EXPECT_EQ(v.total(), 23u);
  EXPECT_EQ(v.reasons[0].bytes, 11u);
  EXPECT_EQ(v.reasons[1].reason, ReasonCode::gathered_by_core);
  Verdict sum;
  sum.add(v);
  sum.add(v);
  EXPECT_EQ(sum.total(), 46u);
  EXPECT_EQ(sum.reasons[0].bytes, 22u);
}

}  // namespace
}  // namespace landfall
