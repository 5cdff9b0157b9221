// SPDX-License-Identifier: Apache-2.0
// Goal: GPU memory that its owner has exported as a dma-buf is a Region, which a transport that
// cannot write there refuses by name, and which no processor touches where it has no host view.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <numeric>
#include <optional>
#include <vector>

#include "cuda.hpp"
#include "landfall/landfall.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/loopback.hpp"

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
    if (memory.has_host_view()) {  // it is the same memory
      const auto view = *memory.host_bytes();
      EXPECT_EQ(view[kSize - 1], std::byte{0xee});
      view[5] = std::byte{0x17};
      EXPECT_EQ(bytes_on_gpu(6)[5], 0x17);
    }
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

// Where the driver lets a processor write there, TCP does: one copy, over the bus.
TEST_F(GpuDmabuf, WithAHostViewTakesAStreamByTcp) {
  auto region = Region::allocate(context_, {.source = "dmabuf", .adopt = gpu_->fd.get()});
  ASSERT_TRUE(region) << region.error().describe();
  if (!region->memory().has_host_view()) GTEST_SKIP() << "the driver maps no dma-bufs";
  auto group = Group::open(context_, {.transports = {"tcp"}}, *region);
  ASSERT_TRUE(group) << group.error().describe();
  auto at = group->listen({"127.0.0.1", 0});
  ASSERT_TRUE(at);
  std::vector<std::uint8_t> sent(1000003);
  std::iota(sent.begin(), sent.end(), std::uint8_t{1});
  Fd peer = test::try_connect_to(*at);
  ASSERT_TRUE(peer);
  std::array<Completion, 64> batch;
  std::size_t written = 0, taken = 0;
  std::vector<std::uint8_t> landed(sent.size());
  for (bool over = false; !over;) {
    if (written < sent.size()) {
      const ssize_t count =
          ::send(peer.get(), sent.data() + written, sent.size() - written, MSG_DONTWAIT);
      if (count > 0) written += static_cast<std::size_t>(count);
      if (written == sent.size()) peer.reset();
    }
    const auto count = (*group)[0].wait(batch, std::chrono::milliseconds{100});
    ASSERT_TRUE(count) << count.error().describe();
    for (Completion& one : std::span{batch}.first(*count)) {
      ASSERT_NE(one.kind, Completion::Kind::failed) << one.error.describe();
      if (one.kind == Completion::Kind::data) {
        ASSERT_LE(taken + one.buffer.length(), landed.size());
        ASSERT_EQ(cuda_.to_host(landed.data() + taken, gpu_->address + one.buffer.offset(),
                                one.buffer.length()),
                  0);
        taken += one.buffer.length();
      } else if (one.kind == Completion::Kind::end_of_stream) {
        one.flow->close();
      } else if (one.kind == Completion::Kind::closed) {
        over = true;
      }
    }
  }
  EXPECT_EQ(taken, sent.size());
  EXPECT_EQ(landed, sent);
}

}  // namespace
}  // namespace landfall
