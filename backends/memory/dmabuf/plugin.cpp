// SPDX-License-Identifier: Apache-2.0
// The memory source `dmabuf`: a dma-buf that the application brings.
#include <linux/magic.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cinttypes>

#include "pages/pages.hpp"

namespace landfall {
namespace {

// Whether the exporter keeps the pages resident is its secret: locked and populated are refused.
constexpr std::uint32_t kTakes = pages::kTakesNoHostView | pages::kTakesAdopt;

// Checks that it is a dma-buf and how much of it is meant; ret_spec->size_bytes is that, after.
landfall_errc check(const pages::Call& call, const landfall_memory_spec* given,
                    landfall_memory_spec* ret_spec) {
  if (const auto code = pages::read_spec(given, kTakes, ret_spec, call.why);
      code != LANDFALL_ERRC_ok)
    return code;
  if (ret_spec->fd < 0)
    return authoring::fix(
        call.why,
        authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_not_a_dmabuf,
                          LANDFALL_ORIGIN_LANDFALL, 0,
                          "the source dmabuf makes no memory: it adopts a dma-buf"),
        "set RegionSpec::adopt to the descriptor of a dma-buf");
  struct statfs system {};
  int number = call.fault("fstatfs");
  if (number == 0 && ::fstatfs(ret_spec->fd, &system) != 0) number = errno;
  if (number != 0 || system.f_type != DMA_BUF_MAGIC)
    return authoring::refuse(
        call.why,
        number == 0 ? std::int32_t{LANDFALL_ERRC_invalid_argument} : authoring::errc_of(number),
        LANDFALL_REASON_not_a_dmabuf, LANDFALL_ORIGIN_OS, number,
        "descriptor %d is not a dma-buf (file system type 0x%lx, wanted is 0x%lx)", ret_spec->fd,
        static_cast<unsigned long>(system.f_type), static_cast<unsigned long>(DMA_BUF_MAGIC));
  number = call.fault("lseek");
  const off_t real = number == 0 ? ::lseek(ret_spec->fd, 0, SEEK_END) : -1;
  if (real < 0)
    return authoring::refuse_os(call.why, "lseek(SEEK_END)", LANDFALL_REASON_none,
                                number != 0 ? number : errno);
  return pages::used_size(call, ret_spec->size_bytes, static_cast<std::uint64_t>(real),
                          pages::system_page_bytes(), &ret_spec->size_bytes);
}

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    landfall_memory_spec spec{};
    return check(pages::call_of(given, reterr_why), given, &spec);
  });
}

landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const pages::Call call = pages::call_of(given, reterr_why);
    landfall_memory_spec spec{};
    if (const auto code = check(call, given, &spec); code != LANDFALL_ERRC_ok) return code;
    std::int32_t copy = -1;
    if (const auto code = pages::duplicate(call, spec.fd, &copy); code != LANDFALL_ERRC_ok)
      return code;
    return pages::make_dmabuf_region(call, spec, Fd{copy}, ret_region, ret_memory);
  });
}

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0,      probe, allocate, pages::release_dmabuf,
    pages::export_whole,         nullptr};

}  // namespace
}  // namespace landfall

extern "C" constinit const landfall_backend landfall_builtin_memory_dmabuf =
    landfall::authoring::describe(&landfall::kOps, "dmabuf", "0.1.0",
                                  "a dma-buf that the application brings");
