// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "landfall/base/context.hpp"
#include "landfall/base/fd.hpp"
#include "landfall/memory/memory.hpp"

namespace landfall {

namespace detail {
class RegionCore;
}

/// Which memory is wanted. Sources ignore no field: what they cannot give is an error.
struct RegionSpec {
  std::string source = "host";   // a memory source: host, hugepage, udmabuf, dma-heap, dmabuf, ...
  std::uint64_t size_bytes = 0;  // whole pages; 0 with `adopt`: the descriptor's own size
  std::uint64_t page_bytes = 0;  // 0: the source's choice
  int numa_node = -1;            // -1: any
  int device = 0;
  std::string device_name{};  // UUID, PCI address, heap name; "": the default one
  bool memfd = false;         // host, hugepage: back it by a memfd (sealed against resizing)
  bool locked = false;        // resident, or refused with memlock_limit
  bool populated = false;     // fault the pages in now
  bool host_view = true;      // false: do not map it, even where one could
  int adopt = -1;          // a memfd or dma-buf of the caller's; duplicated, the caller keeps his
  void* borrow = nullptr;  // a range of the caller's, which must outlive Region, Group and Buffers
};

/// A dma-buf descriptor and where a range begins in it.
struct DmabufRange {
  Fd fd;
  std::uint64_t offset_bytes = 0;
};

/// One range of memory from one memory source.
///
/// Owner: the caller, until a Group takes it over. Move-only.
/// Threads: const calls from any; move and destroy from one.
class LANDFALL_API Region {
 public:
  /// Errors: not_found - LF1115, no such source; the rest are the source's, each with its LF11xx
  /// reason and remedy.
  static Result<Region> allocate(const Context& context, const RegionSpec& spec);
  Region(Region&&) noexcept;
  Region& operator=(Region&&) noexcept;
  ~Region();

  /// False after a Group has taken it.
  explicit operator bool() const noexcept { return core_ != nullptr; }
  const Memory& memory() const noexcept;
  std::string_view source() const noexcept;

  /// A new dma-buf descriptor for [offset_bytes, offset_bytes + length_bytes).
  /// Errors: not_supported - LF1113, LF1114; invalid_argument - LF1116, the range is not inside.
  Result<DmabufRange> export_dmabuf(std::uint64_t offset_bytes, std::uint64_t length_bytes) const;

 private:
  friend class detail::RegionCore;
  explicit Region(std::shared_ptr<detail::RegionCore> core) noexcept;
  std::shared_ptr<detail::RegionCore> core_;
};

/// Would a Region of this spec stand a chance, and why not? Opens nothing that stays open.
LANDFALL_API Result<void> probe_memory(const Context& context, const RegionSpec& spec);

}  // namespace landfall
