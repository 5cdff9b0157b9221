// SPDX-License-Identifier: Apache-2.0
#include <dirent.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>

#include "doctor_checks.hpp"
#include "landfall/base/fd.hpp"

namespace landfall::cli {
namespace {

/// The numbers of a /proc or /sys file; empty: it cannot be read.
std::vector<std::uint64_t> numbers(const std::string& path) {
  std::ifstream in{path};
  std::vector<std::uint64_t> out;
  for (std::uint64_t n = 0; in >> n;) out.push_back(n);
  return out;
}

std::optional<std::uint64_t> number(const std::string& path) {
  const auto all = numbers(path);
  return all.empty() ? std::nullopt : std::optional{all.front()};
}

std::vector<std::string> names_in(const std::string& path) {
  std::vector<std::string> out;
  DIR* directory = ::opendir(path.c_str());
  if (directory == nullptr) return out;
  while (const dirent* entry = ::readdir(directory)) {
    if (entry->d_name[0] != '.') out.emplace_back(entry->d_name);
  }
  ::closedir(directory);
  std::ranges::sort(out);
  return out;
}

/// The digits of `text` after `prefix`; nullopt: it is another name.
std::optional<std::uint64_t> digits_after(std::string_view text, std::string_view prefix) {
  if (!text.starts_with(prefix)) return std::nullopt;
  text.remove_prefix(prefix.size());
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  return error == std::errc{} && end != text.data() ? std::optional{value} : std::nullopt;
}

int try_io_uring() {
  // struct io_uring_params, linux/io_uring.h: 120 bytes, all zero asks for nothing special.
  alignas(8) std::array<unsigned char, 120> params{};
  const long fd = ::syscall(SYS_io_uring_setup, 1, params.data());
  if (fd < 0) return errno;
  const Fd ring{static_cast<int>(fd)};
  return 0;
}

int try_user_namespace() {
  const pid_t child = ::fork();
  if (child < 0) return errno;
  if (child == 0) ::_exit(::unshare(CLONE_NEWUSER) == 0 ? 0 : std::min(errno, 255));
  int status = 0;
  while (::waitpid(child, &status, 0) < 0 && errno == EINTR) {
  }
  return WIFEXITED(status) ? WEXITSTATUS(status) : EIO;
}

std::uint64_t soft_limit(int resource, std::uint64_t* ret_hard) {
  rlimit limit{};
  ::getrlimit(static_cast<__rlimit_resource>(resource), &limit);
  if (ret_hard != nullptr) *ret_hard = limit.rlim_max;
  return limit.rlim_cur;
}

}  // namespace

HostFacts gather_facts(const std::string& root) {
  HostFacts facts;
  utsname system{};
  ::uname(&system);
  facts.kernel_release = system.release;
  const std::string sysctl = root + "/proc/sys/";
  if (const auto n = number(sysctl + "kernel/io_uring_disabled"))
    facts.io_uring_disabled = static_cast<int>(*n);
  facts.io_uring_errno = try_io_uring();
  facts.memlock_bytes = soft_limit(RLIMIT_MEMLOCK, nullptr);
  facts.nofile = soft_limit(RLIMIT_NOFILE, &facts.nofile_hard);

  const std::string pools = root + "/sys/kernel/mm/hugepages/";
  for (const std::string& name : names_in(pools)) {
    const auto kib = digits_after(name, "hugepages-");
    if (!kib) continue;
    facts.hugepages.push_back({*kib << 10, number(pools + name + "/nr_hugepages").value_or(0),
                               number(pools + name + "/free_hugepages").value_or(0)});
  }
  struct stat st {};
  facts.udmabuf_device = ::stat((root + "/dev/udmabuf").c_str(), &st) == 0;
  facts.udmabuf_limit_mb = number(root + "/sys/module/udmabuf/parameters/size_limit_mb");
  facts.dma_heaps = names_in(root + "/dev/dma_heap");
  if (const auto rmem = numbers(sysctl + "net/ipv4/tcp_rmem"); rmem.size() == 3)
    facts.tcp_rmem_max = rmem[2];
  facts.max_user_namespaces = number(sysctl + "user/max_user_namespaces");
  facts.user_namespace_errno = try_user_namespace();
  for (const std::string& name : names_in(root + "/sys/devices/system/node")) {
    if (const auto node = digits_after(name, "node"))
      facts.numa_nodes.push_back(static_cast<int>(*node));
  }
  facts.rdma = read_rdma_devices(root);
  return facts;
}

}  // namespace landfall::cli
