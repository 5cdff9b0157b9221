// SPDX-License-Identifier: Apache-2.0
// Goal: on any machine and without privilege each interface can be read; whichever outside call
// fails, its error comes through and no descriptor stays.
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>

#include "base/context_core.hpp"
#include "landfall_test/fault_loop.hpp"
#include "nic/usable.hpp"

namespace landfall::nic {
namespace {

using ::testing::IsEmpty;

constexpr std::uint32_t kLoopback = 1;  // always; include/net/net_namespace.h

std::unique_ptr<Nic> kernel(const landfall_host* host = nullptr) {
  auto opened = open_kernel_nic(host);
  EXPECT_TRUE(opened);
  return opened ? std::move(*opened) : nullptr;
}

TEST(KernelNic, ReadsEveryInterface) {
  test::FdCensus fds;
  {
    const auto nic = kernel();
    const auto names = nic->interfaces();
    ASSERT_TRUE(names) << names.error().describe();
    for (const InterfaceName& name : *names) {
      const auto state = nic->read(name.index);
      if (!state) {  // it may go at any moment
        EXPECT_EQ(state.error().reason(), ReasonCode::interface_unknown);
        continue;
      }
      EXPECT_EQ(state->name, name.name);
      EXPECT_EQ(state->loopback, name.index == kLoopback);
      if (state->loopback) {
        EXPECT_GT(state->mtu_bytes, 0u);
      }
    }
  }
  EXPECT_EQ(fds.leaked(), 0);
}

TEST(KernelNic, LoopbackIsNoNic) {
  const auto nic = kernel();
  const auto use = assess(*nic, kLoopback);
  ASSERT_TRUE(use) << use.error().describe();
  EXPECT_TRUE(std::ranges::any_of(use->reasons, [](const Reason& reason) {
    return reason.code == ReasonCode::no_memory_provider ||
           reason.code == ReasonCode::kernel_too_old;
  }));
  EXPECT_THAT(use->queues, IsEmpty());
}

TEST(KernelNic, SaysThatThereIsNoSuchInterface) {
  const auto nic = kernel();
  constexpr std::uint32_t kNone = 0x7ffffffe;
  const std::uint32_t queues[] = {0};
  EXPECT_EQ(nic->read(kNone).error().reason(), ReasonCode::interface_unknown);
  EXPECT_EQ(nic->rules(kNone).error().reason(), ReasonCode::interface_unknown);
  EXPECT_EQ(nic->remove_rule(kNone, 0).error().reason(), ReasonCode::interface_unknown);
  const auto bound = nic->bind_rx({kNone, queues, -1, 0});
  ASSERT_FALSE(bound);  // without privilege that is found out first
  const ReasonCode why = bound.error().reason();
  EXPECT_TRUE(why == ReasonCode::interface_unknown || why == ReasonCode::not_permitted ||
              why == ReasonCode::kernel_too_old)
      << bound.error().describe();
}

TEST(KernelNic, SurvivesEachFailure) {
  test::FaultPlan plan;
  ContextOptions options;
  options.fault = plan.hook();
  const auto context = Context::create(options);
  ASSERT_TRUE(context);
  const auto loop = test::fail_each_call(plan, [&] {
    auto nic = open_kernel_nic(context->core()->host());
    if (!nic) return false;
    if (!(*nic)->interfaces()) return false;
    return (*nic)->read(kLoopback).has_value();
  });
  EXPECT_GE(loop.calls, 6u);
  EXPECT_THAT(loop.leaked, IsEmpty());
  // What a driver does not say is no error: only these are survived.
  for (const std::string& site : loop.survived) EXPECT_TRUE(site.starts_with("ioctl(")) << site;
}

}  // namespace
}  // namespace landfall::nic
