// SPDX-License-Identifier: Apache-2.0
#include "doctor_checks.hpp"

#include <cerrno>
#include <cstdio>
#include <cstring>

#include "landfall/base/reason.hpp"
#include "landfall/base/units.hpp"

namespace landfall::cli {
namespace {

constexpr std::uint64_t kUnlimited = ~std::uint64_t{0};
// Below these a default Region (64 MiB) or the default number of flows (16384) does not fit.
constexpr std::uint64_t kMemlockWanted = 64_MiB;
constexpr std::uint64_t kNofileWanted = 16384, kNofileNeeded = 256;
// A window of 4 MiB fills 10 Gbit/s at 3 ms; Linux' own default is 6 MiB (tcp(7), tcp_rmem).
constexpr std::uint64_t kRmemWanted = 4_MiB;

Check passes(const char* name, std::string finding) {
  return {name, Status::pass, std::move(finding), "", ReasonCode::none};
}
Check warns(const char* name, std::string finding, std::string fix, ReasonCode reason) {
  return {name, Status::warn, std::move(finding), std::move(fix), reason};
}
std::string remedy(ReasonCode code) {
  const ReasonInfo* info = find_reason(code);
  return info == nullptr ? "" : std::string{info->remedy};
}

Check check_kernel(const HostFacts& facts) {
  int major = 0, minor = 0;
  std::sscanf(facts.kernel_release.c_str(), "%d.%d", &major, &minor);
  if (major < 6 || (major == 6 && minor < 1))  // IORING_SETUP_DEFER_TASKRUN
    return warns("kernel", "Linux " + facts.kernel_release + ": tcp's io_uring needs 6.1",
                 "boot Linux 6.1 or later", ReasonCode::kernel_too_old);
  std::string more;
  if (major == 6 && minor < 12)
    more = "; device-memory TCP needs 6.12";
  else if (major == 6 && minor < 15)
    more = "; io_uring zero-copy receive needs 6.15";
  return passes("kernel", "Linux " + facts.kernel_release + more);
}

Check check_io_uring(const HostFacts& facts) {
  if (facts.io_uring_errno == 0) return passes("io_uring", "works");
  const std::string slower = "; tcp uses plain recv instead";
  if (facts.io_uring_disabled.value_or(0) != 0)
    return warns("io_uring",
                 "switched off: kernel.io_uring_disabled is " +
                     std::to_string(*facts.io_uring_disabled) + slower,
                 "sysctl kernel.io_uring_disabled=0", ReasonCode::io_uring_disabled);
  const std::string why = std::string{"refused: "} + std::strerror(facts.io_uring_errno);
  if (facts.io_uring_errno == ENOMEM)
    return warns("io_uring", why + slower, remedy(ReasonCode::memlock_limit),
                 ReasonCode::memlock_limit);
  return warns("io_uring", why + ", as a seccomp filter does" + slower,
               remedy(ReasonCode::io_uring_missing), ReasonCode::io_uring_missing);
}

Check check_memlock(const HostFacts& facts) {
  if (facts.memlock_bytes == kUnlimited) return passes("memlock", "unlimited");
  const std::string finding = format_bytes(facts.memlock_bytes);
  if (facts.memlock_bytes >= kMemlockWanted) return passes("memlock", finding);
  return warns("memlock", finding + ": a locked Region of 64 MiB does not fit",
               remedy(ReasonCode::memlock_limit), ReasonCode::memlock_limit);
}

Check check_nofile(const HostFacts& facts) {
  const std::string finding =
      std::to_string(facts.nofile) + " (hard " + std::to_string(facts.nofile_hard) + ")";
  if (facts.nofile >= kNofileWanted) return passes("nofile", finding);
  const std::string fix = facts.nofile_hard >= kNofileWanted
                              ? "ulimit -n " + std::to_string(facts.nofile_hard)
                              : remedy(ReasonCode::nofile_limit);
  Check check =
      warns("nofile", finding + ": that many connections at most", fix, ReasonCode::nofile_limit);
  if (facts.nofile < kNofileNeeded) check.status = Status::fail;
  return check;
}

Check check_hugepages(const HostFacts& facts, const char* name, std::uint64_t page_bytes,
                      int wanted_pages) {
  const std::string pool = std::to_string(page_bytes >> 10) + "kB";
  for (const HugepagePool& p : facts.hugepages) {
    if (p.page_bytes != page_bytes) continue;
    const std::string finding = std::to_string(p.free) + " of " + std::to_string(p.total) + " free";
    if (p.free != 0) return passes(name, finding);
    return warns(name, finding,
                 "echo " + std::to_string(p.total + static_cast<std::uint64_t>(wanted_pages)) +
                     " > /sys/kernel/mm/hugepages/hugepages-" + pool + "/nr_hugepages",
                 ReasonCode::no_hugepages);
  }
  return warns(name, "the kernel has no huge pages of " + format_bytes(page_bytes),
               "ls /sys/kernel/mm/hugepages", ReasonCode::hugepage_size_unknown);
}

Check check_udmabuf(const HostFacts& facts) {
  if (!facts.udmabuf_device)
    return warns("udmabuf", "there is no /dev/udmabuf", "modprobe udmabuf",
                 ReasonCode::no_udmabuf_device);
  if (!facts.udmabuf_limit_mb) return passes("udmabuf", "/dev/udmabuf");
  const std::string finding =
      "/dev/udmabuf, at most " + std::to_string(*facts.udmabuf_limit_mb) + " MiB each";
  if (*facts.udmabuf_limit_mb >= 64) return passes("udmabuf", finding);
  return warns("udmabuf", finding, "echo 4096 > /sys/module/udmabuf/parameters/size_limit_mb",
               ReasonCode::udmabuf_limit);
}

Check check_dma_heap(const HostFacts& facts) {
  if (facts.dma_heaps.empty())
    return warns("dma-heap", "there is no /dev/dma_heap", remedy(ReasonCode::no_dma_heap_device),
                 ReasonCode::no_dma_heap_device);
  std::string names;
  for (const std::string& heap : facts.dma_heaps) names += (names.empty() ? "" : ", ") + heap;
  return passes("dma-heap", names);
}

Check check_rmem(const HostFacts& facts) {
  if (!facts.tcp_rmem_max)
    return warns("tcp_rmem", "net.ipv4.tcp_rmem cannot be read here", "sysctl net.ipv4.tcp_rmem",
                 ReasonCode::not_permitted);
  const std::string finding = "at most " + format_bytes(*facts.tcp_rmem_max) + " per socket";
  if (*facts.tcp_rmem_max >= kRmemWanted) return passes("tcp_rmem", finding);
  return warns("tcp_rmem", finding + ": too small for fast long links",
               remedy(ReasonCode::tcp_rmem_limit), ReasonCode::tcp_rmem_limit);
}

Check check_user_namespaces(const HostFacts& facts) {
  if (facts.user_namespace_errno == 0) return passes("userns", "works");
  return warns("userns",
               std::string{"refused: "} + std::strerror(facts.user_namespace_errno) +
                   "; only tests of the network need them",
               facts.max_user_namespaces.value_or(1) == 0
                   ? remedy(ReasonCode::user_namespaces_disabled)
                   : "sysctl kernel.unprivileged_userns_clone=1",
               ReasonCode::user_namespaces_disabled);
}

Check check_rdma(const HostFacts& facts) {
  if (facts.rdma.empty()) return passes("rdma", "no device; TCP transports need none");
  std::string ports;
  for (const RdmaDevice& device : facts.rdma)
    for (const RdmaPort& port : device.ports)
      if (port.active)
        ports += (ports.empty() ? "" : ", ") + device.name + " port " + std::to_string(port.number);
  if (!ports.empty()) return passes("rdma", ports + " active");
  return warns("rdma", "no port of " + facts.rdma.front().name + " is active",
               remedy(ReasonCode::rdma_port_down), ReasonCode::rdma_port_down);
}

Check check_numa(const HostFacts& facts) {
  const std::size_t nodes = facts.numa_nodes.size();
  if (nodes == 0) return passes("numa", "one node (the kernel names none)");
  return passes("numa", nodes == 1 ? "one node"
                                   : std::to_string(nodes) +
                                         " nodes: keep memory, NIC and thread on one of them");
}

}  // namespace

std::vector<Check> check_host(const HostFacts& facts) {
  return {check_kernel(facts),
          check_io_uring(facts),
          check_memlock(facts),
          check_nofile(facts),
          check_hugepages(facts, "hugepages-2M", 2_MiB, 64),
          check_hugepages(facts, "hugepages-1G", 1_GiB, 1),
          check_udmabuf(facts),
          check_dma_heap(facts),
          check_rmem(facts),
          check_user_namespaces(facts),
          check_numa(facts),
          check_rdma(facts)};
}

}  // namespace landfall::cli
