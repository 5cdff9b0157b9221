// SPDX-License-Identifier: Apache-2.0
// Goal: GPU memory that its owner has exported as a dma-buf is a Region, which a transport that
// cannot write there refuses by name, and which no processor touches where it has no host view.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <optional>
#include <vector>

#include "cuda.hpp"
#include "landfall/landfall.hpp"
#include "landfall_test/census.hpp"

namespace landfall {
namespace {

using ::testing::Contains;
using ::testing::Field;

constexpr std::size_t kSize = 16u << 20;

class GpuDmabuf : public ::testing::Test {
 protected:
  void SetUp() override {
    if (!cuda_.missing().empty()) GTEST_SKIP() << "this machine lacks " << cuda_.missing();
    gpu_.emplace(cuda_, kSize);
    ASSERT_TRUE(gpu_->fd) << "CUDA error " << gpu_->number;
    ASSERT_EQ(cuda_.set_bytes(gpu_->address, 0xee, kSize), 0);
    ASSERT_EQ(cuda_.synchronize(), 0);
  }

  std::vector<std::uint8_t> bytes_on_gpu(std::size_t count) const {
    std::vector<std::uint8_t> bytes(count);
    EXPECT_EQ(cuda_.synchronize(), 0);
    EXPECT_EQ(cuda_.to_host(bytes.data(), gpu_->address, count), 0);
    return bytes;
  }

  test::Cuda cuda_;
  std::optional<test::GpuMemory> gpu_;
  const Context context_ = *Context::create({});
};

TEST_F(GpuDmabuf, IsARegion) {
  test::FdCensus fds;
  {
    auto region = Region::allocate(context_, {.source = "dmabuf", .adopt = gpu_->fd.get()});
    ASSERT_TRUE(region) << region.error().describe();
    const Memory& memory = region->memory();
    EXPECT_EQ(memory.size_bytes(), kSize);
    EXPECT_TRUE(memory.exports_dmabuf());
    RecordProperty("host_view", memory.has_host_view() ? "yes" : "no");
    auto exported = region->export_dmabuf(0, kSize);
    ASSERT_TRUE(exported) << exported.error().describe();
    EXPECT_EQ(exported->offset_bytes, 0u);
  }
  EXPECT_EQ(fds.leaked(), 0);
}

TEST_F(GpuDmabuf, WithoutAHostViewIsRefusedByWhoCopies) {
  auto region =
      Region::allocate(context_, {.source = "dmabuf", .host_view = false, .adopt = gpu_->fd.get()});
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_FALSE(region->memory().has_host_view());
  EXPECT_EQ(region->memory().host_bytes().error().reason(), ReasonCode::no_host_view);
  Decision decision;
  const auto group = Group::open(context_, {}, *region, &decision);
  ASSERT_FALSE(group);
  for (const Decision::Candidate& one : decision.candidates) {
    EXPECT_FALSE(one.usable) << one.transport;
    EXPECT_FALSE(one.reasons.empty()) << one.transport;
  }
  EXPECT_THAT(decision.candidates, Contains(Field(&Decision::Candidate::transport, "tcp")));
  EXPECT_EQ(bytes_on_gpu(kSize), std::vector<std::uint8_t>(kSize, 0xee));
}

// A NIC could write there; libfabric's tcp provider cannot.
TEST_F(GpuDmabuf, IsRefusedByAProviderThatCopies) {
  const auto loaded = context_.backends();
  if (std::ranges::find(loaded, "ofi", &BackendInfo::name) == loaded.end())
    GTEST_SKIP() << "the transport ofi is not beside this program";
  auto region =
      Region::allocate(context_, {.source = "dmabuf", .host_view = false, .adopt = gpu_->fd.get()});
  ASSERT_TRUE(region) << region.error().describe();
  Decision decision;
  const auto group = Group::open(context_, {.transports = {"ofi"}, .options = {"ofi.provider=tcp"}},
                                 *region, &decision);
  ASSERT_FALSE(group);
  const auto ofi = std::ranges::find(decision.candidates, "ofi", &Decision::Candidate::transport);
  ASSERT_NE(ofi, decision.candidates.end());
  ASSERT_FALSE(ofi->reasons.empty());
  EXPECT_EQ(ofi->reasons[0].code, ReasonCode::dmabuf_not_registrable) << decision.describe();
}

}  // namespace
}  // namespace landfall
