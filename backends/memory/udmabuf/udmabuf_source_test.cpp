// SPDX-License-Identifier: Apache-2.0
// Goal: the source udmabuf explains what is missing; where the device is, its dma-bufs show the
// same bytes as the host view, in whole and in ranges, and no failing path leaks.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>

#include "landfall/base/units.hpp"
#include "landfall_test/memory_source.hpp"

namespace landfall {
namespace {

using test::kGoodSeals;
using test::memfd_of;
using test::page_bytes;
using test::refused;
using ::testing::HasSubstr;

class UdmabufSource : public test::MemorySourceTest {};

#define NEEDS_DEVICE                         \
  if (::access("/dev/udmabuf", R_OK | W_OK)) \
  GTEST_SKIP() << "/dev/udmabuf, readable and writable: modprobe udmabuf"

TEST_F(UdmabufSource, SaysThatTheDeviceIsMissing) {
  plan_.fail_always("open", ENOENT);
  const Error error = refused(context_, {.source = "udmabuf", .size_bytes = 1_MiB});
  EXPECT_EQ(error.code(), Errc::not_supported);
  EXPECT_EQ(error.reason(), ReasonCode::no_udmabuf_device);
  EXPECT_EQ(error.remedy(), "modprobe udmabuf");
}

TEST_F(UdmabufSource, SaysThatTheDeviceIsForbidden) {
  plan_.fail_always("open", EACCES);
  const Error error = refused(context_, {.source = "udmabuf", .size_bytes = 1_MiB});
  EXPECT_EQ(error.code(), Errc::permission_denied);
  EXPECT_EQ(error.reason(), ReasonCode::not_permitted);
  EXPECT_THAT(std::string{error.cause()}, HasSubstr("/dev/udmabuf"));
}

TEST_F(UdmabufSource, RefusesFieldsThatItCannotHonour) {
  void* const somewhere = reinterpret_cast<void*>(page_bytes());
  for (const RegionSpec& spec :
       {RegionSpec{.source = "udmabuf", .size_bytes = 1_MiB, .borrow = somewhere},
        RegionSpec{.source = "udmabuf", .size_bytes = 1_MiB, .device_name = "x"}})
    EXPECT_EQ(refused(context_, spec).reason(), ReasonCode::spec_not_understood);
}

void expect_same_bytes(const Region& region, std::uint64_t offset, std::uint64_t length) {
  auto range = region.export_dmabuf(offset, length);
  ASSERT_TRUE(range) << range.error().describe();
  EXPECT_EQ(::lseek(range->fd.get(), 0, SEEK_END), static_cast<off_t>(length));
  void* view = ::mmap(nullptr, length, PROT_READ, MAP_SHARED, range->fd.get(),
                      static_cast<off_t>(range->offset_bytes));
  ASSERT_NE(view, MAP_FAILED);
  EXPECT_EQ(std::memcmp(view, region.memory().host_bytes()->data() + offset, length), 0);
  ::munmap(view, length);
}

TEST_F(UdmabufSource, ExportsTheWholeAndRanges) {
  NEEDS_DEVICE;
  auto region = Region::allocate(context_, {.source = "udmabuf", .size_bytes = 1_MiB});
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_TRUE(region->memory().exports_dmabuf());
  EXPECT_TRUE(region->memory().exports_ranges());
  test::expect_usable(*region);
  expect_same_bytes(*region, 0, 1_MiB);
  expect_same_bytes(*region, 512_KiB, 256_KiB);
  expect_same_bytes(*region, 1_MiB - page_bytes(), page_bytes());
  EXPECT_EQ(region->export_dmabuf(1, page_bytes()).error().reason(),
            ReasonCode::size_not_whole_pages);
  EXPECT_EQ(region->export_dmabuf(512_KiB, 1_MiB).error().reason(), ReasonCode::range_outside);
  EXPECT_EQ(region->export_dmabuf(0, 0).error().reason(), ReasonCode::range_outside);
}

TEST_F(UdmabufSource, AdoptsASealedMemfdAndRefusesAnUnsealedOne) {
  NEEDS_DEVICE;
  const Fd sealed = memfd_of(1_MiB, kGoodSeals);
  auto region = Region::allocate(context_, {.source = "udmabuf", .adopt = sealed.get()});
  ASSERT_TRUE(region) << region.error().describe();
  test::expect_usable(*region);
  expect_same_bytes(*region, 0, 1_MiB);
  region =
      Region::allocate(context_, {.source = "udmabuf", .host_view = false, .adopt = sealed.get()});
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_FALSE(region->memory().has_host_view());
  EXPECT_TRUE(region->export_dmabuf(0, 1_MiB));
  const Fd open = memfd_of(1_MiB, 0);
  EXPECT_EQ(refused(context_, {.source = "udmabuf", .adopt = open.get()}).reason(),
            ReasonCode::memfd_not_sealed);
}

TEST_F(UdmabufSource, NamesItsLimit) {
  NEEDS_DEVICE;
  std::ifstream in{"/sys/module/udmabuf/parameters/size_limit_mb"};
  std::uint64_t limit_mb = 0;
  if (!(in >> limit_mb)) GTEST_SKIP() << "/sys/module/udmabuf/parameters/size_limit_mb";
  const Error error =
      refused(context_, {.source = "udmabuf", .size_bytes = (limit_mb + 1) * 1_MiB});
  EXPECT_EQ(error.reason(), ReasonCode::udmabuf_limit);
  EXPECT_THAT(std::string{error.cause()}, HasSubstr(std::to_string(limit_mb) + " MiB"));
  EXPECT_THAT(std::string{error.remedy()}, HasSubstr("size_limit_mb"));
}

TEST_F(UdmabufSource, OfHugePages) {
  NEEDS_DEVICE;
  auto region =
      Region::allocate(context_, {.source = "udmabuf", .size_bytes = 2_MiB, .page_bytes = 2_MiB});
  if (!region && region.error().reason() == ReasonCode::no_hugepages)
    GTEST_SKIP() << "one free huge page of 2 MiB: sysctl vm.nr_hugepages=1";
  ASSERT_TRUE(region) << region.error().describe();
  test::expect_usable(*region);
  EXPECT_TRUE(region->export_dmabuf(0, 2_MiB));
}

TEST_F(UdmabufSource, EveryOutsideCallMayFail) {
  NEEDS_DEVICE;
  const Fd sealed = memfd_of(1_MiB, kGoodSeals);
  test::expect_no_leaks({.source = "udmabuf", .size_bytes = 1_MiB}, 6);
  test::expect_no_leaks({.source = "udmabuf", .adopt = sealed.get()}, 6);
  auto region = Region::allocate(context_, {.source = "udmabuf", .size_bytes = 1_MiB});
  ASSERT_TRUE(region);
  const auto result = test::fail_each_call(
      plan_, [&] { return region->export_dmabuf(0, page_bytes()).has_value(); });
  EXPECT_EQ(result.calls, 1u);
  EXPECT_THAT(result.survived, ::testing::IsEmpty());
  EXPECT_THAT(result.leaked, ::testing::IsEmpty());
}

}  // namespace
}  // namespace landfall
