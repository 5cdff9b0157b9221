// SPDX-License-Identifier: Apache-2.0
// How many huge pages there are, and what makes more of them.
#include <dirent.h>

#include <algorithm>
#include <bit>
#include <cinttypes>
#include <cstdio>
#include <string>

#include "pages.hpp"

namespace landfall::pages {
namespace {

constexpr const char* kHugeFolder = "/sys/kernel/mm/hugepages";

std::string folder_of(std::uint64_t page_bytes) {
  return std::string{kHugeFolder} + "/hugepages-" + std::to_string(page_bytes / 1024) + "kB";
}

// "2048 kB, 1048576 kB", or "none".
std::string sizes() {
  std::string found;
  DIR* folder = ::opendir(kHugeFolder);
  if (folder == nullptr) return "none";
  while (const dirent* entry = ::readdir(folder)) {
    std::uint64_t kilobytes = 0;
    if (std::sscanf(entry->d_name, "hugepages-%" SCNu64 "kB", &kilobytes) == 1)
      found += (found.empty() ? "" : ", ") + std::to_string(kilobytes) + " kB";
  }
  ::closedir(folder);
  return found.empty() ? "none" : found;
}

}  // namespace

std::uint64_t default_huge_page_bytes() {
  return static_cast<std::uint64_t>(
      std::max<std::int64_t>(read_kb_line("/proc/meminfo", "Hugepagesize"), 0));
}

landfall_errc check_huge_size(const Call& call, std::uint64_t page_bytes) {
  // Powers of two only: 2 MiB and one byte would find the folder of 2 MiB.
  if (std::has_single_bit(page_bytes) && page_bytes >= 1024 &&
      read_number(folder_of(page_bytes) + "/nr_hugepages") >= 0)
    return LANDFALL_ERRC_ok;
  return authoring::refuse(call.why, LANDFALL_ERRC_not_supported,
                           LANDFALL_REASON_hugepage_size_unknown, LANDFALL_ORIGIN_LANDFALL, 0,
                           "there are no huge pages of %" PRIu64
                           " bytes on this kernel; its sizes: %s",
                           page_bytes, sizes().c_str());
}

landfall_errc too_few_huge(const Call& call, std::uint64_t page_bytes, std::int64_t need,
                           int node) {
  const std::string folder = folder_of(page_bytes);
  const std::int64_t total = read_number(folder + "/nr_hugepages");
  const std::int64_t available = read_number(folder + "/free_hugepages");
  const std::int64_t reserved = read_number(folder + "/resv_hugepages");
  const std::int64_t wanted = total + need - std::max<std::int64_t>(available - reserved, 0);
  std::string where;
  if (node >= 0) where = " (NUMA node " + std::to_string(node) + " must have them free)";
  const auto code = authoring::refuse(
      call.why, LANDFALL_ERRC_no_memory, LANDFALL_REASON_no_hugepages, LANDFALL_ORIGIN_LANDFALL, 0,
      "%" PRId64 " huge pages of %" PRIu64 " kB are needed; of %" PRId64 " there are %" PRId64
      " free, %" PRId64 " of them reserved%s",
      need, page_bytes / 1024, total, available, reserved, where.c_str());
  if (node < 0 && page_bytes == default_huge_page_bytes())
    return authoring::fix(call.why, code, "sysctl vm.nr_hugepages=%" PRId64, wanted);
  const std::string at = node < 0 ? folder
                                  : "/sys/devices/system/node/node" + std::to_string(node) +
                                        "/hugepages/hugepages-" +
                                        std::to_string(page_bytes / 1024) + "kB";
  return authoring::fix(call.why, code, "echo %" PRId64 " > %s/nr_hugepages", wanted, at.c_str());
}

landfall_errc check_huge_free(const Call& call, const landfall_memory_spec& spec,
                              std::uint64_t page_bytes) {
  const std::string folder = folder_of(page_bytes);
  const auto need = static_cast<std::int64_t>(spec.size_bytes / page_bytes);
  const std::int64_t surplus =
      read_number(folder + "/nr_overcommit_hugepages") - read_number(folder + "/surplus_hugepages");
  std::int64_t available = read_number(folder + "/free_hugepages") -
                           read_number(folder + "/resv_hugepages") +
                           std::max<std::int64_t>(surplus, 0);
  if (spec.numa_node >= 0) {
    const std::int64_t there = read_number(
        "/sys/devices/system/node/node" + std::to_string(spec.numa_node) + "/hugepages/hugepages-" +
        std::to_string(page_bytes / 1024) + "kB/free_hugepages");
    if (there >= 0) available = std::min(available, there + std::max<std::int64_t>(surplus, 0));
  }
  return need <= available ? LANDFALL_ERRC_ok
                           : too_few_huge(call, page_bytes, need, spec.numa_node);
}

}  // namespace landfall::pages
