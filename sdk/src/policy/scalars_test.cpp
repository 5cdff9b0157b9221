// SPDX-License-Identifier: Apache-2.0
#include "policy/scalars.hpp"

#include <gtest/gtest.h>

#include "policy/reader.hpp"

namespace landfall::policy {
namespace {

using namespace std::chrono_literals;

// Goal: each value means what its text says, and nothing near it is taken.
TEST(PolicyScalars, AreReadExactly) {
  EXPECT_EQ(read_integer("0"), 0u);
  EXPECT_EQ(read_integer("0x1F"), 31u);
  EXPECT_EQ(read_integer("18446744073709551615"), ~std::uint64_t{0});
  for (const char* no : {"", "010", "0x", "-1", "+1", "1.0", "1 ", "0o7", "18446744073709551616"})
    EXPECT_EQ(read_integer(no), std::nullopt) << no;

  EXPECT_EQ(read_size("64KiB"), 65536u);
  EXPECT_EQ(read_size("999999TiB"), 999999ull << 40);
  for (const char* no : {"", "64", "64kB", "64 KiB", "0KiB", "064KiB", "1000000KiB", "1.5GiB"})
    EXPECT_EQ(read_size(no), std::nullopt) << no;

  EXPECT_EQ(read_duration("50us"), 50us);
  EXPECT_EQ(read_duration("2ms"), 2ms);
  EXPECT_EQ(read_duration("1s"), 1s);
  for (const char* no : {"", "0s", "1", "1m", "1.5s", "-1s"})
    EXPECT_EQ(read_duration(no), std::nullopt) << no;

  EXPECT_EQ(read_share("0%"), 0u);
  EXPECT_EQ(read_share("0.25%"), 2500u);
  EXPECT_EQ(read_share("0.0001%"), 1u);
  EXPECT_EQ(read_share("100.0%"), 1'000'000u);
  for (const char* no : {"", "1", "100.1%", "101%", "1.%", ".5%", "1.00001%", "01%"})
    EXPECT_EQ(read_share(no), std::nullopt) << no;

  EXPECT_EQ(read_port_range("1-65535"), (Policy::Ports{1, 65535}));
  for (const char* no : {"", "1", "0-1", "1-65536", "1-", "-1", "1-2-3", "01-2"})
    EXPECT_EQ(read_port_range(no), std::nullopt) << no;

  for (const char* yes : {"a", "gpu-ingest_2"}) EXPECT_TRUE(is_name(yes)) << yes;
  for (const char* no : {"", "1a", "A", "a b", "a.b", "-a"}) EXPECT_FALSE(is_name(no)) << no;
  EXPECT_TRUE(is_name(std::string(63, 'a')));
  EXPECT_FALSE(is_name(std::string(64, 'a')));
}

// Goal: addresses and prefixes of both families.
TEST(PolicyScalars, ReadPrefixes) {
  const auto v4 = read_prefix("192.0.2.0/24");
  ASSERT_TRUE(v4);
  EXPECT_EQ(v4->bits, 24);
  EXPECT_FALSE(v4->is_ipv6);
  EXPECT_EQ(v4->address[2], 2);
  EXPECT_EQ(read_prefix("192.0.2.7")->bits, 32);
  const auto v6 = read_prefix("2001:db8::/32");
  ASSERT_TRUE(v6);
  EXPECT_TRUE(v6->is_ipv6);
  EXPECT_EQ(v6->address[1], 1);
  EXPECT_EQ(read_prefix("::")->bits, 128);
  for (const char* no :
       {"", "192.0.2", "192.0.2.256", "192.0.2.07", "192.0.2.7/33", "192.0.2.7/", "192.0.2.7/024",
        "2001:db8::1::", "2001:db8::/129", "::ffff:192.0.2.7", "fe80::1%eth0", "host"})
    EXPECT_EQ(read_prefix(no), std::nullopt) << no;
}

// Goal: a scalar without quotes is what YAML 1.2 takes it for, as editors do.
TEST(PolicyScalars, HaveTheKindsOfYaml12) {
  using Kind = YamlNode::Kind;
  for (const char* text : {"", "~", "null"}) EXPECT_EQ(kind_of_plain(text), Kind::null) << text;
  for (const char* text : {"true", "FALSE"}) EXPECT_EQ(kind_of_plain(text), Kind::boolean) << text;
  for (const char* text : {"0", "-7", "+7", "010", "0x1f", "0o17"})
    EXPECT_EQ(kind_of_plain(text), Kind::integer) << text;
  for (const char* text : {"1.5", "-.5", "1e3", "1.", ".inf", "-.INF", ".nan"})
    EXPECT_EQ(kind_of_plain(text), Kind::number) << text;
  for (const char* text :
       {"no", "on", "off", "1%", "64KiB", "192.0.2.7", "-", ".", "0x", "1e", "e1"})
    EXPECT_EQ(kind_of_plain(text), Kind::string) << text;
}

}  // namespace
}  // namespace landfall::policy
