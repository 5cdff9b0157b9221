// SPDX-License-Identifier: Apache-2.0
// What can be told before anything is made.
#include <linux/capability.h>
#include <linux/mempolicy.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cinttypes>
#include <climits>
#include <cstring>
#include <fstream>

#include "pages.hpp"

namespace landfall::pages {
namespace {

constexpr int kNodesMax = 1024;  // MAX_NUMNODES of the largest configuration (x86, NODES_SHIFT 10)
constexpr std::size_t kBits = sizeof(unsigned long) * CHAR_BIT;

landfall_errc not_taken(landfall_why* why, const char* field) {
  return authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_spec_not_understood,
                           LANDFALL_ORIGIN_LANDFALL, 0, "this memory source does not take %s",
                           field);
}

bool may_lock_freely() noexcept {
  __user_cap_header_struct header{_LINUX_CAPABILITY_VERSION_3, 0};
  __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3]{};
  return ::syscall(SYS_capget, &header, data) == 0 &&
         (data[0].effective & (1u << CAP_IPC_LOCK)) != 0;
}

}  // namespace

std::int64_t read_number(const std::string& path) {
  std::ifstream file{path};
  std::int64_t number = -1;
  return file >> number ? number : -1;
}

std::int64_t read_kb_line(const char* path, const char* name) {
  std::ifstream file{path};
  const std::string wanted = std::string{name} + ":";
  std::int64_t kilobytes = 0;
  for (std::string word; file >> word;)
    if (word == wanted) return file >> kilobytes ? kilobytes * 1024 : -1;
  return -1;
}

std::uint64_t system_page_bytes() noexcept {
  return static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
}

Call call_of(const landfall_memory_spec* given, landfall_why* why) noexcept {
  const bool has_host = given->struct_size >= offsetof(landfall_memory_spec, size_bytes);
  return {has_host ? given->host : nullptr, why};
}

landfall_errc read_spec(const landfall_memory_spec* given, std::uint32_t takes,
                        landfall_memory_spec* ret_spec, landfall_why* reterr_why) {
  landfall_memory_spec spec{};
  spec.fd = -1;
  spec.numa_node = -1;
  if (given->struct_size < offsetof(landfall_memory_spec, page_bytes))
    return authoring::refuse(reterr_why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_spec_not_understood, LANDFALL_ORIGIN_LANDFALL, 0,
                             "struct_size %u of the spec is too small", given->struct_size);
  std::memcpy(&spec, given, std::min<std::size_t>(given->struct_size, sizeof spec));
  const auto takes_not = [&](std::uint32_t field) { return (takes & field) == 0; };
  constexpr std::uint32_t kKnownFlags = LANDFALL_WANT_MEMFD | LANDFALL_WANT_LOCKED |
                                        LANDFALL_WANT_NO_HOST_VIEW | LANDFALL_WANT_POPULATED;
  if ((spec.flags & ~kKnownFlags) != 0) return not_taken(reterr_why, "one of the spec's flags");
  if ((spec.flags & LANDFALL_WANT_MEMFD) != 0 && takes_not(kTakesMemfd))
    return not_taken(reterr_why, "memfd");
  if ((spec.flags & LANDFALL_WANT_LOCKED) != 0 && takes_not(kTakesLocked))
    return not_taken(reterr_why, "locked");
  if ((spec.flags & LANDFALL_WANT_NO_HOST_VIEW) != 0 && takes_not(kTakesNoHostView))
    return not_taken(reterr_why, "host_view = false");
  if ((spec.flags & LANDFALL_WANT_POPULATED) != 0 && takes_not(kTakesPopulated))
    return not_taken(reterr_why, "populated");
  if (spec.page_bytes != 0 && takes_not(kTakesPageBytes))
    return not_taken(reterr_why, "page_bytes");
  if (spec.address != 0 && takes_not(kTakesBorrow)) return not_taken(reterr_why, "borrow");
  if (spec.fd >= 0 && takes_not(kTakesAdopt)) return not_taken(reterr_why, "adopt");
  if (spec.numa_node >= 0 && takes_not(kTakesNumaNode)) return not_taken(reterr_why, "numa_node");
  if (spec.device_id != 0) return not_taken(reterr_why, "device");
  if (spec.device_name != nullptr && takes_not(kTakesDeviceName))
    return not_taken(reterr_why, "device_name");
  if (spec.address != 0 && spec.fd >= 0) return not_taken(reterr_why, "borrow and adopt at once");
  *ret_spec = spec;
  return LANDFALL_ERRC_ok;
}

landfall_errc check_size(const Call& call, std::uint64_t size_bytes, std::uint64_t page_bytes) {
  if (size_bytes != 0 && size_bytes % page_bytes == 0 && size_bytes <= INT64_MAX)
    return LANDFALL_ERRC_ok;
  return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                           LANDFALL_REASON_size_not_whole_pages, LANDFALL_ORIGIN_LANDFALL, 0,
                           "a size of %" PRIu64 " bytes is not a whole number of pages of %" PRIu64
                           " bytes, at least one and less than 2^63 bytes",
                           size_bytes, page_bytes);
}

landfall_errc check_node(const Call& call, int node) {
  if (node < 0) return LANDFALL_ERRC_ok;
  std::array<unsigned long, kNodesMax / kBits> allowed{};
  int number = call.fault("get_mempolicy");
  if (number == 0 && ::syscall(SYS_get_mempolicy, nullptr, allowed.data(), kNodesMax, nullptr,
                               MPOL_F_MEMS_ALLOWED) != 0)
    number = errno;
  if (number == ENOSYS && node == 0) return LANDFALL_ERRC_ok;  // a kernel that has one node
  if (number == EPERM)
    return authoring::refuse(call.why, LANDFALL_ERRC_permission_denied,
                             LANDFALL_REASON_not_permitted, LANDFALL_ORIGIN_OS, number,
                             "get_mempolicy(2) is not permitted: a container's seccomp profile "
                             "wants CAP_SYS_NICE for it");
  const auto index = static_cast<std::size_t>(node);
  if (number == 0 && node < kNodesMax && (allowed[index / kBits] >> index % kBits & 1) != 0)
    return LANDFALL_ERRC_ok;
  return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                           LANDFALL_REASON_numa_node_unavailable, LANDFALL_ORIGIN_OS, number,
                           "NUMA node %d does not exist, has no memory, or is not for this process",
                           node);
}

landfall_errc check_locking(const Call& call, std::uint64_t size_bytes) {
  rlimit limit{};
  ::getrlimit(RLIMIT_MEMLOCK, &limit);
  if (limit.rlim_cur == RLIM_INFINITY || may_lock_freely()) return LANDFALL_ERRC_ok;
  const std::int64_t locked = std::max<std::int64_t>(read_kb_line("/proc/self/status", "VmLck"), 0);
  const std::uint64_t need = static_cast<std::uint64_t>(locked) + size_bytes;
  if (need <= limit.rlim_cur) return LANDFALL_ERRC_ok;
  return authoring::fix(
      call.why,
      authoring::refuse(call.why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_memlock_limit,
                        LANDFALL_ORIGIN_OS, ENOMEM,
                        "locking needs RLIMIT_MEMLOCK of %" PRIu64 " bytes (%" PRIu64
                        " are locked already); the limit is %" PRIu64,
                        need, static_cast<std::uint64_t>(locked),
                        static_cast<std::uint64_t>(limit.rlim_cur)),
      "ulimit -l %" PRIu64 ", or LimitMEMLOCK=%" PRIu64 " in the unit", (need + 1023) / 1024, need);
}

landfall_errc check_available(const Call& call, std::uint64_t size_bytes) {
  const std::int64_t available = read_kb_line("/proc/meminfo", "MemAvailable");
  if (available < 0 || size_bytes <= static_cast<std::uint64_t>(available)) return LANDFALL_ERRC_ok;
  return authoring::refuse(
      call.why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_out_of_memory, LANDFALL_ORIGIN_OS, ENOMEM,
      "%" PRIu64 " bytes shall be resident; the host has %" PRId64 " available", size_bytes,
      available);
}

}  // namespace landfall::pages
