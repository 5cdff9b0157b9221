// SPDX-License-Identifier: Apache-2.0
// Goal: a binding holds while it lives and is gone with it, however its process ends; the kernel's
// refusals come with their reasons.
#include <gmock/gmock.h>
#include <linux/capability.h>
#include <linux/if_link.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include "landfall_test/census.hpp"
#include "nic/binding.hpp"
#include "sdk_rig.hpp"

namespace landfall::nic::lab {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kQueue[] = {3};
constexpr std::uint32_t kBoth[] = {2, 3};

class SdkBinding : public SdkOnNic {
 protected:
  Error refused(const BindRequest& request) {
    test::FdCensus fds;
    const auto binding = Binding::open(*nic_, request);
    EXPECT_FALSE(binding);
    EXPECT_EQ(fds.leaked(), 0);
    return binding ? Error{Errc::ok, ""} : binding.error();
  }
  Udmabuf memory_;
  BindRequest request(std::span<const std::uint32_t> queues = kQueue, std::uint32_t page = 0) {
    return {index_, queues, memory_.fd.get(), page};
  }
};

TEST_F(SdkBinding, HoldsAllQueuesOfAGroup) {
  {
    const auto binding = Binding::open(*nic_, request(kBoth));
    ASSERT_TRUE(binding) << binding.error().describe();
    const NicState bound = state();
    EXPECT_EQ(bound.queues[2].dmabuf_id, binding->dmabuf_id());
    EXPECT_EQ(bound.queues[3].dmabuf_id, binding->dmabuf_id());
    EXPECT_EQ(bound.queues[1].dmabuf_id, std::nullopt);
  }
  const NicState after = state();
  EXPECT_EQ(after.queues[2].dmabuf_id, std::nullopt);
  EXPECT_EQ(after.queues[3].dmabuf_id, std::nullopt);
}

// Goal: what the kernel allows and what would hand each page out twice.
TEST_F(SdkBinding, TheSameMemoryIsNotBoundTwice) {
  const std::uint32_t other[] = {2};
  const auto first = Binding::open(*nic_, request(), {memory_.memfd.get(), 0, 1 << 20});
  ASSERT_TRUE(first);
  {
    const auto kernel = nic_->bind_rx({index_, other, memory_.fd.get(), 0});
    ASSERT_TRUE(kernel) << "the kernel refuses it by itself now: then so much the better";
  }
  EXPECT_EQ(refused({index_, other, memory_.fd.get(), 0}).reason(), ReasonCode::region_in_use);
  // Another dma-buf over the same pages.
  const Fd half = memory_.over(1 << 19, 1 << 19);
  ASSERT_TRUE(half);
  const auto second =
      Binding::open(*nic_, {index_, other, half.get(), 0}, {memory_.memfd.get(), 1 << 19, 1 << 19});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason(), ReasonCode::region_in_use);
}

TEST_F(SdkBinding, EndsWithItsProcess) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto binding = Binding::open(*nic_, request());
    const char answer = binding ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    ::pause();
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  EXPECT_NE(state().queues[3].dmabuf_id, std::nullopt);
  const auto twice = Binding::open(*nic_, request());
  EXPECT_FALSE(twice);
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  EXPECT_EQ(state().queues[3].dmabuf_id, std::nullopt);
  EXPECT_TRUE(Binding::open(*nic_, request()));
}

TEST_F(SdkBinding, NamesTheRefusalsOfTheQueue) {
  header_split("off");
  EXPECT_EQ(refused(request()).reason(), ReasonCode::header_split_off);
  if (has_threshold_) {
    header_split("on 100");
    EXPECT_EQ(refused(request()).reason(), ReasonCode::hds_threshold);
  }
  split_on();
  const std::uint32_t absent[] = {64};
  EXPECT_EQ(refused(request(absent)).reason(), ReasonCode::queue_unknown);
  EXPECT_EQ(refused({9999, kQueue, memory_.fd.get(), 0}).reason(), ReasonCode::interface_unknown);
  EXPECT_EQ(refused({1, kQueue, memory_.fd.get(), 0}).reason(), ReasonCode::no_memory_provider);
  const Udmabuf other;
  const auto holder = nic_->bind_rx({index_, kQueue, other.fd.get(), 0});
  ASSERT_TRUE(holder);
  const Error busy = refused(request());
  EXPECT_EQ(busy.reason(), ReasonCode::queue_busy);
  EXPECT_THAT(std::string{busy.cause()}, HasSubstr("already memory provider bound"));
  EXPECT_EQ(refused(request(kBoth)).reason(), ReasonCode::queue_busy);
  EXPECT_EQ(state().queues[2].dmabuf_id, std::nullopt) << "all queues or none";
}

TEST_F(SdkBinding, NamesTheRefusalsOfTheMemory) {
  EXPECT_EQ(refused({index_, kQueue, memory_.memfd.get(), 0}).reason(), ReasonCode::not_a_dmabuf);
  EXPECT_EQ(refused({index_, kQueue, -1, 0}).reason(), ReasonCode::not_a_dmabuf);
  if (!has_threshold_) return;
  EXPECT_EQ(refused(request(kQueue, 12288)).reason(), ReasonCode::page_size_refused);
  EXPECT_EQ(refused(request(kQueue, 16384)).reason(), ReasonCode::dmabuf_not_aligned);
  run("echo 8 >/proc/sys/vm/nr_hugepages");
  {
    const Udmabuf huge{4 << 20, MFD_HUGETLB};
    const auto large = Binding::open(*nic_, {index_, kQueue, huge.fd.get(), 16384});
    EXPECT_TRUE(large) << large.error().describe();
  }
  run("echo 0 >/proc/sys/vm/nr_hugepages");
}

TEST_F(SdkBinding, ARestartThatFailsLeavesNothing) {
  write_fault("restart", 1);
  const Error failed = refused(request());
  write_fault("restart", 0);
  EXPECT_EQ(failed.reason(), ReasonCode::out_of_memory) << failed.describe();
  EXPECT_EQ(state().queues[3].dmabuf_id, std::nullopt);
  EXPECT_TRUE(Binding::open(*nic_, request()));
}

// Goal: without the capability the reason says so, and nothing else is found to be wrong.
TEST_F(SdkBinding, NamesTheMissingCapability) {
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct data[2];
    ::syscall(SYS_capget, &header, data);
    data[0].effective &= ~(1u << CAP_NET_ADMIN);
    data[0].permitted &= ~(1u << CAP_NET_ADMIN);
    ::syscall(SYS_capset, &header, data);
    const auto binding = Binding::open(*nic_, request());
    const auto found = assess(*nic_, index_);
    const bool named = !binding && binding.error().reason() == ReasonCode::not_permitted && found &&
                       found->reasons.size() == 1 &&
                       found->reasons[0].code == ReasonCode::not_permitted;
    ::_exit(named ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
}

// Goal: memory is bound for sending without the capability, beside a binding for receiving; what
// cannot be is refused by name.
TEST_F(SdkBinding, BindsForSending) {
  const auto reason_of = [this](std::uint32_t index, int fd) {
    const auto bound = nic_->bind_tx({index, fd});
    return bound ? ReasonCode::none : bound.error().reason();
  };
  if (!has_threshold_) {
    EXPECT_EQ(reason_of(index_, memory_.fd.get()), ReasonCode::kernel_too_old);
    return;
  }
  const auto receiving = Binding::open(*nic_, request());
  ASSERT_TRUE(receiving) << receiving.error().describe();
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
    __user_cap_data_struct none[2]{};
    ::syscall(SYS_capset, &header, none);
    const auto first = nic_->bind_tx({index_, memory_.fd.get()});
    const auto second = nic_->bind_tx({index_, memory_.fd.get()});
    ::_exit(first && second && first->dmabuf_id != second->dmabuf_id ? 0 : 1);
  }
  int status = -1;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(status, 0);
  test::FdCensus fds;
  EXPECT_EQ(reason_of(::if_nametoindex("lo"), memory_.fd.get()), ReasonCode::no_netmem_tx);
  EXPECT_EQ(reason_of(1u << 20, memory_.fd.get()), ReasonCode::interface_unknown);
  EXPECT_EQ(reason_of(index_, memory_.memfd.get()), ReasonCode::not_a_dmabuf);
  EXPECT_EQ(reason_of(index_, -1), ReasonCode::not_a_dmabuf);
  EXPECT_EQ(fds.leaked(), 0);
}

}  // namespace
}  // namespace landfall::nic::lab
