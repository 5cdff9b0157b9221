// SPDX-License-Identifier: Apache-2.0
// Goal: the source host gives every kind of ordinary pages that its README names, refuses the rest
// with numbers, and leaks nothing on any failing path.
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/socket.h>

#include "landfall/base/units.hpp"
#include "landfall_test/child.hpp"
#include "landfall_test/memory_source.hpp"

namespace landfall {
namespace {

using test::kGoodSeals;
using test::memfd_of;
using test::page_bytes;
using test::refused;
using ::testing::HasSubstr;

class HostSource : public test::MemorySourceTest {
 protected:
  Region allocate(const RegionSpec& spec) {
    auto probed = probe_memory(context_, spec);
    EXPECT_TRUE(probed) << probed.error().describe();
    auto region = Region::allocate(context_, spec);
    if (!region) throw std::runtime_error{region.error().describe()};
    return std::move(*region);
  }
};

TEST_F(HostSource, GivesAnonymousSharedPages) {
  const Region region = allocate({.size_bytes = 1_MiB});
  EXPECT_EQ(region.source(), "host");
  EXPECT_EQ(region.memory().page_bytes(), page_bytes());
  EXPECT_TRUE(region.memory().writable());
  EXPECT_FALSE(region.memory().borrowed());
  EXPECT_FALSE(region.memory().exports_dmabuf());
  EXPECT_EQ(region.memory().device_kind(), 1);
  test::expect_usable(region);
  // A forked child sees the same bytes: no copy-on-write splits them from the transport's.
  auto bytes = *region.memory().host_bytes();
  bytes[0] = std::byte{1};
  EXPECT_TRUE(test::holds_in_child([&] {
    bytes[0] = std::byte{2};
    return true;
  }));
  EXPECT_EQ(bytes[0], std::byte{2});
}

TEST_F(HostSource, GivesAMemfdThatCanNeverChangeItsSize) {
  const Region region = allocate({.size_bytes = 1_MiB, .memfd = true, .populated = true});
  test::expect_usable(region);
  EXPECT_EQ(fds_.leaked(), 1);
  EXPECT_EQ(test::mappings_of("memfd:landfall"), 1);
}

TEST_F(HostSource, GivesMemoryWithoutAHostView) {
  const Region region = allocate({.size_bytes = 1_MiB, .populated = true, .host_view = false});
  EXPECT_FALSE(region.memory().has_host_view());
  EXPECT_FALSE(region.memory().writable());
  EXPECT_EQ(region.memory().host_bytes().error().reason(), ReasonCode::no_host_view);
  EXPECT_EQ(maps_.leaked(), 0);
}

TEST_F(HostSource, BindsToANode) {
  auto bound = Region::allocate(context_, {.size_bytes = 1_MiB, .numa_node = 0, .populated = true});
  if (!bound && bound.error().reason() == ReasonCode::not_permitted)
    GTEST_SKIP() << "CAP_SYS_NICE: this container's seccomp profile forbids mbind";
  ASSERT_TRUE(bound) << bound.error().describe();
  EXPECT_EQ(bound->memory().numa_node(), 0);
  test::expect_usable(*bound);
  for (const int node : {999, 1024, 1 << 30}) {
    const Error error = refused(context_, {.size_bytes = 1_MiB, .numa_node = node});
    EXPECT_EQ(error.reason(), ReasonCode::numa_node_unavailable);
    EXPECT_THAT(std::string{error.cause()}, HasSubstr(std::to_string(node)));
  }
}

TEST_F(HostSource, RefusesSizesWithTheNumbers) {
  for (const std::uint64_t size :
       {std::uint64_t{0}, std::uint64_t{1}, page_bytes() + 1, std::uint64_t{1} << 63}) {
    const Error error = refused(context_, {.size_bytes = size});
    EXPECT_EQ(error.code(), Errc::invalid_argument);
    EXPECT_EQ(error.reason(), ReasonCode::size_not_whole_pages);
    EXPECT_THAT(std::string{error.cause()}, HasSubstr(std::to_string(size)));
  }
  for (const bool memfd : {false, true}) {
    auto region = Region::allocate(context_, {.size_bytes = 1ull << 62, .memfd = memfd});
    ASSERT_FALSE(region);
    EXPECT_EQ(region.error().origin(), Origin::os);
    EXPECT_EQ(region.error().reason(), ReasonCode::out_of_memory) << region.error().describe();
  }
  const Error error = refused(context_, {.size_bytes = 1ull << 50, .populated = true});
  EXPECT_EQ(error.code(), Errc::no_memory) << "and nothing wakes the OOM killer";
}

TEST_F(HostSource, RefusesFieldsThatItCannotHonour) {
  void* const somewhere = reinterpret_cast<void*>(page_bytes());
  const Fd sealed = memfd_of(1_MiB, kGoodSeals);
  const RegionSpec specs[] = {
      {.size_bytes = 2_MiB, .page_bytes = 2_MiB},
      {.size_bytes = 1_MiB, .device = 1},
      {.size_bytes = 1_MiB, .device_name = "gpu"},
      {.size_bytes = 1_MiB, .locked = true, .host_view = false},
      {.size_bytes = 1_MiB, .host_view = false, .borrow = somewhere},
      {.size_bytes = 1_MiB, .locked = true, .borrow = somewhere},
      {.size_bytes = 1_MiB, .memfd = true, .borrow = somewhere},
      {.size_bytes = 1_MiB, .numa_node = 0, .borrow = somewhere},
      {.size_bytes = 1_MiB, .numa_node = 0, .adopt = sealed.get()},
      {.size_bytes = 1_MiB, .adopt = sealed.get(), .borrow = somewhere},
  };
  for (const RegionSpec& spec : specs) {
    const Error error = refused(context_, spec);
    EXPECT_EQ(error.reason(), ReasonCode::spec_not_understood) << error.describe();
  }
  landfall::Region region = allocate({.size_bytes = 1_MiB});
  EXPECT_EQ(region.export_dmabuf(0, 1_MiB).error().reason(), ReasonCode::export_not_supported);
}

TEST_F(HostSource, AdoptsASealedMemfd) {
  const Fd fd = memfd_of(1_MiB, kGoodSeals);
  {
    const Region region = allocate({.adopt = fd.get()});
    EXPECT_EQ(region.memory().size_bytes(), 1_MiB);
    test::expect_usable(region);
    std::byte first{};
    EXPECT_EQ(::pread(fd.get(), &first, 1, 0), 1);
    EXPECT_EQ(first, std::byte{1}) << "the same pages, not a copy";
  }
  EXPECT_EQ(allocate({.size_bytes = 64_KiB, .adopt = fd.get()}).memory().size_bytes(), 64_KiB);
  EXPECT_GE(::fcntl(fd.get(), F_GETFD), 0) << "the caller keeps his";
}

TEST_F(HostSource, RefusesMemfdsThatMayShrinkOrCannotBeWritten) {
  const auto reason = [&](const Fd& fd, std::uint64_t size = 0) {
    return refused(context_, {.size_bytes = size, .adopt = fd.get()}).reason();
  };
  EXPECT_EQ(reason(memfd_of(1_MiB, 0)), ReasonCode::memfd_not_sealed);
  EXPECT_EQ(reason(memfd_of(1_MiB, F_SEAL_SHRINK)), ReasonCode::memfd_not_sealed);
  EXPECT_EQ(reason(memfd_of(1_MiB, F_SEAL_GROW | F_SEAL_SEAL)), ReasonCode::memfd_not_sealed);
  EXPECT_EQ(reason(memfd_of(1_MiB, kGoodSeals | F_SEAL_WRITE)), ReasonCode::memory_write_sealed);
  EXPECT_EQ(reason(memfd_of(1_MiB, kGoodSeals), 2_MiB), ReasonCode::shorter_than_declared);
  EXPECT_EQ(reason(memfd_of(100, kGoodSeals)), ReasonCode::size_not_whole_pages);
  EXPECT_EQ(reason(memfd_of(0, kGoodSeals)), ReasonCode::size_not_whole_pages);
  const Fd writable = memfd_of(1_MiB, kGoodSeals);
  const std::string path = "/proc/self/fd/" + std::to_string(writable.get());
  const Fd read_only{::open(path.c_str(), O_RDONLY | O_CLOEXEC)};
  EXPECT_EQ(reason(read_only), ReasonCode::memory_write_sealed);
}

TEST_F(HostSource, RefusesDescriptorsThatAreNoMemfd) {
  int ends[2];
  ASSERT_EQ(::pipe2(ends, O_CLOEXEC), 0);
  const Fd pipe_in{ends[0]};
  const Fd pipe_out{ends[1]};
  const Fd folder{::open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
  const Fd path_only{::open("/proc/self/exe", O_PATH | O_CLOEXEC)};
  const Fd file{::open("/proc/self/exe", O_RDONLY | O_CLOEXEC)};
  const Fd device{::open("/dev/null", O_RDWR | O_CLOEXEC)};
  const Fd socket{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  for (const Fd* fd : {&pipe_in, &folder, &path_only, &file, &device, &socket}) {
    const Error error = refused(context_, {.size_bytes = 1_MiB, .adopt = fd->get()});
    EXPECT_EQ(error.reason(), ReasonCode::not_a_memfd) << error.describe();
    EXPECT_EQ(error.code(), Errc::invalid_argument);
  }
  EXPECT_EQ(refused(context_, {.adopt = 12345}).reason(), ReasonCode::not_a_memfd);
}

class Pages {
 public:
  Pages(std::uint64_t size, int protection, int flags = MAP_PRIVATE)
      : size_{size}, address_{::mmap(nullptr, size, protection, flags | MAP_ANONYMOUS, -1, 0)} {}
  ~Pages() { ::munmap(address_, size_); }
  std::byte* at(std::uint64_t offset) const { return static_cast<std::byte*>(address_) + offset; }

 private:
  std::uint64_t size_;
  void* address_;
};

TEST_F(HostSource, BorrowsARange) {
  const Pages pages{1_MiB, PROT_READ | PROT_WRITE};
  {
    const Region region = allocate({.size_bytes = 512_KiB, .borrow = pages.at(page_bytes())});
    EXPECT_TRUE(region.memory().borrowed());
    EXPECT_EQ((*region.memory().host_bytes()).data(), pages.at(page_bytes()));
    EXPECT_EQ(region.memory().abi().flags & LANDFALL_MEM_SHARED, 0u) << "it is MAP_PRIVATE";
    test::expect_usable(region);
  }
  *pages.at(page_bytes()) = std::byte{1};  // release does not unmap it
  const Pages shared{1_MiB, PROT_READ | PROT_WRITE, MAP_SHARED};
  const Region region = allocate({.size_bytes = 1_MiB, .borrow = shared.at(0)});
  EXPECT_NE(region.memory().abi().flags & LANDFALL_MEM_SHARED, 0u);
}

TEST_F(HostSource, RefusesRangesThatAreNotThere) {
  const Pages pages{1_MiB, PROT_READ | PROT_WRITE};
  const auto error = [&](std::byte* at, std::uint64_t size) {
    return refused(context_, {.size_bytes = size, .borrow = at});
  };
  EXPECT_EQ(error(pages.at(1), 64_KiB).reason(), ReasonCode::address_not_aligned);
  EXPECT_EQ(error(pages.at(0), 0).reason(), ReasonCode::size_not_whole_pages);
  ASSERT_EQ(::mprotect(pages.at(512_KiB), page_bytes(), PROT_READ), 0);
  EXPECT_EQ(error(pages.at(0), 1_MiB).reason(), ReasonCode::memory_not_mapped);
  ASSERT_EQ(::munmap(pages.at(512_KiB), page_bytes()), 0);
  EXPECT_EQ(error(pages.at(0), 1_MiB).reason(), ReasonCode::memory_not_mapped);
  EXPECT_EQ(error(pages.at(512_KiB), page_bytes()).reason(), ReasonCode::memory_not_mapped);
  EXPECT_EQ(error(reinterpret_cast<std::byte*>(page_bytes()), 64_KiB).reason(),
            ReasonCode::memory_not_mapped);
  EXPECT_EQ(
      error(reinterpret_cast<std::byte*>(~std::uint64_t{0} - page_bytes() + 1), 1_MiB).reason(),
      ReasonCode::memory_not_mapped);
  EXPECT_TRUE(probe_memory(context_, {.size_bytes = 512_KiB, .borrow = pages.at(0)}));
}

TEST_F(HostSource, LocksItsPages) {
  const Region region = allocate({.size_bytes = 64_KiB, .locked = true});
  EXPECT_TRUE(region.memory().locked());
  test::expect_usable(region);
}

/// Whether a process without privileges sees that `body` is true.
template <class Body>
bool holds_for_nobody(Body&& body) {
  return test::holds_in_child(
      [&] { return (::geteuid() != 0 || ::setresuid(65534, 65534, 65534) == 0) && body(); });
}

TEST_F(HostSource, NamesTheLimitOfLockedMemory) {
  EXPECT_TRUE(holds_for_nobody([&] {
    const rlimit limit{64_KiB, 64_KiB};
    ::setrlimit(RLIMIT_MEMLOCK, &limit);
    const Error error = refused(context_, {.size_bytes = 1_MiB, .locked = true});
    const std::string text = error.describe();
    const bool named = text.find("1048576 bytes") != std::string::npos &&
                       text.find("limit is 65536") != std::string::npos &&
                       text.find("ulimit -l 1024") != std::string::npos;
    if (!named) std::fprintf(stderr, "%s\n", text.c_str());
    return named && error.code() == Errc::limit_reached &&
           error.reason() == ReasonCode::memlock_limit &&
           Region::allocate(context_, {.size_bytes = 32_KiB, .locked = true}).has_value();
  }));
}

// RLIMIT_FSIZE would end the process by SIGXFSZ.
TEST_F(HostSource, NamesTheLimitOfFileSize) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit tight = old;
  tight.rlim_cur = 1_MiB;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &tight), 0);
  auto region = Region::allocate(context_, {.size_bytes = 2_MiB, .memfd = true});
  auto small = Region::allocate(context_, {.size_bytes = 1_MiB, .memfd = true});
  ::setrlimit(RLIMIT_FSIZE, &old);
  ASSERT_FALSE(region);
  EXPECT_EQ(region.error().reason(), ReasonCode::fsize_limit);
  EXPECT_TRUE(small);
}

TEST_F(HostSource, NamesTheLimitOfDescriptors) {
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_NOFILE, &old), 0);
  rlimit tight = old;
  tight.rlim_cur = 3;
  const Fd fd = memfd_of(1_MiB, kGoodSeals);
  ASSERT_EQ(::setrlimit(RLIMIT_NOFILE, &tight), 0);
  auto made = Region::allocate(context_, {.size_bytes = 1_MiB, .memfd = true});
  auto adopted = Region::allocate(context_, {.adopt = fd.get()});
  ::setrlimit(RLIMIT_NOFILE, &old);
  ASSERT_FALSE(made);
  ASSERT_FALSE(adopted);
  EXPECT_EQ(made.error().reason(), ReasonCode::nofile_limit);
  EXPECT_EQ(adopted.error().reason(), ReasonCode::nofile_limit);
}

TEST_F(HostSource, EveryOutsideCallMayFail) {
  const Fd fd = memfd_of(1_MiB, kGoodSeals);
  const Pages pages{1_MiB, PROT_READ | PROT_WRITE};
  test::expect_no_leaks({.size_bytes = 1_MiB}, 1);
  test::expect_no_leaks(
      {.size_bytes = 1_MiB, .numa_node = 0, .memfd = true, .locked = true, .populated = true}, 8);
  test::expect_no_leaks({.size_bytes = 1_MiB, .populated = true, .host_view = false}, 5);
  test::expect_no_leaks({.adopt = fd.get()}, 4);
  test::expect_no_leaks({.size_bytes = 1_MiB, .borrow = pages.at(0)}, 1);
}

}  // namespace
}  // namespace landfall
