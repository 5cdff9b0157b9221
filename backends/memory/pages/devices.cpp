// SPDX-License-Identifier: Apache-2.0
// Kernel devices that make dma-bufs, and the dma-bufs themselves.
#include <fcntl.h>
#include <sys/mman.h>

#include <memory>

#include "pages.hpp"

namespace landfall::pages {
namespace {

// What NVIDIA's driver answers (580.159; include/linux/errno.h). Not for user space, so it has no
// name there.
constexpr int kEnotsupp = 524;

void describe_dmabuf(const Mapping& view, std::uint64_t size_bytes, landfall_memory* ret_memory) {
  const std::uint32_t struct_size = ret_memory->struct_size;
  *ret_memory = landfall_memory{};
  ret_memory->struct_size = struct_size;
  ret_memory->flags = LANDFALL_MEM_DMABUF;
  if (view) {
    ret_memory->flags |= LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE | LANDFALL_MEM_SHARED;
    ret_memory->device_kind = 1;  // DLPack: CPU
  }
  ret_memory->size_bytes = size_bytes;
  ret_memory->page_bytes = system_page_bytes();
  ret_memory->host = view.address();
  ret_memory->numa_node = -1;
}

}  // namespace

landfall_errc map_dmabuf(const Call& call, int fd, std::uint64_t size_bytes, Mapping* ret_mapping) {
  int number = call.fault("mmap");
  void* address = MAP_FAILED;
  if (number == 0) {
    address = ::mmap(nullptr, size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (address == MAP_FAILED) number = errno;
  }
  switch (number) {
    case 0:
      *ret_mapping = Mapping{address, size_bytes, true};
      return LANDFALL_ERRC_ok;
    case EINVAL:  // no mmap operation: dma_buf_mmap_internal, drivers/dma-buf/dma-buf.c
    case EACCES:
    case EPERM:
    case ENODEV:
    case ENOTTY:
    case EOPNOTSUPP:
    case kEnotsupp:
      return LANDFALL_ERRC_ok;
    default:
      return authoring::refuse_os(
          call.why, "mmap", number == ENOMEM ? LANDFALL_REASON_out_of_memory : LANDFALL_REASON_none,
          number);
  }
}

landfall_errc duplicate(const Call& call, int fd, std::int32_t* ret_fd) {
  const int number = call.fault("fcntl");
  auto copy = number == 0 ? Fd::duplicate(fd) : os_error("fcntl", ReasonCode::none, number);
  if (!copy)
    return authoring::refuse_os(call.why, "fcntl(F_DUPFD_CLOEXEC)",
                                static_cast<std::uint32_t>(copy.error().reason()),
                                copy.error().native());
  *ret_fd = copy->release();
  return LANDFALL_ERRC_ok;
}

landfall_errc make_dmabuf_region(const Call& call, const landfall_memory_spec& spec, Fd fd,
                                 landfall_region** ret_region, landfall_memory* ret_memory) {
  auto region = std::make_unique<Dmabuf>();
  region->host = call.host;
  region->fd = std::move(fd);
  if ((spec.flags & LANDFALL_WANT_NO_HOST_VIEW) == 0)
    if (const auto code = map_dmabuf(call, region->fd.get(), spec.size_bytes, &region->view);
        code != LANDFALL_ERRC_ok)
      return code;
  describe_dmabuf(region->view, spec.size_bytes, ret_memory);
  *ret_region = reinterpret_cast<landfall_region*>(region.release());
  return LANDFALL_ERRC_ok;
}

void release_dmabuf(landfall_region* region) noexcept {
  delete reinterpret_cast<Dmabuf*>(region);
}

landfall_errc export_whole(landfall_region* region, std::uint64_t offset, std::uint64_t,
                           std::int32_t* ret_fd, std::uint64_t* ret_offset,
                           landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const Dmabuf& own = *reinterpret_cast<Dmabuf*>(region);
    *ret_offset = offset;
    return duplicate({own.host, reterr_why}, own.fd.get(), ret_fd);
  });
}

landfall_errc open_device(const Call& call, const char* path, std::uint32_t missing, Fd* ret_fd) {
  int number = call.fault("open");
  Fd fd{number == 0 ? ::open(path, O_RDWR | O_CLOEXEC) : -1};
  if (fd) {
    *ret_fd = std::move(fd);
    return LANDFALL_ERRC_ok;
  }
  if (number == 0) number = errno;
  switch (number) {
    case ENOENT:
    case ENOTDIR:
    case ENODEV:
    case ENXIO:
      return authoring::refuse(call.why, LANDFALL_ERRC_not_supported, missing, LANDFALL_ORIGIN_OS,
                               number, "there is no %s", path);
    case EACCES:
    case EPERM:
      return authoring::fix(call.why,
                            authoring::refuse(call.why, LANDFALL_ERRC_permission_denied,
                                              LANDFALL_REASON_not_permitted, LANDFALL_ORIGIN_OS,
                                              number, "this user may not open %s", path),
                            "ls -l %s shows the group to join", path);
    case EMFILE:
    case ENFILE:
      return authoring::refuse_os(call.why, "open", LANDFALL_REASON_nofile_limit, number);
    default:
      return authoring::refuse(call.why, authoring::errc_of(number), LANDFALL_REASON_none,
                               LANDFALL_ORIGIN_OS, number, "open of %s failed: errno %d", path,
                               number);
  }
}

}  // namespace landfall::pages
