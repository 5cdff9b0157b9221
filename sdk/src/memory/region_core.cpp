// SPDX-License-Identifier: Apache-2.0
#include "memory/region_core.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <cerrno>

#include "base/process.hpp"
#include "landfall/abi/authoring.hpp"
#include "landfall/base/units.hpp"

namespace landfall::detail {
namespace {

struct SpillPages {
  void* address;
  std::size_t size_bytes;
};

landfall_errc no_spec(const landfall_memory_spec*, landfall_why* why) {
  return authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_spec_not_understood);
}
landfall_errc no_allocate(const landfall_memory_spec* spec, landfall_region**, landfall_memory*,
                          landfall_why* why) {
  return no_spec(spec, why);
}
void unmap_spill(landfall_region* region) {
  auto* pages = reinterpret_cast<SpillPages*>(region);
  ::munmap(pages->address, pages->size_bytes);
  delete pages;
}

// Who releases the anonymous pages of a spill; never registered, so nobody allocates from it.
constexpr landfall_memory_ops kSpillOps = {
    sizeof(landfall_memory_ops), 0, no_spec, no_allocate, unmap_spill, nullptr, nullptr};
constexpr landfall_backend kSpillBackend = {sizeof(landfall_backend),
                                            LANDFALL_ABI_MAJOR,
                                            LANDFALL_ABI_MINOR,
                                            LANDFALL_KIND_MEMORY,
                                            0,
                                            "spill",
                                            "0",
                                            "anonymous pages for copied and linear bytes",
                                            &kSpillOps};

Error spill_refused(int number) {
  return os_error("RegionCore::make_spill", ReasonCode::spill_unavailable, number);
}

std::string range_text(std::uint64_t offset, std::uint64_t length) {
  return "offset " + std::to_string(offset) + " and length " + std::to_string(length);
}

}  // namespace

RegionCore::RegionCore(std::shared_ptr<ContextCore> context, const landfall_backend* backend,
                       landfall_region* handle, const landfall_memory& memory,
                       std::uint16_t memory_id)
    : context_{std::move(context)},
      backend_{backend},
      handle_{handle},
      memory_{memory, memory_id},
      owner_pid_{this_process()} {}

RegionCore::~RegionCore() {
  // What a device or driver holds belongs to the parent of a fork; the child's copy of the mappings
  // goes with the child.
  if (owner_pid_ != this_process()) return;
  ops(backend_)->release(handle_);
}

const landfall_memory_ops* RegionCore::ops(const landfall_backend* backend) noexcept {
  return static_cast<const landfall_memory_ops*>(backend->ops);
}

Result<std::shared_ptr<RegionCore>> RegionCore::own(std::shared_ptr<ContextCore> context,
                                                    const landfall_backend* backend,
                                                    landfall_region* handle,
                                                    const landfall_memory& memory,
                                                    std::uint16_t memory_id) {
  constexpr const char* kOp = "memory_ops.allocate";
  if (handle == nullptr)
    return Error{Errc::io, kOp, ReasonCode::plugin_malformed}.with(
        "the memory source answered ok without a region");
  if ((memory.flags & LANDFALL_MEM_DMABUF) != 0 &&
      !LANDFALL_HAS(ops(backend), landfall_memory_ops, export_dmabuf)) {
    ops(backend)->release(handle);
    return Error{Errc::io, kOp, ReasonCode::plugin_malformed}.with(
        "the memory source made a region that exports dma-bufs, and has no export_dmabuf");
  }
  const bool sound = memory.size_bytes != 0 && memory.page_bytes != 0 &&
                     memory.size_bytes % memory.page_bytes == 0;
  if (!sound) {
    ops(backend)->release(handle);
    return Error{Errc::io, kOp, ReasonCode::plugin_malformed}.with(
        "the memory source made a region that is not whole pages: " +
        std::to_string(memory.size_bytes) + " bytes in pages of " +
        std::to_string(memory.page_bytes));
  }
  try {
    return std::make_shared<RegionCore>(std::move(context), backend, handle, memory, memory_id);
  } catch (...) {
    ops(backend)->release(handle);
    return Error{Errc::no_memory, kOp, ReasonCode::out_of_memory};
  }
}

Result<DmabufRange> RegionCore::export_dmabuf(std::uint64_t offset, std::uint64_t length) const {
  constexpr const char* kOp = "Region::export_dmabuf";
  const std::uint64_t size = memory_.size_bytes();
  if (length == 0 || offset > size || length > size - offset)
    return Error{Errc::invalid_argument, kOp, ReasonCode::range_outside}.with(
        range_text(offset, length) + " do not lie inside the " + std::to_string(size) +
        " bytes of the memory");
  if (!memory_.exports_dmabuf())
    return Error{Errc::not_supported, kOp, ReasonCode::export_not_supported};
  const bool whole = offset == 0 && length == size;
  if (!whole && !memory_.exports_ranges())
    return Error{Errc::not_supported, kOp, ReasonCode::export_whole_only};
  const std::uint64_t page = memory_.page_bytes();
  if (offset % page != 0 || length % page != 0)
    return Error{Errc::invalid_argument, kOp, ReasonCode::size_not_whole_pages}.with(
        range_text(offset, length) + " are not whole pages of " + std::to_string(page) + " bytes");
  landfall_why why{};
  why.struct_size = sizeof why;
  std::int32_t fd = -1;
  std::uint64_t fd_offset = 0;
  const auto code = ops(backend_)->export_dmabuf(handle_, offset, length, &fd, &fd_offset, &why);
  if (code != LANDFALL_ERRC_ok) return backend_error(kOp, code, why);
  if (fd < 0)
    return Error{Errc::io, kOp, ReasonCode::plugin_malformed}.with(
        "the memory source answered ok without a descriptor");
  return DmabufRange{Fd{fd}, fd_offset};
}

Result<landfall_fence*> RegionCore::record_fence(void* native_stream) const {
  constexpr const char* kOp = "Group::fence";
  if (!LANDFALL_HAS(&ops(), landfall_memory_ops, fence_record))
    return Error{Errc::not_supported, kOp, ReasonCode::no_device_streams};
  landfall_why why{};
  why.struct_size = sizeof why;
  landfall_fence* fence = nullptr;
  const auto code = ops().fence_record(handle_, native_stream, &fence, &why);
  if (code != LANDFALL_ERRC_ok) return backend_error(kOp, code, why);
  return fence;
}

Result<void> RegionCore::remember_adopted(int fd) {
  if (::fcntl(fd, F_GET_SEALS) < 0) return {};  // a dma-buf is a name by itself
  int number = context_->fault("fcntl");
  if (number == 0) {
    adopted_.reset(::fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (adopted_) return {};
    number = errno;
  }
  return os_error("fcntl(F_DUPFD_CLOEXEC)",
                  number == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none, number);
}

Result<std::shared_ptr<RegionCore>> RegionCore::make_spill(std::uint64_t size_bytes) const {
  constexpr const char* kOp = "RegionCore::make_spill";
  const auto page_bytes = static_cast<std::uint64_t>(::sysconf(_SC_PAGESIZE));
  if (size_bytes == 0 || size_bytes > SIZE_MAX - page_bytes)
    return Error{Errc::invalid_argument, kOp, ReasonCode::size_not_whole_pages};
  const std::uint64_t whole_bytes = round_up(size_bytes, page_bytes);

  if (LANDFALL_HAS(ops(backend_), landfall_memory_ops, companion)) {
    landfall_why why{};
    why.struct_size = sizeof why;
    landfall_region* handle = nullptr;
    landfall_memory memory{};
    memory.struct_size = sizeof memory;
    const auto code = ops(backend_)->companion(handle_, whole_bytes, &handle, &memory, &why);
    if (code == LANDFALL_ERRC_ok) return own(context_, backend_, handle, memory, 1);
    if (code != LANDFALL_ERRC_not_supported || !memory_.has_host_view()) {
      if (why.code == 0) why.code = LANDFALL_REASON_spill_unavailable;
      return backend_error(kOp, code, why);
    }
  }
  if (!memory_.has_host_view())
    return Error{Errc::not_supported, kOp, ReasonCode::spill_unavailable}.with(
        "the memory has no host view, and its source offers no companion memory");

  if (const int number = context_->fault("mmap"); number != 0) return spill_refused(number);
  void* address =
      ::mmap(nullptr, whole_bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
  if (address == MAP_FAILED) return spill_refused(errno);
  auto* pages = new (std::nothrow) SpillPages{address, whole_bytes};
  if (pages == nullptr) {
    ::munmap(address, whole_bytes);
    return spill_refused(ENOMEM);
  }
  landfall_memory memory{};
  memory.struct_size = sizeof memory;
  memory.flags = LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE | LANDFALL_MEM_SHARED;
  memory.size_bytes = whole_bytes;
  memory.page_bytes = page_bytes;
  memory.host = address;
  memory.device_kind = 1;  // DLPack: CPU
  memory.numa_node = -1;
  return own(context_, &kSpillBackend, reinterpret_cast<landfall_region*>(pages), memory, 1);
}

}  // namespace landfall::detail
