// SPDX-License-Identifier: Apache-2.0
#include "messages/options.hpp"

#include <gtest/gtest.h>

#include <string>

#include "messages/wire.hpp"

namespace landfall::messages::test {
namespace {

struct Read {
  landfall_errc code;
  Options options;
  landfall_why why;
};

Read read_all(const std::string& text, Keys keys = Keys::ofi) {
  Read result{LANDFALL_ERRC_ok, {}, {}};
  result.why.struct_size = sizeof result.why;
  result.code = read(text.c_str(), "it", keys, &result.options, &result.why);
  return result;
}

// Goal: each option is taken at both ends of what it may be, and lands where it belongs.
TEST(Options, AreTakenUpToTheirLimits) {
  const Read none = read_all("");
  EXPECT_EQ(none.code, LANDFALL_ERRC_ok);
  EXPECT_EQ(none.options.window, 64u);
  EXPECT_EQ(none.options.keepalive_s, 10u);
  const Read least = read_all("slot=256\ncredits=2\nkeepalive=0\ndevice=d\nprovider=a;b");
  EXPECT_EQ(least.code, LANDFALL_ERRC_ok);
  EXPECT_EQ(least.options.slot_bytes, kSlotBytesMin);
  EXPECT_EQ(least.options.window, 2u);
  EXPECT_EQ(least.options.keepalive_s, 0u);
  EXPECT_EQ(least.options.device, "d");
  EXPECT_EQ(least.options.provider, "a;b");
  const Read most = read_all("slot=16MiB\ncredits=511\nkeepalive=3600\ngather=off\n", Keys::verbs);
  EXPECT_EQ(most.code, LANDFALL_ERRC_ok);
  EXPECT_EQ(most.options.slot_bytes, kSlotBytesMax);
  EXPECT_EQ(most.options.window, kWindowMax);
  EXPECT_EQ(most.options.keepalive_s, 3600u);
  EXPECT_FALSE(most.options.gather);
  EXPECT_EQ(read_all("slot=64KiB").options.slot_bytes, 65536u);
}

// Goal: what is past a limit, is no number, has no value or belongs to the other transport is
// refused, by its own text and with what may be said instead.
TEST(Options, AreRefusedBeyondThem) {
  for (const char* wrong :
       {"slot=255",       "slot=16777217", "slot=17MiB",   "slot=4194305KiB",
        "slot=1GiB",      "slot=",         "slot",         "slot=-256",
        "credits=1",      "credits=512",   "credits=4KiB", "credits=2 ",
        "keepalive=3601", "keepalive=-1",  "keepalive=1s", "keepalive=99999999999999999999",
        "device=",        "provider=",     "gather=on",    "nonsense=1"}) {
    const Read result = read_all(std::string{"credits=8\n"} + wrong);
    EXPECT_EQ(result.code, LANDFALL_ERRC_invalid_argument) << wrong;
    EXPECT_EQ(result.why.code, std::uint32_t{LANDFALL_REASON_option_not_understood}) << wrong;
    EXPECT_NE(std::string{result.why.text}.find(std::string{"'"} + wrong + "'"), std::string::npos)
        << result.why.text;
    EXPECT_NE(std::string{result.why.fix}.find("keepalive=0..3600"), std::string::npos) << wrong;
  }
  for (const char* of_ofi : {"provider=tcp", "gather=yes"})
    EXPECT_EQ(read_all(of_ofi, Keys::verbs).code, LANDFALL_ERRC_invalid_argument) << of_ofi;
}

// Goal: without a word about them slots are a two-thousandth of the slice, within limits.
TEST(Options, SlotsFollowTheSlice) {
  EXPECT_EQ(slot_bytes_for({}, 0, 1u << 20), 4096u);
  EXPECT_EQ(slot_bytes_for({}, 0, 64u << 20), 32768u);
  EXPECT_EQ(slot_bytes_for({}, 0, 63u << 20), 16384u);
  EXPECT_EQ(slot_bytes_for({}, 0, std::uint64_t{8} << 30), 65536u);
  EXPECT_EQ(slot_bytes_for({}, 1, 1u << 20), kSlotBytesMin);
  EXPECT_EQ(slot_bytes_for({.slot_bytes = 512}, 9000, 1u << 20), 512u);
}

}  // namespace
}  // namespace landfall::messages::test
