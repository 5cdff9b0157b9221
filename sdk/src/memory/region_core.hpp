// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "base/context_core.hpp"
#include "landfall/memory/region.hpp"

namespace landfall::detail {

/// An allocated region with what is needed to release it, on whatever thread drops it last.
class RegionCore {
 public:
  /// `backend` is of LANDFALL_KIND_MEMORY and has allocated `handle`.
  RegionCore(std::shared_ptr<ContextCore> context, const landfall_backend* backend,
             landfall_region* handle, const landfall_memory& memory, std::uint16_t memory_id);
  ~RegionCore();  // releases the handle, in the process that allocated it
  RegionCore(const RegionCore&) = delete;
  RegionCore& operator=(const RegionCore&) = delete;

  /// A RegionCore for what a backend has just allocated; released again where that fails.
  static Result<std::shared_ptr<RegionCore>> own(std::shared_ptr<ContextCore> context,
                                                 const landfall_backend* backend,
                                                 landfall_region* handle,
                                                 const landfall_memory& memory,
                                                 std::uint16_t memory_id);
  static const landfall_memory_ops* ops(const landfall_backend* backend) noexcept;

  const Memory& memory() const noexcept { return memory_; }
  const landfall_backend* backend() const noexcept { return backend_; }
  const std::shared_ptr<ContextCore>& context() const noexcept { return context_; }

  /// Keeps a name of the memory that was adopted, where it is a memfd: so that two Regions over the
  /// same pages can be told. Errors: limit_reached - LF1005.
  Result<void> remember_adopted(int fd);
  /// -1: none.
  int adopted_memfd() const noexcept { return adopted_.get(); }

  Result<DmabufRange> export_dmabuf(std::uint64_t offset, std::uint64_t length) const;
  /// A point in a stream of device work on this memory; the caller drops it. Errors: not_supported
  /// - LF1121, the source knows no streams; the source's.
  Result<landfall_fence*> record_fence(void* native_stream) const;
  const landfall_memory_ops& ops() const noexcept { return *ops(backend_); }
  /// CPU-writable memory for this region's spill (memory id 1): the source's companion where it has
  /// one (device memory: pinned), else anonymous shared pages, if the region has a host view at
  /// all. Errors: not_supported - LF1210.
  Result<std::shared_ptr<RegionCore>> make_spill(std::uint64_t size_bytes) const;

  /// Between Region and its core, for Group.
  static std::shared_ptr<RegionCore> share(const Region& region) noexcept { return region.core_; }
  static std::shared_ptr<RegionCore> take(Region& region) noexcept {
    return std::move(region.core_);
  }
  static Region wrap(std::shared_ptr<RegionCore> core) noexcept { return Region{std::move(core)}; }

 private:
  std::shared_ptr<ContextCore> context_;
  const landfall_backend* backend_;
  landfall_region* handle_;
  Memory memory_;
  Fd adopted_;
  int owner_pid_;
};

}  // namespace landfall::detail
