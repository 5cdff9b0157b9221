// SPDX-License-Identifier: Apache-2.0
// Goal: sizes are read exactly or refused, and shown so that a person reads them at a glance.
#include "landfall/base/units.hpp"

#include <gtest/gtest.h>

#include <cstdlib>

namespace landfall {
namespace {

std::uint64_t bytes(std::string_view text) {
  auto parsed = parse_bytes(text);
  if (parsed) return *parsed;
  ADD_FAILURE() << text << ": " << parsed.error().describe();
  return 0;
}

TEST(ParseBytes, ReadsWhatPeopleWrite) {
  EXPECT_EQ(bytes("0"), 0u);
  EXPECT_EQ(bytes("4096"), 4096u);
  EXPECT_EQ(bytes("17B"), 17u);
  EXPECT_EQ(bytes("64KiB"), 64_KiB);
  EXPECT_EQ(bytes("64K"), 64_KiB);
  EXPECT_EQ(bytes("64 KiB"), 64_KiB);
  EXPECT_EQ(bytes("2MiB"), 2_MiB);
  EXPECT_EQ(bytes("1GiB"), 1_GiB);
  EXPECT_EQ(bytes("10MB"), 10'000'000u);
  EXPECT_EQ(bytes("10kB"), 10'000u);
  EXPECT_EQ(bytes("1.5GiB"), 1536_MiB);
  EXPECT_EQ(bytes("0.5K"), 512u);
  EXPECT_EQ(bytes("2TiB"), 2048_GiB);
  EXPECT_EQ(bytes("0x1000"), 4096u);
  EXPECT_EQ(bytes("0X1f"), 31u);
  EXPECT_EQ(bytes("9223372036854775807"), (std::uint64_t{1} << 63) - 1);
  EXPECT_EQ(bytes("8388607.5TiB"), 8388607 * 1024_GiB + 512_GiB);
}

TEST(ParseBytes, RefusesEverythingElse) {
  for (const char* text : {"",
                           " ",
                           "B",
                           "KiB",
                           "-1",
                           "+1",
                           " 1",
                           "1 ",
                           "1  KiB",
                           "1.KiB",
                           ".5GiB",
                           "1.5",
                           "0.1KiB",
                           "1e9",
                           "1,000",
                           "64KiBs",
                           "64kib",
                           "64Kib",
                           "10Mb",
                           "1 0",
                           "0x",
                           "0xg",
                           "0x1KiB",
                           "0x-1",
                           "9223372036854775808",
                           "0x8000000000000000",
                           "0xffffffffffffffffff",
                           "99999999999999999999999999999999999999999999",
                           "8388608TiB",
                           "9999999999999GiB",
                           "1.0000000000001GiB",
                           "inf",
                           "nan",
                           "\xff\xfe",
                           "1\n"}) {
    auto parsed = parse_bytes(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().code(), Errc::invalid_argument) << text;
    EXPECT_FALSE(parsed.error().remedy().empty()) << text;
  }
  EXPECT_FALSE(parse_bytes(std::string_view{"1\0KiB", 5}));
  EXPECT_FALSE(parse_bytes(std::string(1 << 20, '9')));
  EXPECT_FALSE(parse_bytes("1." + std::string(1 << 20, '0') + "GiB"));
}

TEST(FormatBytes, ShowsThreeSignificantDigits) {
  EXPECT_EQ(format_bytes(0), "0 B");
  EXPECT_EQ(format_bytes(17), "17 B");
  EXPECT_EQ(format_bytes(1023), "1023 B");
  EXPECT_EQ(format_bytes(64_KiB), "64 KiB");
  EXPECT_EQ(format_bytes(1536_MiB), "1.50 GiB");
  EXPECT_EQ(format_bytes(1025), "1.00 KiB");
  EXPECT_EQ(format_bytes(10_MiB + 512_KiB), "10.5 MiB");
  EXPECT_EQ(format_bytes(100_MiB + 512_KiB), "100 MiB");
  EXPECT_EQ(format_bytes(1_MiB - 1), "1.00 MiB");
  EXPECT_EQ(format_bytes(1023_KiB), "1023 KiB");
  EXPECT_EQ(format_bytes(~std::uint64_t{0}), "16.0 EiB");
}

TEST(FormatBytes, OfWholeUnitsIsReadBack) {
  for (std::uint64_t whole : {17_KiB, 1_KiB, 64_KiB, 2_MiB, 1000_MiB, 1_GiB, 512_GiB, 3072_GiB})
    EXPECT_EQ(bytes(format_bytes(whole)), whole);
}

TEST(FormatBytes, IsNearTheValue) {
  for (std::uint64_t value = 1; value < 1024_GiB; value = value * 3 + 1) {
    const std::string shown = format_bytes(value);
    char* end = nullptr;
    const double number = std::strtod(shown.c_str(), &end);
    const double unit = static_cast<double>(bytes("1" + std::string{end}));
    EXPECT_NEAR(number * unit / static_cast<double>(value), 1.0, 0.0051) << shown;
  }
}

TEST(RoundUp, GoesToTheNextMultiple) {
  EXPECT_EQ(round_up(0, 4096), 0u);
  EXPECT_EQ(round_up(1, 4096), 4096u);
  EXPECT_EQ(round_up(4096, 4096), 4096u);
  EXPECT_EQ(round_up(7, 0), 7u);
}

}  // namespace
}  // namespace landfall
