// SPDX-License-Identifier: Apache-2.0
// The memory source `dma-heap`: a dma-buf from a heap in /dev/dma_heap.
#include <dirent.h>
#include <fcntl.h>
#include <linux/dma-heap.h>
#include <sys/ioctl.h>

#include <cinttypes>
#include <string>
#include <utility>

#include "pages/pages.hpp"

namespace landfall {
namespace {

// locked and populated hold by themselves: a heap's pages are there from the start and stay.
constexpr std::uint32_t kTakes = pages::kTakesNoHostView | pages::kTakesPopulated |
                                 pages::kTakesLocked | pages::kTakesDeviceName;
constexpr const char* kFolder = "/dev/dma_heap";

std::string heaps() {
  std::string found;
  DIR* folder = ::opendir(kFolder);
  if (folder == nullptr) return "none";
  while (const dirent* entry = ::readdir(folder))
    if (entry->d_name[0] != '.') found += (found.empty() ? "" : ", ") + std::string{entry->d_name};
  ::closedir(folder);
  return found.empty() ? "none" : found;
}

landfall_errc open_heap(const pages::Call& call, const landfall_memory_spec& spec, Fd* ret_fd) {
  const std::string name = spec.device_name == nullptr ? "system" : spec.device_name;
  const bool plain = !name.empty() && name.front() != '.' && name.find('/') == std::string::npos;
  landfall_errc code = LANDFALL_ERRC_not_supported;
  if (plain) {
    const std::string path = std::string{kFolder} + "/" + name;
    code = pages::open_device(call, path.c_str(), LANDFALL_REASON_no_dma_heap_device, ret_fd);
    if (code != LANDFALL_ERRC_not_supported) return code;
  }
  return authoring::refuse(call.why, code, LANDFALL_REASON_no_dma_heap_device,
                           LANDFALL_ORIGIN_LANDFALL, 0,
                           "there is no heap \"%.40s\" in %s; the heaps there: %s", name.c_str(),
                           kFolder, heaps().c_str());
}

landfall_errc check(const pages::Call& call, const landfall_memory_spec* given,
                    landfall_memory_spec* ret_spec, Fd* ret_heap) {
  if (const auto code = pages::read_spec(given, kTakes, ret_spec, call.why);
      code != LANDFALL_ERRC_ok)
    return code;
  if (const auto code = open_heap(call, *ret_spec, ret_heap); code != LANDFALL_ERRC_ok) return code;
  if (const auto code = pages::check_size(call, ret_spec->size_bytes, pages::system_page_bytes());
      code != LANDFALL_ERRC_ok)
    return code;
  return pages::check_available(call, ret_spec->size_bytes);
}

landfall_errc take_from(const pages::Call& call, int heap, std::uint64_t size_bytes, Fd* ret_fd) {
  dma_heap_allocation_data request{};
  request.len = size_bytes;
  request.fd_flags = O_RDWR | O_CLOEXEC;
  int number = call.fault("ioctl");
  if (number == 0 && ::ioctl(heap, DMA_HEAP_IOCTL_ALLOC, &request) != 0) number = errno;
  if (number != 0)
    return authoring::refuse(
        call.why, authoring::errc_of(number),
        number == ENOMEM ? LANDFALL_REASON_out_of_memory : LANDFALL_REASON_none, LANDFALL_ORIGIN_OS,
        number, "the heap did not give %" PRIu64 " bytes: errno %d", size_bytes, number);
  *ret_fd = Fd{static_cast<int>(request.fd)};
  return LANDFALL_ERRC_ok;
}

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    landfall_memory_spec spec{};
    Fd heap;
    return check(pages::call_of(given, reterr_why), given, &spec, &heap);
  });
}

landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const pages::Call call = pages::call_of(given, reterr_why);
    landfall_memory_spec spec{};
    Fd heap;
    if (const auto code = check(call, given, &spec, &heap); code != LANDFALL_ERRC_ok) return code;
    Fd dmabuf;
    if (const auto code = take_from(call, heap.get(), spec.size_bytes, &dmabuf);
        code != LANDFALL_ERRC_ok)
      return code;
    const auto code =
        pages::make_dmabuf_region(call, spec, std::move(dmabuf), ret_region, ret_memory);
    if (code == LANDFALL_ERRC_ok) ret_memory->flags |= LANDFALL_MEM_LOCKED;
    return code;
  });
}

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0,      probe, allocate, pages::release_dmabuf,
    pages::export_whole,         nullptr};

}  // namespace
}  // namespace landfall

extern "C" constinit const landfall_backend landfall_builtin_memory_dma_heap =
    landfall::authoring::describe(&landfall::kOps, "dma-heap", "0.1.0",
                                  "a dma-buf from a heap in /dev/dma_heap");
