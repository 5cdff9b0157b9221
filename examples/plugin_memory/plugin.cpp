// SPDX-License-Identifier: Apache-2.0
// A memory source as a plug-in: anonymous shared pages. Build it against an installed landfall,
// load it with Context::load, and name it in RegionSpec::source: "sample-memory".
#include <sys/mman.h>

#include <new>

#include "landfall/abi/authoring.hpp"
#include "landfall/abi/export.h"

using namespace landfall::authoring;

struct landfall_region {  // what the source needs to release it again
  void* address;
  std::size_t size_bytes;
};

namespace {

constexpr std::uint64_t kPageBytes = 4096;

landfall_errc probe(const landfall_memory_spec* spec, landfall_why* reterr_why) {
  if (spec->size_bytes == 0 || spec->size_bytes % kPageBytes != 0)
    return refuse(reterr_why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_size_not_whole_pages);
  // Ignore no field: what the source cannot give is an error.
  const bool extra = spec->fd >= 0 || spec->address != 0 || spec->numa_node >= 0 ||
                     (spec->flags & ~LANDFALL_WANT_POPULATED) != 0 ||
                     (spec->page_bytes != 0 && spec->page_bytes != kPageBytes);
  if (extra)
    return refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_spec_not_understood,
                  LANDFALL_ORIGIN_LANDFALL, 0, "sample-memory gives plain pages and no more");
  return LANDFALL_ERRC_ok;
}

landfall_errc allocate(const landfall_memory_spec* spec, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) {
  return guarded(reterr_why, [&]() -> landfall_errc {
    if (const landfall_errc refused = probe(spec, reterr_why)) return refused;
    if (const int injected = fault(spec->host, "mmap"))  // tests make each outside call fail
      return refuse_os(reterr_why, "mmap", LANDFALL_REASON_none, injected);
    const int flags = MAP_SHARED | MAP_ANONYMOUS |
                      ((spec->flags & LANDFALL_WANT_POPULATED) != 0 ? MAP_POPULATE : 0);
    void* address = ::mmap(nullptr, spec->size_bytes, PROT_READ | PROT_WRITE, flags, -1, 0);
    if (address == MAP_FAILED) return refuse_os(reterr_why, "mmap", LANDFALL_REASON_none, errno);
    auto* region = new (std::nothrow) landfall_region{address, spec->size_bytes};
    if (region == nullptr) {
      ::munmap(address, spec->size_bytes);
      return LANDFALL_ERRC_no_memory;
    }
    ret_memory->flags = LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE | LANDFALL_MEM_SHARED;
    ret_memory->size_bytes = spec->size_bytes;
    ret_memory->page_bytes = kPageBytes;
    ret_memory->host = address;
    ret_memory->device_kind = 1;  // DLPack: CPU
    ret_memory->numa_node = -1;
    *ret_region = region;
    return LANDFALL_ERRC_ok;
  });
}

void release(landfall_region* region) {
  ::munmap(region->address, region->size_bytes);
  delete region;
}

constexpr landfall_memory_ops kOps{
    .struct_size = sizeof(landfall_memory_ops),
    .reserved = 0,
    .probe = probe,
    .allocate = allocate,
    .release = release,
    .export_dmabuf = nullptr,  // its memory is none
    .companion = nullptr,
    .fence_record = nullptr,  // no device works on it
    .fence_done = nullptr,
    .fence_arm = nullptr,
    .fence_drop = nullptr,
};

constexpr landfall_backend kBackend =
    describe(&kOps, "sample-memory", "1.0", "anonymous pages, as an example");

}  // namespace

extern "C" LANDFALL_API const landfall_backend* landfall_backend_query(std::uint32_t host_abi_major,
                                                                       std::uint32_t index) {
  return host_abi_major == LANDFALL_ABI_MAJOR && index == 0 ? &kBackend : nullptr;
}
