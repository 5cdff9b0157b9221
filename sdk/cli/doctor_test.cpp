// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

#include "doctor_checks.hpp"

namespace landfall::cli {
namespace {

HostFacts good_host() {
  HostFacts facts;
  facts.kernel_release = "6.18.0";
  facts.io_uring_disabled = 0;
  facts.memlock_bytes = ~std::uint64_t{0};
  facts.nofile = facts.nofile_hard = 65536;
  facts.hugepages = {{2048ull << 10, 64, 64}, {1ull << 30, 1, 1}};
  facts.udmabuf_device = true;
  facts.udmabuf_limit_mb = 4096;
  facts.dma_heaps = {"system"};
  facts.tcp_rmem_max = 32ull << 20;
  facts.max_user_namespaces = 10000;
  facts.numa_nodes = {0};
  return facts;
}

const Check& find(const std::vector<Check>& checks, const std::string& name) {
  for (const Check& check : checks) {
    if (check.name == name) return check;
  }
  static const Check kNone{"none", Status::fail, "no such check", "", {}};
  return kNone;
}

// Goal: a host that has everything passes everything.
TEST(Doctor, AGoodHostPasses) {
  for (const Check& check : check_host(good_host())) {
    EXPECT_EQ(check.status, Status::pass) << check.name << ": " << check.finding;
    EXPECT_EQ(check.fix, "") << check.name;
  }
}

// Goal: each thing that is missing is named, with its reason and one command; none of them keeps
// landfall from working, so that none fails.
TEST(Doctor, NamesEachLack) {
  struct Lack {
    const char* check;
    ReasonCode reason;
    const char* fix;
    void (*take_away)(HostFacts&);
  };
  const Lack lacks[] = {
      {"kernel", ReasonCode::kernel_too_old, "boot",
       [](HostFacts& f) { f.kernel_release = "5.15.0-generic"; }},
      {"io_uring", ReasonCode::io_uring_disabled, "sysctl kernel.io_uring_disabled=0",
       [](HostFacts& f) {
         f.io_uring_disabled = 2;
         f.io_uring_errno = EPERM;
       }},
      {"io_uring", ReasonCode::io_uring_missing, "seccomp",
       [](HostFacts& f) { f.io_uring_errno = ENOSYS; }},
      {"memlock", ReasonCode::memlock_limit, "ulimit -l",
       [](HostFacts& f) { f.memlock_bytes = 8ull << 20; }},
      {"nofile", ReasonCode::nofile_limit, "ulimit -n", [](HostFacts& f) { f.nofile = 1024; }},
      {"hugepages-2M", ReasonCode::no_hugepages, "hugepages-2048kB/nr_hugepages",
       [](HostFacts& f) {
         f.hugepages[0] = {2048ull << 10, 0, 0};
       }},
      {"hugepages-1G", ReasonCode::hugepage_size_unknown, "ls ",
       [](HostFacts& f) { f.hugepages.pop_back(); }},
      {"udmabuf", ReasonCode::no_udmabuf_device, "modprobe udmabuf",
       [](HostFacts& f) { f.udmabuf_device = false; }},
      {"udmabuf", ReasonCode::udmabuf_limit, "size_limit_mb",
       [](HostFacts& f) { f.udmabuf_limit_mb = 1; }},
      {"dma-heap", ReasonCode::no_dma_heap_device, "boot",
       [](HostFacts& f) { f.dma_heaps.clear(); }},
      {"tcp_rmem", ReasonCode::tcp_rmem_limit, "sysctl net.ipv4.tcp_rmem",
       [](HostFacts& f) { f.tcp_rmem_max = 65536; }},
      {"userns", ReasonCode::user_namespaces_disabled, "sysctl",
       [](HostFacts& f) { f.user_namespace_errno = EPERM; }},
  };
  for (const Lack& lack : lacks) {
    HostFacts facts = good_host();
    lack.take_away(facts);
    const auto checks = check_host(facts);
    const Check& check = find(checks, lack.check);
    EXPECT_EQ(check.status, Status::warn) << lack.check << ": " << check.finding;
    EXPECT_EQ(check.reason, lack.reason) << lack.check;
    EXPECT_NE(check.fix.find(lack.fix), std::string::npos) << check.fix;
    EXPECT_EQ(check.fix.find('\n'), std::string::npos);
    for (const Check& other : checks) {
      if (other.name == check.name) continue;
      EXPECT_EQ(other.status, Status::pass) << other.name;
    }
  }
}

// Goal: too few descriptors to work at all is a failure.
TEST(Doctor, TooFewDescriptorsFail) {
  HostFacts facts = good_host();
  facts.nofile = 64;
  EXPECT_EQ(find(check_host(facts), "nofile").status, Status::fail);
}

// Goal: facts are read from where the kernel writes them, and a host without any of it is no error.
TEST(Doctor, ReadsAMadeUpHost) {
  namespace fs = std::filesystem;
  std::string root = (fs::temp_directory_path() / "landfall-doctor-XXXXXX").string();
  ASSERT_NE(::mkdtemp(root.data()), nullptr);
  HostFacts facts = gather_facts(root);
  EXPECT_TRUE(facts.hugepages.empty());
  EXPECT_FALSE(facts.udmabuf_device);
  EXPECT_FALSE(facts.tcp_rmem_max);
  EXPECT_EQ(check_host(facts).size(), check_host(good_host()).size());

  const auto write = [&root](const std::string& path, const char* text) {
    fs::create_directories(fs::path{root + path}.parent_path());
    std::ofstream{root + path} << text;
  };
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/nr_hugepages", "8\n");
  write("/sys/kernel/mm/hugepages/hugepages-2048kB/free_hugepages", "3\n");
  write("/proc/sys/net/ipv4/tcp_rmem", "4096\t131072\t6291456\n");
  write("/proc/sys/kernel/io_uring_disabled", "1\n");
  write("/dev/udmabuf", "");
  write("/dev/dma_heap/system", "");
  write("/sys/devices/system/node/node1/cpulist", "");
  facts = gather_facts(root);
  ASSERT_EQ(facts.hugepages.size(), 1u);
  EXPECT_EQ(facts.hugepages[0].page_bytes, 2048ull << 10);
  EXPECT_EQ(facts.hugepages[0].total, 8u);
  EXPECT_EQ(facts.hugepages[0].free, 3u);
  EXPECT_EQ(facts.tcp_rmem_max, 6291456u);
  EXPECT_EQ(facts.io_uring_disabled, 1);
  EXPECT_TRUE(facts.udmabuf_device);
  EXPECT_EQ(facts.dma_heaps, std::vector<std::string>{"system"});
  EXPECT_EQ(facts.numa_nodes, std::vector<int>{1});
  fs::remove_all(root);
}

}  // namespace
}  // namespace landfall::cli
