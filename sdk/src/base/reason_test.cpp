// SPDX-License-Identifier: Apache-2.0
// Goal: the reason list is complete and can be looked up in every way that a person would try.
#include "landfall/base/reason.hpp"

#include <gtest/gtest.h>

#include <set>

namespace landfall {
namespace {

TEST(Reasons, AreSortedUniqueAndSayWhatHelps) {
  ASSERT_GT(all_reasons().size(), 50u);
  std::set<std::string_view> names;
  std::uint32_t last = 0;
  for (const ReasonInfo& info : all_reasons()) {
    const auto number = static_cast<std::uint32_t>(info.code);
    EXPECT_GT(number, last) << info.name;
    last = number;
    EXPECT_LT(number, 65536u) << "an Error keeps 16 bits of it";
    EXPECT_TRUE(names.insert(info.name).second) << info.name;
    EXPECT_FALSE(info.text.empty()) << info.name;
    EXPECT_FALSE(info.remedy.empty()) << info.name;
    EXPECT_LT(info.text.size(), 200u) << info.name;
  }
}

TEST(Reasons, AreFoundByEveryKindOfName) {
  for (const ReasonInfo& info : all_reasons()) {
    EXPECT_EQ(find_reason(info.code), &info);
    EXPECT_EQ(find_reason(info.name), &info);
    EXPECT_EQ(find_reason(reason_id(info.code)), &info);
  }
  EXPECT_EQ(find_reason("1105")->name, "no_udmabuf_device");
  EXPECT_EQ(find_reason("lf1105")->name, "no_udmabuf_device");
}

TEST(Reasons, AreNotFoundByNonsense) {
  for (const char* text : {"", "LF", "LF0", "LF999", "LF11055", "LF1105x", "-1105", " 1105",
                           "99999999999999999999", "LFno_udmabuf_device"})
    EXPECT_EQ(find_reason(text), nullptr) << text;
  EXPECT_EQ(find_reason(ReasonCode::none), nullptr);
  EXPECT_EQ(find_reason(static_cast<ReasonCode>(100000)), nullptr);
  EXPECT_EQ(reason_id(ReasonCode::none), "");
}

TEST(Reasons, OffersTheNearestName) {
  EXPECT_EQ(nearest_reason_name("no_udmabuf_devise"), "no_udmabuf_device");
  EXPECT_EQ(nearest_reason_name("memloc_limit"), "memlock_limit");
  EXPECT_EQ(nearest_reason_name("no_udmabuf_device"), "no_udmabuf_device");
  EXPECT_EQ(nearest_reason_name("xyzzy"), std::nullopt);
  EXPECT_EQ(nearest_reason_name(""), std::nullopt);
  EXPECT_EQ(nearest_reason_name(std::string(1 << 20, 'a')), std::nullopt);
}

TEST(Reasons, FromABackendFillInWhatItLeftOut) {
  landfall_why why{};
  why.struct_size = sizeof why;
  why.code = LANDFALL_REASON_no_udmabuf_device;
  why.origin = LANDFALL_ORIGIN_OS;
  why.native = 2;
  const Reason listed = reason_from(why);
  EXPECT_EQ(listed.text, "there is no /dev/udmabuf");
  EXPECT_EQ(listed.fix, "modprobe udmabuf");
  EXPECT_EQ(listed.origin, Origin::os);
  why.code = 100001;
  why.origin = -3;
  why.text[0] = 'x';
  const Reason own = reason_from(why);
  EXPECT_EQ(own.text, "x");
  EXPECT_EQ(own.fix, "");
  EXPECT_EQ(own.origin, Origin::landfall);
  const Reason copied = reason_from(Error{Errc::busy, "op", ReasonCode::buffers_out}.with("3 out"));
  EXPECT_EQ(copied.code, ReasonCode::buffers_out);
  EXPECT_EQ(copied.text, "3 out");
}

}  // namespace
}  // namespace landfall
