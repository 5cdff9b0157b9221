// SPDX-License-Identifier: Apache-2.0
// What the tests of all memory sources ask.
#pragma once
#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <vector>

#include "landfall/base/context.hpp"
#include "landfall/memory/region.hpp"
#include "landfall_test/fault_loop.hpp"

namespace landfall::test {

inline std::uint64_t page_bytes() {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

/// The error with which allocate and probe both refuse; nothing may be left behind.
inline Error refused(const Context& context, const RegionSpec& spec) {
  FdCensus fds;
  MapCensus maps;
  auto region = Region::allocate(context, spec);
  auto probed = probe_memory(context, spec);
  EXPECT_EQ(fds.leaked(), region ? fds.leaked() : 0);
  EXPECT_EQ(maps.leaked(), region ? maps.leaked() : 0);
  EXPECT_FALSE(region);
  EXPECT_FALSE(probed);
  if (region || probed) return Error{Errc::ok, "refused"};
  EXPECT_EQ(probed.error().reason(), region.error().reason());
  EXPECT_EQ(probed.error().code(), region.error().code());
  return region.error();
}

/// A context whose outside calls fail as `plan_` says, and nothing left behind at the end.
class MemorySourceTest : public ::testing::Test {
 public:
  ~MemorySourceTest() override {
    EXPECT_EQ(fds_.leaked(), 0);
    EXPECT_EQ(maps_.leaked(), 0);
  }

 protected:
  FdCensus fds_;
  MapCensus maps_;
  FaultPlan plan_;
  const Context context_ = *Context::create({.fault = plan_.hook()});
};

/// Writes and reads back every page of the host view.
inline void expect_usable(const Region& region) {
  auto bytes = region.memory().host_bytes();
  ASSERT_TRUE(bytes) << bytes.error().describe();
  ASSERT_EQ(bytes->size(), region.memory().size_bytes());
  for (std::size_t at = 0; at < bytes->size(); at += page_bytes())
    (*bytes)[at] = static_cast<std::byte>(at / page_bytes() + 1);
  for (std::size_t at = 0; at < bytes->size(); at += page_bytes())
    ASSERT_EQ((*bytes)[at], static_cast<std::byte>(at / page_bytes() + 1)) << at;
}

/// A memfd of `size_bytes` with `seals`; `flags` besides MFD_CLOEXEC | MFD_ALLOW_SEALING.
inline Fd memfd_of(std::uint64_t size_bytes, int seals, unsigned flags = 0) {
  Fd fd{::memfd_create("test", MFD_CLOEXEC | MFD_ALLOW_SEALING | flags)};
  if (!fd) return fd;
  EXPECT_EQ(::ftruncate(fd.get(), static_cast<off_t>(size_bytes)), 0);
  EXPECT_EQ(::fcntl(fd.get(), F_ADD_SEALS, seals), 0);
  return fd;
}
inline constexpr int kGoodSeals = F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL;

/// Fails each outside call of allocating, using and dropping a region of `spec`: each failure is
/// an error, and none leaves anything behind.
inline void expect_no_leaks(const RegionSpec& spec, std::size_t least_calls) {
  for (const int number : {EIO, ENOMEM, EMFILE, EPERM}) {
    FaultPlan plan;
    const auto context = *Context::create({.fault = plan.hook()});
    const auto result = fail_each_call(
        plan, [&] { return Region::allocate(context, spec).has_value(); }, number);
    EXPECT_GE(result.calls, least_calls) << "errno " << number;
    for (const auto& site : result.leaked) ADD_FAILURE() << site << " leaks, errno " << number;
    for (const auto& site : result.survived)
      ADD_FAILURE() << site << " failed and nobody noticed, errno " << number;
  }
}

}  // namespace landfall::test
