// SPDX-License-Identifier: Apache-2.0
// Goal: a memory is bound once, to all its queues or none; each refusal of the kernel has its
// reason; and whatever fails, nothing stays behind.
#include "nic/binding.hpp"

#include <fcntl.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <functional>

#include "landfall_test/census.hpp"
#include "nic/sim_nic.hpp"

namespace landfall::nic {
namespace {

using ::testing::HasSubstr;

constexpr std::uint32_t kIndex = 7;
constexpr std::uint32_t kQueues[] = {2, 3};

/// A descriptor that stands for a dma-buf: SimNic takes any.
Fd some_memory() {
  Fd fd{::memfd_create("binding_test", MFD_CLOEXEC | MFD_ALLOW_SEALING)};
  EXPECT_EQ(::ftruncate(fd.get(), 1 << 20), 0);
  return fd;
}

class BindingTest : public ::testing::Test {
 protected:
  BindingTest() { sim_.add(kIndex, "eth7", 4); }
  BindRequest request(std::uint32_t page_bytes = 0) const {
    return {kIndex, kQueues, memory_.get(), page_bytes};
  }
  Result<Binding> open(std::uint32_t page_bytes = 0) {
    return Binding::open(sim_, request(page_bytes));
  }
  std::optional<std::uint32_t> bound_to(std::uint32_t queue) {
    return sim_.read(kIndex)->queues[queue].dmabuf_id;
  }

  SimNic sim_;
  Fd memory_ = some_memory();
};

TEST_F(BindingTest, HoldsAllItsQueuesUntilItEnds) {
  test::FdCensus fds;
  {
    auto binding = open();
    ASSERT_TRUE(binding) << binding.error().describe();
    EXPECT_EQ(bound_to(2), binding->dmabuf_id());
    EXPECT_EQ(bound_to(3), binding->dmabuf_id());
    EXPECT_EQ(bound_to(0), std::nullopt);
    EXPECT_GE(binding->lifeline(), 0);
    Binding moved = std::move(*binding);
    EXPECT_EQ(sim_.bindings(), 1u);
  }
  EXPECT_EQ(sim_.bindings(), 0u);
  EXPECT_EQ(bound_to(2), std::nullopt);
  EXPECT_LE(fds.leaked(), 0);
}

TEST_F(BindingTest, RefusesTheSameDmabufAgain) {
  auto first = open();
  ASSERT_TRUE(first);
  const Fd again = *Fd::duplicate(memory_.get());
  const std::uint32_t other[] = {1};
  const auto second = Binding::open(sim_, {kIndex, other, again.get(), 0});
  ASSERT_FALSE(second);
  EXPECT_EQ(second.error().reason(), ReasonCode::region_in_use);
  EXPECT_EQ(second.error().code(), Errc::busy);
  EXPECT_EQ(sim_.bindings(), 1u) << "the kernel was not even asked";
  first = Error{Errc::closed, ""};
  EXPECT_TRUE(Binding::open(sim_, {kIndex, other, again.get(), 0}));
}

// Goal: two dma-bufs over the same pages of a memfd are the same memory, others are not.
TEST_F(BindingTest, RefusesOverlappingRangesOfOneMemfd) {
  const Fd pages = some_memory();
  const Fd first_dmabuf = some_memory(), second_dmabuf = some_memory();
  const std::uint32_t one[] = {1}, two[] = {2};
  auto first = Binding::open(sim_, {kIndex, one, first_dmabuf.get(), 0}, {pages.get(), 0, 8192});
  ASSERT_TRUE(first) << first.error().describe();
  const auto overlapping =
      Binding::open(sim_, {kIndex, two, second_dmabuf.get(), 0}, {pages.get(), 4096, 8192});
  ASSERT_FALSE(overlapping);
  EXPECT_EQ(overlapping.error().reason(), ReasonCode::region_in_use);
  const auto beside =
      Binding::open(sim_, {kIndex, two, second_dmabuf.get(), 0}, {pages.get(), 8192, 8192});
  EXPECT_TRUE(beside);
}

// Goal: another process that has bound the memory is seen, and one that was killed is not.
TEST_F(BindingTest, RefusesWhatAnotherProcessHasBound) {
  int ready[2];
  ASSERT_EQ(::pipe2(ready, O_CLOEXEC), 0);
  const pid_t child = ::fork();
  ASSERT_GE(child, 0);
  if (child == 0) {
    const auto binding = open();
    const char answer = binding ? 'y' : 'n';
    if (::write(ready[1], &answer, 1) != 1) ::_exit(1);
    ::pause();
    ::_exit(0);
  }
  char answer = 0;
  ASSERT_EQ(::read(ready[0], &answer, 1), 1);
  EXPECT_EQ(answer, 'y');
  const auto refused = open();
  ::kill(child, SIGKILL);
  ASSERT_EQ(::waitpid(child, nullptr, 0), child);
  ::close(ready[0]);
  ::close(ready[1]);
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), ReasonCode::region_in_use);
  EXPECT_TRUE(open());
}

TEST_F(BindingTest, RefusesNonsense) {
  test::FdCensus fds;
  const auto none = Binding::open(sim_, {kIndex, {}, memory_.get(), 0});
  ASSERT_FALSE(none);
  EXPECT_EQ(none.error().code(), Errc::invalid_argument);
  const auto closed = Binding::open(sim_, {kIndex, kQueues, -1, 0});
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().reason(), ReasonCode::not_a_dmabuf);
  const auto no_memfd = Binding::open(sim_, request(), {1 << 20, 0, 4096});
  ASSERT_FALSE(no_memfd);
  EXPECT_EQ(no_memfd.error().reason(), ReasonCode::not_a_memfd);
  EXPECT_EQ(fds.leaked(), 0);
}

struct Refused {
  const char* what;
  std::function<void(SimNic&, int)> make;  // of the memory's descriptor
  ReasonCode reason;
  Errc code;
  const char* says;
  std::uint32_t page_bytes = 0;
};

// Goal: each refusal of bind-rx comes with its reason and the kernel's words, and leaves nothing.
TEST_F(BindingTest, NamesEachRefusalOfTheKernel) {
  const Refused rows[] = {
      {"no privilege", [](SimNic& sim, int) { sim.privileged = false; }, ReasonCode::not_permitted,
       Errc::permission_denied, "CAP_NET_ADMIN"},
      {"old kernel", [](SimNic& sim, int) { sim.kernel_binds_rx = false; },
       ReasonCode::kernel_too_old, Errc::not_supported, "kernel"},
      {"gone", [](SimNic& sim, int) { sim.remove(kIndex); }, ReasonCode::interface_unknown,
       Errc::not_found, "no such"},
      {"driver", [](SimNic& sim, int) { sim.at(kIndex).restarts_queues = false; },
       ReasonCode::no_memory_provider, Errc::not_supported, "eth7: "},
      {"no DMA", [](SimNic& sim, int) { sim.at(kIndex).does_dma = false; },
       ReasonCode::no_memory_provider, Errc::not_supported, "support DMA"},
      {"two functions", [](SimNic& sim, int) { sim.at(kIndex).split_after = 3; },
       ReasonCode::queues_of_two_devices, Errc::not_supported, "mismatch"},
      {"few queues", [](SimNic& sim, int) { sim.at(kIndex).state.queues.resize(3); },
       ReasonCode::queue_unknown, Errc::invalid_argument, "no receive queue"},
      {"no header split",
       [](SimNic& sim, int) { sim.at(kIndex).state.rings->header_split = HeaderSplit::off; },
       ReasonCode::header_split_off, Errc::not_supported, "tcp-data-split is disabled"},
      {"threshold", [](SimNic& sim, int) { sim.at(kIndex).state.rings->hds_threshold_bytes = 100; },
       ReasonCode::hds_threshold, Errc::not_supported, "hds-thresh is not zero"},
      {"XDP", [](SimNic& sim, int) { sim.at(kIndex).state.xdp_attached = true; },
       ReasonCode::xdp_attached, Errc::busy, "XDP program"},
      {"bound", [](SimNic& sim, int) { sim.at(kIndex).state.queues[3].io_uring = true; },
       ReasonCode::queue_busy, Errc::busy, "already memory provider bound"},
      {"AF_XDP", [](SimNic& sim, int) { sim.at(kIndex).state.queues[3].af_xdp = true; },
       ReasonCode::queue_busy, Errc::busy, "AF_XDP"},
      {"leased", [](SimNic& sim, int) { sim.at(kIndex).state.queues[3].leased_to = 9; },
       ReasonCode::queue_leased, Errc::busy, "lent to a virtual interface"},
      {"page size unknown", [](SimNic& sim, int) { sim.at(kIndex).takes_page_sizes = false; },
       ReasonCode::page_size_refused, Errc::not_supported, "rx_page_size", 16384},
      {"page size odd", [](SimNic&, int) {}, ReasonCode::page_size_refused, Errc::not_supported,
       "power of 2", 5000},
      {"page size large", [](SimNic& sim, int) { sim.at(kIndex).page_bytes_max = 16384; },
       ReasonCode::page_size_refused, Errc::not_supported, "size", 65536},
      {"small pieces",
       [](SimNic& sim, int fd) { sim.describe_memory(fd, {.piece_align_bytes = 4096}); },
       ReasonCode::dmabuf_not_aligned, Errc::invalid_argument, "not aligned", 16384},
      {"not attached", [](SimNic& sim, int fd) { sim.describe_memory(fd, {.attaches = false}); },
       ReasonCode::dmabuf_unreachable, Errc::not_supported, "Failed to bind dmabuf"},
      {"not mapped", [](SimNic& sim, int fd) { sim.describe_memory(fd, {.maps = false}); },
       ReasonCode::dmabuf_unreachable, Errc::not_supported, "Failed to map dmabuf"},
      {"no memory", [](SimNic& sim, int) { sim.fail(0, ENOMEM); }, ReasonCode::out_of_memory,
       Errc::no_memory, "memory"},
      {"anything else", [](SimNic& sim, int) { sim.fail(0, EMSGSIZE); }, ReasonCode::none, Errc::io,
       "Message too long"},
  };
  for (const Refused& row : rows) {
    SCOPED_TRACE(row.what);
    SimNic sim;
    sim.add(kIndex, "eth7", 4);
    row.make(sim, memory_.get());
    test::FdCensus fds;
    const auto binding = Binding::open(sim, request(row.page_bytes));
    ASSERT_FALSE(binding);
    EXPECT_EQ(binding.error().reason(), row.reason);
    EXPECT_EQ(binding.error().code(), row.code);
    EXPECT_THAT(std::string{binding.error().cause()}, HasSubstr(row.says));
    EXPECT_TRUE(binding.error().reason() == ReasonCode::none || !binding.error().remedy().empty());
    EXPECT_THAT(std::string{binding.error().remedy()}, ::testing::Not(HasSubstr("IFACE")));
    EXPECT_EQ(sim.bindings(), 0u);
    EXPECT_EQ(fds.leaked(), 0);
  }
}

struct SendRefused {
  const char* what;
  std::function<void(SimNic&, int)> make;  // of the memory's descriptor
  ReasonCode reason;
  Errc code;
  const char* says;
};

// Goal: an interface sends from memory without a privilege, as often as asked; each refusal of
// bind-tx comes with its reason and the kernel's words, and leaves nothing.
TEST_F(BindingTest, BindsForSending) {
  sim_.privileged = false;
  test::FdCensus fds;
  {
    const auto first = sim_.bind_tx({kIndex, memory_.get()});
    const auto again = sim_.bind_tx({kIndex, memory_.get()});
    ASSERT_TRUE(first) << first.error().describe();
    ASSERT_TRUE(again) << again.error().describe();
    EXPECT_NE(first->dmabuf_id, again->dmabuf_id);
    EXPECT_EQ(sim_.bindings(), 2u);
  }
  EXPECT_EQ(sim_.bindings(), 0u);
  EXPECT_EQ(fds.leaked(), 0);
}

TEST_F(BindingTest, NamesEachRefusalOfSending) {
  const SendRefused rows[] = {
      {"old kernel", [](SimNic& sim, int) { sim.kernel_binds_tx = false; },
       ReasonCode::kernel_too_old, Errc::not_supported, "kernel"},
      {"gone", [](SimNic& sim, int) { sim.remove(kIndex); }, ReasonCode::interface_unknown,
       Errc::not_found, "no such"},
      {"driver", [](SimNic& sim, int) { sim.at(kIndex).sends_from_memory = false; },
       ReasonCode::no_netmem_tx, Errc::not_supported, "eth7: "},
      {"no DMA", [](SimNic& sim, int) { sim.at(kIndex).does_dma = false; },
       ReasonCode::no_netmem_tx, Errc::not_supported, "support DMA"},
      {"no dma-buf", [](SimNic& sim, int fd) { sim.describe_memory(fd, {.is_dmabuf = false}); },
       ReasonCode::not_a_dmabuf, Errc::invalid_argument, "not a dma-buf"},
      {"not attached", [](SimNic& sim, int fd) { sim.describe_memory(fd, {.attaches = false}); },
       ReasonCode::dmabuf_unreachable, Errc::not_supported, "Failed to bind dmabuf"},
      {"not mapped", [](SimNic& sim, int fd) { sim.describe_memory(fd, {.maps = false}); },
       ReasonCode::dmabuf_unreachable, Errc::not_supported, "Failed to map dmabuf"},
      {"odd size", [](SimNic& sim, int fd) { sim.describe_memory(fd, {.whole_pages = false}); },
       ReasonCode::dmabuf_not_aligned, Errc::invalid_argument, "multiple of PAGE_SIZE"},
      {"odd pieces",
       [](SimNic& sim, int fd) { sim.describe_memory(fd, {.piece_align_bytes = 512}); },
       ReasonCode::dmabuf_not_aligned, Errc::invalid_argument, "not aligned"},
      {"no memory", [](SimNic& sim, int) { sim.fail(0, ENOMEM); }, ReasonCode::out_of_memory,
       Errc::no_memory, "memory"},
      {"anything else", [](SimNic& sim, int) { sim.fail(0, EMSGSIZE); }, ReasonCode::none, Errc::io,
       "Message too long"},
  };
  for (const SendRefused& row : rows) {
    SCOPED_TRACE(row.what);
    SimNic sim;
    sim.add(kIndex, "eth7", 4);
    row.make(sim, memory_.get());
    const auto bound = sim.bind_tx({kIndex, memory_.get()});
    ASSERT_FALSE(bound);
    EXPECT_EQ(bound.error().reason(), row.reason);
    EXPECT_EQ(bound.error().code(), row.code);
    EXPECT_THAT(std::string{bound.error().cause()}, HasSubstr(row.says));
    EXPECT_TRUE(bound.error().reason() == ReasonCode::none || !bound.error().remedy().empty());
    EXPECT_EQ(sim.bindings(), 0u);
  }
  const auto closed = sim_.bind_tx({kIndex, -1});
  ASSERT_FALSE(closed);
  EXPECT_EQ(closed.error().reason(), ReasonCode::not_a_dmabuf);
}

}  // namespace
}  // namespace landfall::nic
