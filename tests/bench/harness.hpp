// SPDX-License-Identifier: Apache-2.0
// What all receivers of the bench share, so that they differ in nothing but how they receive.
#pragma once
#include <netinet/in.h>
#include <pthread.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>
#include <string>
#include <string_view>
#include <vector>

namespace bench {

inline constexpr std::size_t kPiece = 64 * 1024;  // what one recv() asks for
inline constexpr std::size_t kMessage = 1 << 20;  // of post and of the comparisons
inline constexpr std::size_t kRegion = 64ull << 20;

[[noreturn]] inline void die(const char* what) {
  std::perror(what);
  std::exit(1);
}

/// key=value arguments.
class Arguments {
 public:
  Arguments(int count, char** values) : values_{values + 1, values + count} {}
  std::string text(std::string_view key, std::string_view otherwise) const {
    for (const std::string_view value : values_) {
      if (value.size() > key.size() && value.substr(0, key.size()) == key &&
          value[key.size()] == '=') {
        return std::string{value.substr(key.size() + 1)};
      }
    }
    return std::string{otherwise};
  }
  std::uint64_t number(std::string_view key, std::uint64_t otherwise) const {
    const std::string found = text(key, "");
    return found.empty() ? otherwise : std::strtoull(found.c_str(), nullptr, 10);
  }

 private:
  std::vector<std::string_view> values_;
};

/// The sender has processor 0, the receiver processor 1.
inline void pin(unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu, &set);
  ::pthread_setaffinity_np(::pthread_self(), sizeof set, &set);
}

/// As many descriptors as the system allows; root may go past the hard limit.
inline void raise_descriptor_limit(std::uint64_t wanted) {
  rlimit limit{};
  ::getrlimit(RLIMIT_NOFILE, &limit);
  if (limit.rlim_cur >= wanted) return;
  limit.rlim_cur = wanted;
  if (limit.rlim_max < wanted) limit.rlim_max = wanted;
  if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) die("setrlimit(RLIMIT_NOFILE)");
}

/// Huge pages, touched; where none are reserved transparent ones, and `pages` says so.
inline char* region(std::size_t bytes, std::string& pages) {
  constexpr std::size_t kHuge = 2 << 20;
  const std::size_t size = (bytes + kHuge - 1) / kHuge * kHuge;
  pages = "2 MiB hugetlb";
  void* at = ::mmap(nullptr, size, PROT_READ | PROT_WRITE,
                    MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB, -1, 0);
  if (at == MAP_FAILED) {
    at = ::mmap(nullptr, size + kHuge, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (at == MAP_FAILED) die("mmap");
    at = reinterpret_cast<void*>((reinterpret_cast<std::uintptr_t>(at) + kHuge - 1) & ~(kHuge - 1));
    pages = ::madvise(at, size, MADV_HUGEPAGE) == 0 ? "transparent huge" : "4 KiB";
  }
  std::memset(at, 1, size);
  return static_cast<char*>(at);
}

/// A listening socket, on loopback unless told otherwise; tells its port on standard output.
inline int listen_anywhere(in_addr_t address_to = INADDR_LOOPBACK) {
  const int listener = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in at{};
  at.sin_family = AF_INET;
  at.sin_addr.s_addr = htonl(address_to);
  socklen_t size = sizeof at;
  auto* address = reinterpret_cast<sockaddr*>(&at);
  if (listener < 0 || ::bind(listener, address, size) != 0 || ::listen(listener, 4096) != 0 ||
      ::getsockname(listener, address, &size) != 0) {
    die("listen");
  }
  std::printf("port %u\n", ntohs(at.sin_port));
  std::fflush(stdout);
  return listener;
}

inline int accept_one(int listener) {
  const int fd = ::accept4(listener, nullptr, nullptr, SOCK_CLOEXEC);
  return fd >= 0 ? fd : (die("accept"), -1);
}

/// All flows are there: the sender may begin.
inline void tell_ready() {
  std::puts("ready");
  std::fflush(stdout);
}

inline double seconds(clockid_t clock) {
  timespec now{};
  ::clock_gettime(clock, &now);
  return static_cast<double>(now.tv_sec) + static_cast<double>(now.tv_nsec) * 1e-9;
}

/// Time and the calling thread's CPU from the first byte to the last.
class Meter {
 public:
  explicit Meter(std::uint64_t goal_bytes) : goal_{goal_bytes} {}
  /// False: that was all.
  bool count(std::uint64_t bytes) {
    if (bytes_ == 0) {
      begin_ = seconds(CLOCK_MONOTONIC);
      cpu_begin_ = seconds(CLOCK_THREAD_CPUTIME_ID);
      first_ = bytes;
    }
    bytes_ += bytes;
    return bytes_ < goal_;
  }
  void report(const std::string& pages) const {
    const double spent = seconds(CLOCK_MONOTONIC) - begin_;
    const double cpu = seconds(CLOCK_THREAD_CPUTIME_ID) - cpu_begin_;
    std::printf("{\"bytes\": %llu, \"seconds\": %.6f, \"cpu_seconds\": %.6f, \"pages\": \"%s\"}\n",
                static_cast<unsigned long long>(bytes_ - first_), spent, cpu, pages.c_str());
  }

 private:
  std::uint64_t goal_, bytes_ = 0, first_ = 0;
  double begin_ = 0, cpu_begin_ = 0;
};

}  // namespace bench
