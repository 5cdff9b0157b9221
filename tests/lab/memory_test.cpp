// SPDX-License-Identifier: Apache-2.0
// Goal: on a kernel with all of it, memory of every page size becomes a dma-buf whose bytes are
// those of the host view, in this process and in another, and the remedies that refusals name do
// help.
#include <sys/wait.h>

#include <cstdlib>
#include <cstring>
#include <fstream>

#include "landfall/base/units.hpp"
#include "landfall_test/memory_source.hpp"

namespace landfall {
namespace {

using test::page_bytes;
using test::refused;

constexpr std::uint64_t kGiB = 1u << 30;
constexpr const char* kLimit = "/sys/module/udmabuf/parameters/size_limit_mb";

// A number in /proc or /sys; the destructor puts back what was there.
class Setting {
 public:
  explicit Setting(std::string path) : path_{std::move(path)} { std::ifstream{path_} >> before_; }
  ~Setting() { set(before_); }
  void set(const std::string& value) { std::ofstream{path_} << value; }

 private:
  std::string path_, before_;
};

class LabMemory : public test::MemorySourceTest {
 protected:
  Setting huge_pages_{"/proc/sys/vm/nr_hugepages"};
  Setting limit_{kLimit};
};

// What stands in the remedy is a command: it is run as it is.
void follow(const Error& error) {
  const std::string command{error.remedy()};
  EXPECT_EQ(std::system(command.c_str()), 0) << command;
}

// Each export of `region`, adopted as another Region, shows the first byte of each of its pages.
void expect_exported(const Context& context, const Region& region, std::uint64_t offset,
                     std::uint64_t length) {
  auto exported = region.export_dmabuf(offset, length);
  ASSERT_TRUE(exported) << exported.error().describe();
  auto adopted = Region::allocate(context, {.source = "dmabuf", .adopt = exported->fd.get()});
  ASSERT_TRUE(adopted) << adopted.error().describe();
  ASSERT_EQ(adopted->memory().size_bytes(), exported->offset_bytes + length);
  const auto theirs = *adopted->memory().host_bytes();
  const auto ours = *region.memory().host_bytes();
  for (std::uint64_t at = 0; at < length; at += page_bytes())
    ASSERT_EQ(theirs[exported->offset_bytes + at], ours[offset + at]) << at;
  theirs[exported->offset_bytes] = std::byte{0xa5};
  EXPECT_EQ(ours[offset], std::byte{0xa5}) << "a copy, not the same pages";
}

TEST_F(LabMemory, UdmabufOfHugePages) {
  auto region =
      Region::allocate(context_, {.source = "udmabuf", .size_bytes = 8_MiB, .page_bytes = 2_MiB});
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_EQ(region->memory().page_bytes(), 2_MiB);
  test::expect_usable(*region);
  expect_exported(context_, *region, 0, 8_MiB);
  expect_exported(context_, *region, 2_MiB, 4_MiB);
  EXPECT_EQ(region->export_dmabuf(2_MiB - page_bytes(), 2_MiB).error().reason(),
            ReasonCode::size_not_whole_pages);
}

TEST_F(LabMemory, PagesOfOneGiB) {
  auto region =
      Region::allocate(context_, {.source = "hugepage", .size_bytes = kGiB, .page_bytes = kGiB});
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_EQ(region->memory().page_bytes(), kGiB);
  (*region->memory().host_bytes())[kGiB - 1] = std::byte{1};
  EXPECT_EQ(
      refused(context_, {.source = "hugepage", .size_bytes = kGiB, .page_bytes = kGiB}).reason(),
      ReasonCode::no_hugepages)
      << "there is one";
}

TEST_F(LabMemory, UdmabufOfOneGiBPageAfterItsRemedy) {
  const RegionSpec spec{.source = "udmabuf", .size_bytes = kGiB, .page_bytes = kGiB};
  limit_.set("64");
  const Error error = refused(context_, spec);
  ASSERT_EQ(error.reason(), ReasonCode::udmabuf_limit);
  follow(error);
  auto region = Region::allocate(context_, spec);
  ASSERT_TRUE(region) << region.error().describe();
  expect_exported(context_, *region, 0, kGiB);
}

TEST_F(LabMemory, MoreHugePagesAfterTheirRemedy) {
  huge_pages_.set("0");
  const RegionSpec spec{.source = "hugepage", .size_bytes = 16_MiB, .page_bytes = 2_MiB};
  const Error error = refused(context_, spec);
  ASSERT_EQ(error.reason(), ReasonCode::no_hugepages);
  follow(error);
  auto region = Region::allocate(context_, spec);
  ASSERT_TRUE(region) << region.error().describe();
  test::expect_usable(*region);
}

TEST_F(LabMemory, HeapBytesSeenByAnotherProcess) {
  auto region = Region::allocate(context_, {.source = "dma-heap", .size_bytes = 1_MiB});
  ASSERT_TRUE(region) << region.error().describe();
  test::expect_usable(*region);
  auto whole = region->export_dmabuf(0, 1_MiB);
  ASSERT_TRUE(whole);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {  // what a receiver of the descriptor would do
    const auto context = Context::create();
    auto adopted = Region::allocate(*context, {.source = "dmabuf", .adopt = whole->fd.get()});
    if (!adopted) ::_exit(1);
    const auto bytes = *adopted->memory().host_bytes();
    if (bytes[page_bytes()] != std::byte{2}) ::_exit(2);
    bytes[0] = std::byte{0x77};
    ::_exit(0);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  EXPECT_EQ((*region->memory().host_bytes())[0], std::byte{0x77});
}

TEST_F(LabMemory, HeapRefusesMoreThanThereIs) {
  const Error error = refused(context_, {.source = "dma-heap", .size_bytes = 64 * kGiB});
  EXPECT_EQ(error.code(), Errc::no_memory) << error.describe();
}

}  // namespace
}  // namespace landfall
