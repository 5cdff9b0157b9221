// SPDX-License-Identifier: Apache-2.0
#include "shared/windows.hpp"

#include <netinet/in.h>
#include <netinet/tcp.h>

#include <cstdio>
#include <memory>

namespace landfall::transport {
namespace {

// Where the kernel's limits cannot be read: those of Linux 7.3 (tcp_init, sysctl_rmem_max).
constexpr std::uint64_t kTcpRmemUsual = 32u << 20;
constexpr std::uint64_t kRmemMaxUsual = 4u << 20;

/// The last number of a file of one line; `otherwise` where there is none.
std::uint64_t last_number(const char* path, std::uint64_t otherwise) {
  const std::unique_ptr<std::FILE, int (*)(std::FILE*)> file{std::fopen(path, "re"), std::fclose};
  unsigned long long number = otherwise;
  while (file && std::fscanf(file.get(), "%llu", &number) == 1) {
  }
  return number;
}

}  // namespace

void Windows::open(std::uint64_t budget_bytes, std::uint32_t page_shift) {
  budget_ = budget_bytes;
  page_shift_ = page_shift;
  tcp_rmem_bytes_ = last_number("/proc/sys/net/ipv4/tcp_rmem", kTcpRmemUsual);
  rmem_max_bytes_ = last_number("/proc/sys/net/core/rmem_max", kRmemMaxUsual);
}

bool Windows::limit(int fd, std::uint32_t share_bytes, bool limited) const noexcept {
  // The kernel keeps below this by itself, and tunes the window better than anybody.
  if (!limited && share_bytes >= tcp_rmem_bytes_) return false;
  // It doubles what it is given (socket(7)), and beyond rmem_max takes it from CAP_NET_ADMIN only.
  const int half = static_cast<int>(share_bytes / 2);
  if (::setsockopt(fd, SOL_SOCKET, SO_RCVBUFFORCE, &half, sizeof half) == 0) return true;
  if (share_bytes / 2 <= rmem_max_bytes_) {
    ::setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &half, sizeof half);
    return true;
  }
  // A limit of bytes rather than of pages: as many as there are where each packet has a page.
  tcp_info info{};
  socklen_t length = sizeof info;
  ::getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &length);
  const std::uint64_t per_page =
      std::clamp<std::uint64_t>(info.tcpi_rcv_mss, 536, 1u << page_shift_);
  const int clamp = static_cast<int>((share_bytes >> page_shift_) * per_page);
  ::setsockopt(fd, IPPROTO_TCP, TCP_WINDOW_CLAMP, &clamp, sizeof clamp);
  return true;
}

}  // namespace landfall::transport
