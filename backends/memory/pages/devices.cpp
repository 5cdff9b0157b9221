// SPDX-License-Identifier: Apache-2.0
// Kernel devices that make dma-bufs, and the dma-bufs themselves.
#include <fcntl.h>
#include <sys/mman.h>

#include "pages.hpp"

namespace landfall::pages {

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
      return LANDFALL_ERRC_ok;
    default:
      return authoring::refuse_os(
          call.why, "mmap", number == ENOMEM ? LANDFALL_REASON_out_of_memory : LANDFALL_REASON_none,
          number);
  }
}

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
