// SPDX-License-Identifier: Apache-2.0
// Mappings, and what is done to their pages.
#include <linux/mempolicy.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>
#include <bit>
#include <cinttypes>
#include <climits>
#include <fstream>

#include "pages.hpp"

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23  // Linux 5.14, include/uapi/asm-generic/mman-common.h
#endif

namespace landfall::pages {
namespace {

// Writes every page without changing a byte, for kernels that cannot populate by themselves.
void touch(const Mapping& mapping, std::uint64_t page_bytes) {
  auto* bytes = static_cast<unsigned char*>(mapping.address());
  for (std::uint64_t at = 0; at < mapping.size_bytes(); at += page_bytes)
    __atomic_fetch_or(bytes + at, 0, __ATOMIC_RELAXED);
}

landfall_errc not_mapped(const Call& call, std::uint64_t at, const char* what) {
  return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                           LANDFALL_REASON_memory_not_mapped, LANDFALL_ORIGIN_LANDFALL, 0,
                           "the borrowed range %s at address 0x%" PRIx64, what, at);
}

}  // namespace

Mapping& Mapping::operator=(Mapping&& other) noexcept {
  std::swap(address_, other.address_);
  std::swap(size_bytes_, other.size_bytes_);
  std::swap(owned_, other.owned_);
  return *this;
}

Mapping::~Mapping() {
  if (owned_ && address_ != nullptr) ::munmap(address_, size_bytes_);
}

landfall_errc map_shared(const Call& call, int fd, std::uint64_t size_bytes,
                         std::uint64_t huge_page_bytes, Mapping* ret_mapping) {
  int flags = MAP_SHARED;
  if (fd < 0) {
    flags |= MAP_ANONYMOUS;
    if (huge_page_bytes != 0)
      flags |= MAP_HUGETLB | std::countr_zero(huge_page_bytes) << MAP_HUGE_SHIFT;
  }
  int number = call.fault("mmap");
  void* address = MAP_FAILED;
  if (number == 0) {
    address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, flags, fd, 0);
    if (address == MAP_FAILED) number = errno;
  }
  if (number == ENOMEM)
    return authoring::refuse(
        call.why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory, LANDFALL_ORIGIN_OS,
        number, "mmap of %" PRIu64 " bytes failed: not enough memory or address space", size_bytes);
  if (number != 0) return authoring::refuse_os(call.why, "mmap", LANDFALL_REASON_none, number);
  *ret_mapping = Mapping{address, size_bytes, true};
  return LANDFALL_ERRC_ok;
}

landfall_errc bind_node(const Call& call, const Mapping& mapping, int node) {
  if (node < 0) return LANDFALL_ERRC_ok;
  if (const auto code = check_node(call, node); code != LANDFALL_ERRC_ok) return code;
  constexpr std::size_t kBits = sizeof(unsigned long) * CHAR_BIT;
  std::array<unsigned long, 1024 / kBits> mask{};
  const auto index = static_cast<std::size_t>(node);
  mask[index / kBits] = 1ul << index % kBits;
  int number = call.fault("mbind");
  // The kernel takes one bit less than it is told (get_nodes, mm/mempolicy.c).
  if (number == 0 && ::syscall(SYS_mbind, mapping.address(), mapping.size_bytes(), MPOL_BIND,
                               mask.data(), mask.size() * kBits + 1, 0) != 0)
    number = errno;
  if (number == 0 || number == ENOSYS) return LANDFALL_ERRC_ok;  // ENOSYS: one node, checked above
  const bool permission = number == EPERM;
  return authoring::refuse(
      call.why, authoring::errc_of(number),
      permission ? LANDFALL_REASON_not_permitted : LANDFALL_REASON_numa_node_unavailable,
      LANDFALL_ORIGIN_OS, number, "mbind to NUMA node %d failed: errno %d", node, number);
}

landfall_errc lock(const Call& call, const Mapping& mapping) {
  if (const auto code = check_locking(call, mapping.size_bytes()); code != LANDFALL_ERRC_ok)
    return code;
  int number = call.fault("mlock");
  if (number == 0 && ::mlock(mapping.address(), mapping.size_bytes()) != 0) number = errno;
  if (number == 0) return LANDFALL_ERRC_ok;
  const bool limit = number == ENOMEM || number == EPERM || number == EAGAIN;
  return authoring::refuse(
      call.why, limit ? std::int32_t{LANDFALL_ERRC_limit_reached} : authoring::errc_of(number),
      LANDFALL_REASON_memlock_limit, LANDFALL_ORIGIN_OS, number,
      "mlock of %" PRIu64 " bytes failed: errno %d", mapping.size_bytes(), number);
}

landfall_errc populate(const Call& call, const Mapping& mapping, std::uint64_t page_bytes) {
  int number = call.fault("madvise");
  if (number == 0 && ::madvise(mapping.address(), mapping.size_bytes(), MADV_POPULATE_WRITE) != 0) {
    number = errno;
    if (number == EINVAL) {
      touch(mapping, page_bytes);
      number = 0;
    }
  }
  if (number == 0) return LANDFALL_ERRC_ok;
  // EFAULT: a touch would have raised SIGBUS, because the pages are not to be had.
  const bool memory = number == EFAULT || number == ENOMEM;
  return authoring::refuse(
      call.why, memory ? std::int32_t{LANDFALL_ERRC_no_memory} : authoring::errc_of(number),
      LANDFALL_REASON_out_of_memory, LANDFALL_ORIGIN_OS, number,
      "faulting in %" PRIu64 " bytes failed: errno %d", mapping.size_bytes(), number);
}

landfall_errc borrow(const Call& call, std::uint64_t address, std::uint64_t size_bytes,
                     std::uint64_t page_bytes, Mapping* ret_mapping, bool* ret_shared) {
  if (const auto code = check_size(call, size_bytes, page_bytes); code != LANDFALL_ERRC_ok)
    return code;
  if (address % page_bytes != 0)
    return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_address_not_aligned, LANDFALL_ORIGIN_LANDFALL, 0,
                             "the borrowed address 0x%" PRIx64 " is not a multiple of %" PRIu64,
                             address, page_bytes);
  if (size_bytes > UINT64_MAX - address) return not_mapped(call, address, "wraps around");
  // smaps walks page tables: only where the page size matters.
  const bool sizes = page_bytes != system_page_bytes();
  const char* path = sizes ? "/proc/self/smaps" : "/proc/self/maps";
  const int number = call.fault("open");
  std::ifstream maps{number == 0 ? path : "/proc/self/maps/none"};
  if (!maps)
    return authoring::refuse_os(call.why, "open(/proc/self/maps)", LANDFALL_REASON_none,
                                number != 0 ? number : ENOENT);
  std::uint64_t at = address;  // all before it is good
  const std::uint64_t end = address + size_bytes;
  bool shared = true;
  bool inside = false;
  for (std::string line; std::getline(maps, line);) {
    std::uint64_t first = 0;
    std::uint64_t last = 0;
    std::uint64_t kilobytes = 0;
    std::array<char, 5> mode{};
    if (std::sscanf(line.c_str(), "%" SCNx64 "-%" SCNx64 " %4s", &first, &last, mode.data()) == 3) {
      inside = first < end && last > address;
      if (!inside) continue;
      if (first > at) return not_mapped(call, at, "is not mapped");
      if (mode[0] != 'r' || mode[1] != 'w')
        return not_mapped(call, at, "is not mapped for reading and writing");
      shared = shared && mode[3] == 's';
      at = last;
    } else if (inside && sizes &&
               std::sscanf(line.c_str(), "KernelPageSize: %" SCNu64, &kilobytes) == 1 &&
               kilobytes * 1024 != page_bytes) {
      return not_mapped(call, address, "has no huge pages of the size asked for");
    }
  }
  if (at < end) return not_mapped(call, at, "is not mapped");
  *ret_mapping = Mapping{reinterpret_cast<void*>(address), size_bytes, false};
  *ret_shared = shared;
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::pages
