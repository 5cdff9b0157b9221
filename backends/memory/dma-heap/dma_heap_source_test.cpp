// SPDX-License-Identifier: Apache-2.0
// Goal: the source dma-heap explains which heaps there are; where one is, its dma-buf shows the
// same bytes as the host view, and no failing path leaks. The source dmabuf takes what it gives.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "landfall/base/units.hpp"
#include "landfall_test/memory_source.hpp"

namespace landfall {
namespace {

using test::refused;
using ::testing::HasSubstr;

class DmaHeapSource : public test::MemorySourceTest {};

#define NEEDS_HEAP                                   \
  if (::access("/dev/dma_heap/system", R_OK | W_OK)) \
  GTEST_SKIP() << "/dev/dma_heap/system: a kernel with CONFIG_DMABUF_HEAPS_SYSTEM=y"

TEST_F(DmaHeapSource, SaysWhichHeapsThereAre) {
  for (const char* name : {"no-such-heap", "../null", ".", "..", "a/b"}) {
    const Error error =
        refused(context_, {.source = "dma-heap", .size_bytes = 1_MiB, .device_name = name});
    EXPECT_EQ(error.code(), Errc::not_supported);
    EXPECT_EQ(error.reason(), ReasonCode::no_dma_heap_device);
    EXPECT_THAT(std::string{error.cause()}, HasSubstr("the heaps there:"));
    EXPECT_THAT(std::string{error.cause()}, HasSubstr(name));
  }
  plan_.fail_always("open", ENOENT);
  EXPECT_EQ(refused(context_, {.source = "dma-heap", .size_bytes = 1_MiB}).reason(),
            ReasonCode::no_dma_heap_device);
  plan_.fail_always("open", EACCES);
  EXPECT_EQ(refused(context_, {.source = "dma-heap", .size_bytes = 1_MiB}).code(),
            Errc::permission_denied);
}

TEST_F(DmaHeapSource, RefusesFieldsThatItCannotHonour) {
  for (const RegionSpec& spec :
       {RegionSpec{.source = "dma-heap", .size_bytes = 1_MiB, .page_bytes = 2_MiB},
        RegionSpec{.source = "dma-heap", .size_bytes = 1_MiB, .numa_node = 0},
        RegionSpec{.source = "dma-heap", .size_bytes = 1_MiB, .memfd = true}})
    EXPECT_EQ(refused(context_, spec).reason(), ReasonCode::spec_not_understood);
}

TEST_F(DmaHeapSource, GivesADmabufWithAHostView) {
  NEEDS_HEAP;
  auto region = Region::allocate(context_, {.source = "dma-heap", .size_bytes = 1_MiB});
  ASSERT_TRUE(region) << region.error().describe();
  test::expect_usable(*region);
  EXPECT_FALSE(region->memory().exports_ranges());
  EXPECT_EQ(region->export_dmabuf(0, 64_KiB).error().reason(), ReasonCode::export_whole_only);
  auto whole = region->export_dmabuf(0, 1_MiB);
  ASSERT_TRUE(whole);
  EXPECT_EQ(whole->offset_bytes, 0u);
  EXPECT_EQ(::lseek(whole->fd.get(), 0, SEEK_END), static_cast<off_t>(1_MiB));
  auto unmapped =
      Region::allocate(context_, {.source = "dma-heap", .size_bytes = 1_MiB, .host_view = false});
  ASSERT_TRUE(unmapped);
  EXPECT_FALSE(unmapped->memory().has_host_view());
  EXPECT_EQ(refused(context_, {.source = "dma-heap", .size_bytes = 100}).reason(),
            ReasonCode::size_not_whole_pages);
}

TEST_F(DmaHeapSource, ItsDmabufIsAdoptedByTheSourceDmabuf) {
  NEEDS_HEAP;
  auto region = Region::allocate(context_, {.source = "dma-heap", .size_bytes = 1_MiB});
  ASSERT_TRUE(region) << region.error().describe();
  auto whole = region->export_dmabuf(0, 1_MiB);
  ASSERT_TRUE(whole);
  auto adopted = Region::allocate(context_, {.source = "dmabuf", .adopt = whole->fd.get()});
  ASSERT_TRUE(adopted) << adopted.error().describe();
  EXPECT_EQ(adopted->memory().size_bytes(), 1_MiB);
  (*region->memory().host_bytes())[4096] = std::byte{77};
  EXPECT_EQ((*adopted->memory().host_bytes())[4096], std::byte{77});
  EXPECT_TRUE(adopted->export_dmabuf(0, 1_MiB));
  EXPECT_EQ(refused(context_, {.source = "dmabuf", .size_bytes = 2_MiB, .adopt = whole->fd.get()})
                .reason(),
            ReasonCode::shorter_than_declared);
  test::expect_no_leaks({.source = "dmabuf", .host_view = false, .adopt = whole->fd.get()}, 3);
  for (const int refusal : {EINVAL, EPERM, ENODEV, EOPNOTSUPP, 524}) {  // of drivers: ENOTSUPP
    plan_.fail_always("mmap", refusal);
    adopted = Region::allocate(context_, {.source = "dmabuf", .adopt = whole->fd.get()});
    ASSERT_TRUE(adopted) << adopted.error().describe();
    EXPECT_FALSE(adopted->memory().has_host_view()) << refusal;
  }
  plan_.fail_always("mmap", ENOMEM);
  EXPECT_EQ(
      Region::allocate(context_, {.source = "dmabuf", .adopt = whole->fd.get()}).error().reason(),
      ReasonCode::out_of_memory);
}

TEST_F(DmaHeapSource, EveryOutsideCallMayFail) {
  NEEDS_HEAP;
  test::expect_no_leaks({.source = "dma-heap", .size_bytes = 1_MiB, .host_view = false}, 2);
  auto region = Region::allocate(context_, {.source = "dma-heap", .size_bytes = 1_MiB});
  ASSERT_TRUE(region);
  const auto result = test::fail_each_call(
      plan_, [&] { return region->export_dmabuf(0, 1_MiB).has_value(); }, EMFILE);
  EXPECT_EQ(result.calls, 1u);
  EXPECT_THAT(result.survived, ::testing::IsEmpty());
  EXPECT_THAT(result.leaked, ::testing::IsEmpty());
}

}  // namespace
}  // namespace landfall
