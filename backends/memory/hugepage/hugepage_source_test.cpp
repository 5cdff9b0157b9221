// SPDX-License-Identifier: Apache-2.0
// Goal: the source hugepage counts pages before it asks for them, gives pages whose touch can never
// end in SIGBUS, and leaks nothing on any failing path.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>

#include "landfall/base/units.hpp"
#include "landfall_test/memory_source.hpp"

namespace landfall {
namespace {

using test::kGoodSeals;
using test::memfd_of;
using test::refused;
using ::testing::HasSubstr;

std::int64_t count(const char* file) {
  std::ifstream in{std::string{"/sys/kernel/mm/hugepages/hugepages-2048kB/"} + file};
  std::int64_t number = 0;
  return in >> number ? number : 0;
}

class HugepageSource : public test::MemorySourceTest {
 protected:
  void SetUp() override {
    std::ifstream in{"/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages"};
    if (!in) GTEST_SKIP() << "huge pages of 2 MiB: this kernel has none";
  }
  bool have(std::int64_t pages) {
    return count("free_hugepages") - count("resv_hugepages") >= pages;
  }
};

#define NEEDS_HUGEPAGES(pages) \
  if (!have(pages))            \
  GTEST_SKIP() << (pages) << " free huge pages of 2 MiB: sysctl vm.nr_hugepages=" << (pages)

TEST_F(HugepageSource, GivesEveryKind) {
  NEEDS_HUGEPAGES(4);
  const RegionSpec specs[] = {
      {.source = "hugepage", .size_bytes = 4_MiB},
      {.source = "hugepage", .size_bytes = 4_MiB, .page_bytes = 2_MiB, .numa_node = 0},
      {.source = "hugepage", .size_bytes = 4_MiB, .memfd = true, .locked = true, .populated = true},
  };
  for (const RegionSpec& spec : specs) {
    const auto free_before = count("free_hugepages");
    auto region = Region::allocate(context_, spec);
    ASSERT_TRUE(region) << region.error().describe();
    EXPECT_EQ(count("free_hugepages"), free_before - 2) << "they are there, not only promised";
    EXPECT_EQ(region->memory().page_bytes(), 2_MiB);
    EXPECT_TRUE(region->memory().locked());
    test::expect_usable(*region);
  }
  auto unmapped =
      Region::allocate(context_, {.source = "hugepage", .size_bytes = 4_MiB, .host_view = false});
  ASSERT_TRUE(unmapped) << unmapped.error().describe();
  EXPECT_FALSE(unmapped->memory().has_host_view());
  EXPECT_EQ(maps_.leaked(), 0);
}

TEST_F(HugepageSource, AdoptsAndBorrows) {
  NEEDS_HUGEPAGES(4);
  const Fd fd = memfd_of(4_MiB, kGoodSeals, MFD_HUGETLB);
  {
    auto adopted = Region::allocate(context_, {.source = "hugepage", .adopt = fd.get()});
    ASSERT_TRUE(adopted) << adopted.error().describe();
    EXPECT_EQ(adopted->memory().size_bytes(), 4_MiB);
    test::expect_usable(*adopted);
    EXPECT_EQ(refused(context_, {.adopt = fd.get()}).reason(), ReasonCode::spec_not_understood)
        << "the source host takes ordinary pages";
  }
  void* range = ::mmap(nullptr, 4_MiB, PROT_READ | PROT_WRITE, MAP_SHARED, fd.get(), 0);
  ASSERT_NE(range, MAP_FAILED);
  {
    auto borrowed =
        Region::allocate(context_, {.source = "hugepage", .size_bytes = 4_MiB, .borrow = range});
    ASSERT_TRUE(borrowed) << borrowed.error().describe();
    test::expect_usable(*borrowed);
  }
  EXPECT_EQ(::munmap(range, 4_MiB), 0);
}

TEST_F(HugepageSource, SaysHowManyAreFreeAndWhatMakesMore) {
  const auto pages =
      static_cast<std::uint64_t>(count("free_hugepages") + count("nr_overcommit_hugepages") + 1000);
  const Error error =
      refused(context_, {.source = "hugepage", .size_bytes = pages * 2_MiB, .page_bytes = 2_MiB});
  EXPECT_EQ(error.code(), Errc::no_memory);
  EXPECT_EQ(error.reason(), ReasonCode::no_hugepages);
  EXPECT_THAT(std::string{error.cause()}, HasSubstr(std::to_string(pages) + " huge pages"));
  EXPECT_THAT(std::string{error.remedy()}, HasSubstr("nr_hugepages"));
}

TEST_F(HugepageSource, RefusesSizesThatDoNotExist) {
  for (const std::uint64_t page :
       {std::uint64_t{1}, std::uint64_t{4096}, 3_MiB, 2_MiB + 1, std::uint64_t{1} << 62}) {
    const Error error =
        refused(context_, {.source = "hugepage", .size_bytes = 6_MiB, .page_bytes = page});
    EXPECT_EQ(error.reason(), ReasonCode::hugepage_size_unknown) << error.describe();
    EXPECT_THAT(std::string{error.cause()}, HasSubstr("2048 kB"));
  }
  const Error error =
      refused(context_, {.source = "hugepage", .size_bytes = 3_MiB, .page_bytes = 2_MiB});
  EXPECT_EQ(error.reason(), ReasonCode::size_not_whole_pages);
}

TEST_F(HugepageSource, RefusesOrdinaryPages) {
  const Fd ordinary = memfd_of(4_MiB, kGoodSeals);
  EXPECT_EQ(refused(context_, {.source = "hugepage", .adopt = ordinary.get()}).reason(),
            ReasonCode::hugepage_size_unknown);
  EXPECT_EQ(refused(context_, {.source = "hugepage", .page_bytes = 2_MiB, .adopt = ordinary.get()})
                .reason(),
            ReasonCode::spec_not_understood);
  void* range = ::mmap(nullptr, 6_MiB, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  auto* aligned = reinterpret_cast<void*>(round_up(reinterpret_cast<std::uintptr_t>(range), 2_MiB));
  EXPECT_EQ(
      refused(context_, {.source = "hugepage", .size_bytes = 2_MiB, .borrow = aligned}).reason(),
      ReasonCode::memory_not_mapped);
  EXPECT_EQ(::munmap(range, 6_MiB), 0);
}

TEST_F(HugepageSource, EveryOutsideCallMayFail) {
  NEEDS_HUGEPAGES(4);
  const Fd fd = memfd_of(4_MiB, kGoodSeals, MFD_HUGETLB);
  test::expect_no_leaks({.source = "hugepage", .size_bytes = 4_MiB}, 2);
  test::expect_no_leaks({.source = "hugepage", .size_bytes = 4_MiB, .memfd = true}, 5);
  test::expect_no_leaks({.source = "hugepage", .size_bytes = 4_MiB, .host_view = false}, 5);
  test::expect_no_leaks({.source = "hugepage", .adopt = fd.get()}, 6);
}

}  // namespace
}  // namespace landfall
