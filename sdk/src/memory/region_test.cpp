// SPDX-License-Identifier: Apache-2.0
// Goal: a Region releases what its source allocated exactly once, whatever the source answers, and
// hands out ranges and spill memory only where they exist.
#include "landfall/memory/region.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <unistd.h>

#include <cstring>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/units.hpp"
#include "landfall_test/child.hpp"
#include "landfall_test/fault_loop.hpp"
#include "memory/region_core.hpp"

namespace landfall {
namespace {

using detail::RegionCore;
using ::testing::HasSubstr;

// A source that does as it is told and counts.
struct Script {
  landfall_errc answer = LANDFALL_ERRC_ok;
  std::uint32_t flags = 0;
  std::uint64_t size_bytes = 1_MiB;
  std::uint64_t page_bytes = 4096;
  void* host = nullptr;
  bool null_region = false;
  landfall_errc companion = LANDFALL_ERRC_ok;
  std::int32_t export_fd = -1;
  landfall_memory_spec seen{};
  std::string seen_device_name;
  int alive = 0;
};
Script* script = nullptr;

landfall_errc fake_probe(const landfall_memory_spec*, landfall_why* why) {
  return authoring::refuse(why, script->answer, 0, 0, 0, "%s", "");
}
landfall_errc fake_allocate(const landfall_memory_spec* spec, landfall_region** ret_region,
                            landfall_memory* ret_memory, landfall_why* why) {
  script->seen = *spec;
  script->seen_device_name = spec->device_name == nullptr ? "" : spec->device_name;
  if (script->answer != LANDFALL_ERRC_ok)
    return authoring::refuse(why, script->answer, LANDFALL_REASON_memlock_limit, LANDFALL_ORIGIN_OS,
                             EPERM, "needs %d", 7);
  ret_memory->flags = script->flags;
  ret_memory->size_bytes = script->size_bytes;
  ret_memory->page_bytes = script->page_bytes;
  ret_memory->host = script->host;
  if (script->null_region) return LANDFALL_ERRC_ok;
  ++script->alive;
  *ret_region = reinterpret_cast<landfall_region*>(script);
  return LANDFALL_ERRC_ok;
}
void fake_release(landfall_region* region) {
  --reinterpret_cast<Script*>(region)->alive;
}
landfall_errc fake_export(landfall_region*, std::uint64_t offset, std::uint64_t,
                          std::int32_t* ret_fd, std::uint64_t* ret_offset, landfall_why*) {
  *ret_fd = script->export_fd;
  *ret_offset = offset;
  return LANDFALL_ERRC_ok;
}
landfall_errc fake_companion(landfall_region*, std::uint64_t size_bytes,
                             landfall_region** ret_region, landfall_memory* ret_memory,
                             landfall_why*) {
  if (script->companion != LANDFALL_ERRC_ok) return script->companion;
  ++script->alive;
  *ret_region = reinterpret_cast<landfall_region*>(script);
  ret_memory->size_bytes = size_bytes;
  ret_memory->page_bytes = 4096;
  return LANDFALL_ERRC_ok;
}

constexpr landfall_memory_ops kPlainOps = {sizeof kPlainOps, 0,           fake_probe, fake_allocate,
                                           fake_release,     fake_export, nullptr};
constexpr landfall_memory_ops kDeviceOps = {
    sizeof kDeviceOps, 0, fake_probe, fake_allocate, fake_release, fake_export, fake_companion};
constexpr landfall_memory_ops kInwardOps = {sizeof kInwardOps, 0,       fake_probe, fake_allocate,
                                            fake_release,      nullptr, nullptr};

constexpr landfall_backend describe(const char* name, const landfall_memory_ops* ops) {
  return {sizeof(landfall_backend),
          LANDFALL_ABI_MAJOR,
          LANDFALL_ABI_MINOR,
          LANDFALL_KIND_MEMORY,
          0,
          name,
          "1",
          "for tests",
          ops};
}
constexpr landfall_backend kPlain = describe("plain", &kPlainOps);
constexpr landfall_backend kDevice = describe("device", &kDeviceOps);
constexpr landfall_backend kInward = describe("inward", &kInwardOps);

class RegionTest : public ::testing::Test {
 public:
  RegionTest() {
    script = &script_;
    EXPECT_TRUE(context_.add(&kPlain));
    EXPECT_TRUE(context_.add(&kDevice));
    EXPECT_TRUE(context_.add(&kInward));
  }
  ~RegionTest() override {
    EXPECT_EQ(script_.alive, 0) << "what was allocated is released, once";
    EXPECT_EQ(maps_.leaked(), 0);
  }

 protected:
  Region allocate(const char* source = "plain") {
    auto region = Region::allocate(context_, {.source = source, .size_bytes = 1_MiB});
    if (!region) throw std::runtime_error{region.error().describe()};
    return std::move(*region);
  }

  test::MapCensus maps_;
  Script script_;
  test::FaultPlan plan_;
  Context context_ = *Context::create({.builtin_backends = false, .fault = plan_.hook()});
};

TEST_F(RegionTest, TellsTheSourceEveryField) {
  auto region = Region::allocate(context_, {.source = "plain",
                                            .size_bytes = 5,
                                            .page_bytes = 6,
                                            .numa_node = 7,
                                            .device = 8,
                                            .device_name = "nine",
                                            .memfd = true,
                                            .locked = true,
                                            .populated = true,
                                            .host_view = false,
                                            .adopt = 10});
  ASSERT_TRUE(region);
  EXPECT_EQ(script_.seen.struct_size, sizeof script_.seen);
  EXPECT_EQ(script_.seen.size_bytes, 5u);
  EXPECT_EQ(script_.seen.page_bytes, 6u);
  EXPECT_EQ(script_.seen.numa_node, 7);
  EXPECT_EQ(script_.seen.device_id, 8);
  EXPECT_EQ(script_.seen_device_name, "nine");
  EXPECT_EQ(script_.seen.fd, 10);
  EXPECT_EQ(script_.seen.address, 0u);
  EXPECT_EQ(script_.seen.flags, 15u);
  EXPECT_EQ(script_.seen.host, context_.core()->host());
}

TEST_F(RegionTest, ReleasesOnceHoweverItIsMoved) {
  Region a = allocate();
  Region b = std::move(a);
  EXPECT_FALSE(a);  // NOLINT: moved from is empty, by contract
  EXPECT_EQ(a.memory().size_bytes(), 0u);
  EXPECT_EQ(a.source(), "");
  EXPECT_FALSE(a.export_dmabuf(0, 4096));
  a = allocate();
  EXPECT_EQ(script_.alive, 2);
  a = std::move(b);
  EXPECT_EQ(script_.alive, 1);
  EXPECT_EQ(a.source(), "plain");
}

TEST_F(RegionTest, OutlivesItsContext) {
  Region region = allocate();
  context_ = *Context::create({.builtin_backends = false});
  EXPECT_EQ(script_.alive, 1);
}

TEST_F(RegionTest, PassesOnWhatTheSourceRefuses) {
  script_.answer = LANDFALL_ERRC_limit_reached;
  auto region = Region::allocate(context_, {.source = "plain", .size_bytes = 1_MiB});
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().code(), Errc::limit_reached);
  EXPECT_EQ(region.error().reason(), ReasonCode::memlock_limit);
  EXPECT_EQ(region.error().cause(), "needs 7");
  EXPECT_EQ(probe_memory(context_, {.source = "plain"}).error().code(), Errc::limit_reached);
}

TEST_F(RegionTest, UnknownSourcesAndContradictions) {
  const Error unknown = Region::allocate(context_, {.source = "plane"}).error();
  EXPECT_EQ(unknown.code(), Errc::not_found);
  EXPECT_EQ(unknown.reason(), ReasonCode::memory_source_unknown);
  EXPECT_THAT(std::string{unknown.cause()}, HasSubstr("device, inward, plain"));
  EXPECT_EQ(Region::allocate(context_, {.source = "plain", .adopt = 0, .borrow = &plan_})
                .error()
                .reason(),
            ReasonCode::spec_not_understood);
}

// Goal: a source that answers ok with nonsense costs an error, not a crash later.
TEST_F(RegionTest, SurvivesASourceThatBreaksTheRules) {
  const auto refused = [&] {
    auto region = Region::allocate(context_, {.source = "plain", .size_bytes = 1_MiB});
    return region ? ReasonCode::none : region.error().reason();
  };
  script_.null_region = true;
  EXPECT_EQ(refused(), ReasonCode::plugin_malformed);
  script_.null_region = false;
  script_.size_bytes = 0;
  EXPECT_EQ(refused(), ReasonCode::plugin_malformed);
  script_.size_bytes = 4097;
  EXPECT_EQ(refused(), ReasonCode::plugin_malformed);
  script_.size_bytes = 4096;
  script_.page_bytes = 0;
  EXPECT_EQ(refused(), ReasonCode::plugin_malformed);
  script_.page_bytes = 4096;
  script_.flags = LANDFALL_MEM_DMABUF;
  EXPECT_EQ(allocate().export_dmabuf(0, 4096).error().reason(), ReasonCode::plugin_malformed);
}

TEST_F(RegionTest, ExportsOnlyRangesThatExist) {
  EXPECT_EQ(allocate().export_dmabuf(0, 1_MiB).error().reason(), ReasonCode::export_not_supported);
  script_.flags = LANDFALL_MEM_DMABUF;
  {
    const Region whole_only = allocate();
    script_.export_fd = ::dup(1);
    EXPECT_TRUE(whole_only.export_dmabuf(0, 1_MiB));
    EXPECT_EQ(whole_only.export_dmabuf(0, 4096).error().reason(), ReasonCode::export_whole_only);
  }
  script_.flags |= LANDFALL_MEM_DMABUF_RANGES;
  const Region region = allocate();
  script_.export_fd = ::dup(1);
  auto range = region.export_dmabuf(4096, 8192);
  ASSERT_TRUE(range);
  EXPECT_EQ(range->offset_bytes, 4096u);
  constexpr std::uint64_t kMax = ~std::uint64_t{0};
  const std::pair<std::uint64_t, std::uint64_t> outside[] = {
      {0, 0}, {0, 1_MiB + 4096}, {1_MiB, 4096}, {4096, 1_MiB}, {kMax, 4096}, {4096, kMax - 4095}};
  for (const auto& [offset, length] : outside)
    EXPECT_EQ(region.export_dmabuf(offset, length).error().reason(), ReasonCode::range_outside)
        << offset << " " << length;
  EXPECT_EQ(region.export_dmabuf(1, 4096).error().reason(), ReasonCode::size_not_whole_pages);
  EXPECT_EQ(region.export_dmabuf(4096, 1).error().reason(), ReasonCode::size_not_whole_pages);
}

TEST_F(RegionTest, ASourceWithoutExportsNeverClaimsThem) {
  EXPECT_EQ(allocate("inward").export_dmabuf(0, 1_MiB).error().reason(),
            ReasonCode::export_not_supported);
  script_.flags = LANDFALL_MEM_DMABUF;
  auto region = Region::allocate(context_, {.source = "inward", .size_bytes = 1_MiB});
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().reason(), ReasonCode::plugin_malformed);
  EXPECT_THAT(std::string{region.error().cause()}, HasSubstr("export_dmabuf"));
}

TEST_F(RegionTest, SpillOfMemoryWithAHostViewIsAnonymousAndShared) {
  std::byte somewhere[1];
  script_.host = somewhere;
  const Region region = allocate();
  auto spill = RegionCore::share(region)->make_spill(5000);
  ASSERT_TRUE(spill) << spill.error().describe();
  const Memory& memory = (*spill)->memory();
  EXPECT_EQ(memory.id(), 1);
  EXPECT_EQ(memory.size_bytes(), round_up(5000, static_cast<std::uint64_t>(::getpagesize())));
  EXPECT_TRUE(memory.writable());
  std::memset(memory.host_bytes()->data(), 1, memory.size_bytes());
  EXPECT_FALSE((*spill)->export_dmabuf(0, memory.size_bytes()));
  EXPECT_FALSE(RegionCore::share(region)->make_spill(0));
  EXPECT_FALSE(RegionCore::share(region)->make_spill(~std::uint64_t{0}));
  EXPECT_EQ(RegionCore::share(region)->make_spill(1ull << 62).error().reason(),
            ReasonCode::spill_unavailable);
  const auto loop = test::fail_each_call(
      plan_, [&] { return RegionCore::share(region)->make_spill(4096).has_value(); }, ENOMEM);
  EXPECT_EQ(loop.calls, 1u);
  EXPECT_THAT(loop.survived, ::testing::IsEmpty());
}

TEST_F(RegionTest, SpillOfDeviceMemoryIsItsCompanion) {
  {
    const Region region = allocate("device");
    auto spill = RegionCore::share(region)->make_spill(4096);
    ASSERT_TRUE(spill);
    EXPECT_EQ(script_.alive, 2);
    EXPECT_EQ((*spill)->memory().id(), 1);
  }
  EXPECT_EQ(script_.alive, 0);
  script_.companion = LANDFALL_ERRC_no_memory;
  const Region region = allocate("device");
  const Error error = RegionCore::share(region)->make_spill(4096).error();
  EXPECT_EQ(error.code(), Errc::no_memory);
  EXPECT_EQ(error.reason(), ReasonCode::spill_unavailable);
}

TEST_F(RegionTest, WithoutHostViewOrCompanionThereIsNoSpill) {
  const Region region = allocate();
  const Error error = RegionCore::share(region)->make_spill(4096).error();
  EXPECT_EQ(error.code(), Errc::not_supported);
  EXPECT_EQ(error.reason(), ReasonCode::spill_unavailable);
}

// Goal: a forked child drops its copy without touching what the parent still uses.
TEST_F(RegionTest, AForkedChildReleasesNothing) {
  auto region = std::make_unique<Region>(allocate());
  EXPECT_TRUE(test::holds_in_child([&] {
    region.reset();
    return script_.alive == 1;
  }));
  EXPECT_EQ(script_.alive, 1);
}

}  // namespace
}  // namespace landfall
