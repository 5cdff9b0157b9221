// SPDX-License-Identifier: Apache-2.0
// What every memory source must do.
#include <sys/mman.h>

#include <algorithm>
#include <optional>

#include "conformance/rig.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/fault_plan.hpp"
#include "models/device_memory.hpp"

namespace landfall::test {
namespace {

constexpr std::uint64_t kBytes = 4u << 20;

class Memories : public testing::TestWithParam<MemorySubject> {
 protected:
  void SetUp() override {
    if (GetParam().expected().has(MemoryCap::adopts)) return skip("it never allocates");
    const Result<Context> context = GetParam().context();
    ASSERT_OK(context);
    const Result<void> probed = probe_memory(*context, spec());
    const Result<Region> region = Region::allocate(*context, spec());
    if (region) {
      EXPECT_TRUE(probed) << "probe refuses what allocate gives";
      return;
    }
    for (const ReasonCode listed : GetParam().expected().may_refuse)
      if (region.error().reason() == listed) return skip(region.error().describe());
    FAIL() << region.error().describe();
  }
  RegionSpec spec(std::uint64_t size_bytes = kBytes) const {
    RegionSpec wanted;
    wanted.source = GetParam().source;
    wanted.size_bytes = size_bytes;
    return wanted;
  }

 private:
  void skip(const std::string& why) {
    note_listed_skip();
    GTEST_SKIP() << why;
  }
};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(Memories);
INSTANTIATE_TEST_SUITE_P(, Memories, testing::ValuesIn(memory_subjects()),
                         [](const auto& subject_info) {
                           std::string name = subject_info.param.source;
                           std::replace(name.begin(), name.end(), '-', '_');
                           return name;
                         });

// Goal: a Region is what was asked for, and says the truth about its host view.
TEST_P(Memories, GiveWhatWasAskedFor) {
  auto context = GetParam().context();
  ASSERT_OK(context);
  auto region = Region::allocate(*context, spec());
  ASSERT_OK(region);
  const Memory& memory = region->memory();
  EXPECT_EQ(region->source(), GetParam().source);
  EXPECT_TRUE(memory.is_region());
  EXPECT_EQ(memory.size_bytes(), kBytes);
  ASSERT_NE(memory.page_bytes(), 0u);
  EXPECT_EQ(memory.size_bytes() % memory.page_bytes(), 0u);
  ASSERT_EQ(memory.has_host_view(), GetParam().expected().has(MemoryCap::host_view));
  const auto bytes = memory.host_bytes();
  if (!memory.has_host_view()) {
    EXPECT_REFUSED(bytes, not_supported, no_host_view);
    EXPECT_TRUE(memory.on_device());
    EXPECT_NE(memory.device_address(), 0u);
    return;
  }
  ASSERT_TRUE(memory.writable());
  for (std::size_t i = 0; i < kBytes; i += 4096) (*bytes)[i] = static_cast<std::byte>(i >> 12);
  for (std::size_t i = 0; i < kBytes; i += 4096)
    ASSERT_EQ((*bytes)[i], static_cast<std::byte>(i >> 12)) << "pages are not its own";
}

// Goal: half pages and nothing are refused by name.
TEST_P(Memories, RefuseWhatIsNotWholePages) {
  auto context = GetParam().context();
  ASSERT_OK(context);
  for (const std::uint64_t size : {std::uint64_t{0}, std::uint64_t{1}, kBytes + 1}) {
    EXPECT_REFUSED(Region::allocate(*context, spec(size)), invalid_argument, size_not_whole_pages);
    EXPECT_FALSE(probe_memory(*context, spec(size)));
  }
}

// Goal: what no host has is an error, not a crash.
TEST_P(Memories, RefuseMoreThanThereIs) {
  auto context = GetParam().context();
  ASSERT_OK(context);
  const FdCensus fds;
  EXPECT_FALSE(Region::allocate(*context, spec(std::uint64_t{1} << 60)));
  EXPECT_EQ(fds.leaked(), 0);
}

// Goal: allocating and dropping leaves nothing behind; a Region may outlive its Context.
TEST_P(Memories, LeaveNothingBehind) {
  const FdCensus fds;
  const MapCensus maps;
  for (int round = 0; round < 20; ++round) {
    std::optional<Context> context{*GetParam().context()};
    auto region = Region::allocate(*context, spec());
    ASSERT_OK(region);
    Region moved = std::move(*region);
    context.reset();
    if (moved.memory().has_host_view()) (*moved.memory().host_bytes())[0] = std::byte{1};
  }
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
}

// Goal: an export holds the very bytes of its range; what cannot be exported is refused by name.
TEST_P(Memories, ExportWhatTheySay) {
  auto context = GetParam().context();
  ASSERT_OK(context);
  auto region = Region::allocate(*context, spec());
  ASSERT_OK(region);
  const bool whole = GetParam().expected().has(MemoryCap::export_whole);
  const bool ranges = GetParam().expected().has(MemoryCap::export_ranges);
  EXPECT_EQ(region->memory().exports_dmabuf(), whole);
  EXPECT_EQ(region->memory().exports_ranges(), ranges);
  const auto all = region->export_dmabuf(0, kBytes);
  if (!whole) {
    EXPECT_REFUSED(all, not_supported, export_not_supported);
    return;
  }
  ASSERT_OK(all);
  const auto part = region->export_dmabuf(kBytes / 2, kBytes / 4);
  if (!ranges) {
    EXPECT_REFUSED(part, not_supported, export_whole_only);
  } else {
    ASSERT_OK(part);
    const std::span<std::byte> bytes = bytes_of(region->memory().abi());
    bytes[kBytes / 2 + 5] = std::byte{0x5a};
    void* view = ::mmap(nullptr, kBytes / 4, PROT_READ, MAP_SHARED, part->fd.get(),
                        static_cast<off_t>(part->offset_bytes));
    ASSERT_NE(view, MAP_FAILED);
    EXPECT_EQ(static_cast<std::byte*>(view)[5], std::byte{0x5a});
    ::munmap(view, kBytes / 4);
  }
  EXPECT_REFUSED(region->export_dmabuf(0, kBytes + 4096), invalid_argument, range_outside);
  EXPECT_REFUSED(region->export_dmabuf(kBytes, 4096), invalid_argument, range_outside);
}

// Goal: with a host view it serves the transport that copies; without, that one says why not.
TEST_P(Memories, ServeATransport) {
  auto context = GetParam().context();
  ASSERT_OK(context);
  auto region = Region::allocate(*context, spec());
  ASSERT_OK(region);
  GroupOptions options;
  options.transports = {"tcp"};
  Decision decision;
  auto group = Group::open(*context, options, *region, &decision);
  if (!GetParam().expected().has(MemoryCap::host_view)) {
    ASSERT_FALSE(group);
    const auto& candidates = decision.candidates;
    const auto tcp = std::find_if(candidates.begin(), candidates.end(),
                                  [](const auto& one) { return one.transport == "tcp"; });
    ASSERT_NE(tcp, candidates.end());
    ASSERT_FALSE(tcp->reasons.empty());
    EXPECT_EQ(tcp->reasons[0].code, ReasonCode::needs_host_view);
    return;
  }
  ASSERT_OK(group);
  SocketPair pair = tcp_pair();
  ASSERT_OK((*group)[0].attach(pair.ours));
  const std::unique_ptr<Peer> peer = socket_peer(std::move(pair.theirs));
  ASSERT_TRUE(peer->send(std::array{std::byte{42}}));
  std::vector<Completion> batch(4);
  const auto count = (*group)[0].wait(batch, std::chrono::seconds{10});
  ASSERT_OK(count);
  ASSERT_EQ(*count, 1u);
  const auto bytes = batch[0].buffer.host_bytes();
  ASSERT_OK(bytes);
  EXPECT_EQ((*bytes)[0], std::byte{42});
}

// Goal: each outside call fails once: an error, no crash, no leak.
TEST_P(Memories, EveryOutsideCallMayFail) {
  FaultPlan plan;
  for (std::size_t call = 0; call < 100; ++call) {
    const FdCensus fds;
    const MapCensus maps;
    {
      auto context = GetParam().context({.fault = plan.hook()});
      ASSERT_OK(context);
      plan.fail(call, ENOMEM);
      const auto region = Region::allocate(*context, spec());
      EXPECT_NE(region.has_value(), plan.hit());
    }
    ASSERT_EQ(fds.leaked(), 0) << "call " << call;
    ASSERT_EQ(maps.leaked(), 0) << "call " << call;
    if (!plan.hit()) return;
  }
}

}  // namespace
}  // namespace landfall::test
