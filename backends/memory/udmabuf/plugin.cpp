// SPDX-License-Identifier: Apache-2.0
// The memory source `udmabuf`: a sealed memfd made a dma-buf by /dev/udmabuf, with a host view.
#include <linux/udmabuf.h>
#include <sys/ioctl.h>

#include <cinttypes>
#include <memory>

#include "pages/pages.hpp"

namespace landfall {
namespace {

constexpr std::uint32_t kTakes =
    pages::kTakesMemfd | pages::kTakesLocked | pages::kTakesNoHostView | pages::kTakesPopulated |
    pages::kTakesPageBytes | pages::kTakesAdopt | pages::kTakesNumaNode;
constexpr const char* kDevice = "/dev/udmabuf";
constexpr const char* kLimit = "/sys/module/udmabuf/parameters/size_limit_mb";
constexpr std::uint64_t kMiB = 1u << 20;

struct Region {
  const landfall_host* host = nullptr;
  pages::Backing backing;
  Fd device;  // for exports of ranges
  Fd whole;   // the dma-buf over all of it
};

landfall_errc check_limit(const pages::Call& call, std::uint64_t size_bytes) {
  const std::int64_t limit = pages::read_number(kLimit);
  if (limit < 0 || size_bytes <= static_cast<std::uint64_t>(limit) * kMiB) return LANDFALL_ERRC_ok;
  return authoring::fix(
      call.why,
      authoring::refuse(call.why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_udmabuf_limit,
                        LANDFALL_ORIGIN_LANDFALL, 0,
                        "a udmabuf may have %" PRId64 " MiB (size_limit_mb); asked for are %" PRIu64
                        " bytes",
                        limit, size_bytes),
      "echo %" PRIu64 " > %s", size_bytes / kMiB + 1, kLimit);
}

// UDMABUF_CREATE wants F_SEAL_SHRINK and no F_SEAL_WRITE (drivers/dma-buf/udmabuf.c).
landfall_errc create(const pages::Call& call, const Region& region, std::uint64_t offset,
                     std::uint64_t length, Fd* ret_fd) {
  udmabuf_create request{};
  request.memfd = static_cast<std::uint32_t>(region.backing.memfd.get());
  request.flags = UDMABUF_FLAGS_CLOEXEC;
  request.offset = offset;
  request.size = length;
  int number = call.fault("ioctl");
  Fd fd{number == 0 ? ::ioctl(region.device.get(), UDMABUF_CREATE, &request) : -1};
  if (!fd) {
    if (number == 0) number = errno;
    return authoring::refuse(call.why, authoring::errc_of(number), LANDFALL_REASON_none,
                             LANDFALL_ORIGIN_OS, number,
                             "UDMABUF_CREATE of %" PRIu64 " bytes at %" PRIu64 " failed: errno %d",
                             length, offset, number);
  }
  *ret_fd = std::move(fd);
  return LANDFALL_ERRC_ok;
}

landfall_errc check(const pages::Call& call, const landfall_memory_spec* given,
                    landfall_memory_spec* ret_spec, pages::Recipe* ret_recipe, Fd* ret_device) {
  if (const auto code = pages::read_spec(given, kTakes, ret_spec, call.why);
      code != LANDFALL_ERRC_ok)
    return code;
  if (const auto code =
          pages::open_device(call, kDevice, LANDFALL_REASON_no_udmabuf_device, ret_device);
      code != LANDFALL_ERRC_ok)
    return code;
  std::uint64_t page_bytes = ret_spec->page_bytes;
  if (ret_spec->fd >= 0) {
    pages::Memfd memfd;
    if (const auto code = pages::adopt_memfd(call, ret_spec->fd, &memfd); code != LANDFALL_ERRC_ok)
      return code;
    if (page_bytes == 0) page_bytes = memfd.page_bytes;
    if (ret_spec->size_bytes == 0) ret_spec->size_bytes = memfd.size_bytes;
  }
  if (page_bytes == 0) page_bytes = pages::system_page_bytes();
  *ret_recipe = {
      .page_bytes = page_bytes, .huge = page_bytes != pages::system_page_bytes(), .memfd = true};
  if (const auto code = check_limit(call, ret_spec->size_bytes); code != LANDFALL_ERRC_ok)
    return code;
  return pages::check_backing(call, *ret_spec, *ret_recipe);
}

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    landfall_memory_spec spec{};
    pages::Recipe recipe;
    Fd device;
    return check(pages::call_of(given, reterr_why), given, &spec, &recipe, &device);
  });
}

landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const pages::Call call = pages::call_of(given, reterr_why);
    landfall_memory_spec spec{};
    pages::Recipe recipe;
    auto region = std::make_unique<Region>();
    region->host = call.host;
    if (const auto code = check(call, given, &spec, &recipe, &region->device);
        code != LANDFALL_ERRC_ok)
      return code;
    landfall_memory memory = *ret_memory;
    if (const auto code = pages::make_backing(call, spec, recipe, &region->backing, &memory);
        code != LANDFALL_ERRC_ok)
      return code;
    // Now rather than at the first export: a refusal belongs to who asks for the memory.
    if (const auto code = create(call, *region, 0, memory.size_bytes, &region->whole);
        code != LANDFALL_ERRC_ok)
      return code;
    memory.flags |= LANDFALL_MEM_DMABUF | LANDFALL_MEM_DMABUF_RANGES;
    *ret_memory = memory;
    *ret_region = reinterpret_cast<landfall_region*>(region.release());
    return std::int32_t{LANDFALL_ERRC_ok};
  });
}

void release(landfall_region* region) noexcept {
  delete reinterpret_cast<Region*>(region);
}

landfall_errc export_dmabuf(landfall_region* region, std::uint64_t offset, std::uint64_t length,
                            std::int32_t* ret_fd, std::uint64_t* ret_offset,
                            landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const Region& own = *reinterpret_cast<Region*>(region);
    Fd fd;
    const auto code = create({own.host, reterr_why}, own, offset, length, &fd);
    if (code != LANDFALL_ERRC_ok) return code;
    *ret_fd = fd.release();
    *ret_offset = 0;
    return code;
  });
}

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, export_dmabuf, nullptr};

}  // namespace
}  // namespace landfall

extern "C" constinit const landfall_backend landfall_builtin_memory_udmabuf =
    landfall::authoring::describe(
        &landfall::kOps, "udmabuf", "0.1.0",
        "a sealed memfd made a dma-buf by /dev/udmabuf, with a host view");
