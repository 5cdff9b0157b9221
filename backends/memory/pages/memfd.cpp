// SPDX-License-Identifier: Apache-2.0
// memfds: made sealed, adopted only when sealed.
#include <fcntl.h>
#include <linux/magic.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <bit>
#include <cinttypes>

#include "pages.hpp"

namespace landfall::pages {
namespace {

const char* kind_of(int fd) noexcept {
  struct stat status {};
  if (::fstat(fd, &status) != 0) return "not an open descriptor";
  switch (status.st_mode & S_IFMT) {
    case S_IFDIR:
      return "a folder";
    case S_IFIFO:
      return "a pipe";
    case S_IFSOCK:
      return "a socket";
    case S_IFCHR:
    case S_IFBLK:
      return "a device";
    case S_IFREG:
      return "a file of another file system, or opened with O_PATH";
    default:
      return "an anonymous kernel object";
  }
}

landfall_errc not_memfd(const Call& call, int fd, int number) {
  return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_not_a_memfd,
                           LANDFALL_ORIGIN_OS, number, "descriptor %d is not a memfd: it is %s", fd,
                           kind_of(fd));
}

}  // namespace

landfall_errc make_memfd(const Call& call, std::uint64_t size_bytes, std::uint64_t huge_page_bytes,
                         Fd* ret_fd) {
  rlimit limit{};
  ::getrlimit(RLIMIT_FSIZE, &limit);  // past it, ftruncate(2) would raise SIGXFSZ
  if (limit.rlim_cur != RLIM_INFINITY && size_bytes > limit.rlim_cur)
    return authoring::refuse(call.why, LANDFALL_ERRC_limit_reached, LANDFALL_REASON_fsize_limit,
                             LANDFALL_ORIGIN_OS, EFBIG,
                             "a memfd of %" PRIu64 " bytes is larger than RLIMIT_FSIZE, %" PRIu64,
                             size_bytes, static_cast<std::uint64_t>(limit.rlim_cur));
  unsigned flags = MFD_CLOEXEC | MFD_ALLOW_SEALING;
  if (huge_page_bytes != 0)
    flags |= MFD_HUGETLB | static_cast<unsigned>(std::countr_zero(huge_page_bytes))
                               << MAP_HUGE_SHIFT;  // as MFD_HUGE_SHIFT
  int number = call.fault("memfd_create");
  Fd fd{number == 0 ? ::memfd_create("landfall", flags) : -1};
  if (!fd) {
    if (number == 0) number = errno;
    const bool full = number == EMFILE || number == ENFILE;
    return authoring::refuse_os(call.why, "memfd_create",
                                full ? LANDFALL_REASON_nofile_limit : LANDFALL_REASON_none, number);
  }
  number = call.fault("ftruncate");
  if (number == 0 && ::ftruncate(fd.get(), static_cast<off_t>(size_bytes)) != 0) number = errno;
  if (number != 0)
    return authoring::refuse_os(
        call.why, "ftruncate",
        number == ENOMEM ? LANDFALL_REASON_out_of_memory : LANDFALL_REASON_none, number);
  number = call.fault("fcntl");
  if (number == 0 && ::fcntl(fd.get(), F_ADD_SEALS, F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL) != 0)
    number = errno;
  if (number != 0)
    return authoring::refuse_os(call.why, "fcntl(F_ADD_SEALS)", LANDFALL_REASON_none, number);
  *ret_fd = std::move(fd);
  return LANDFALL_ERRC_ok;
}

landfall_errc adopt_memfd(const Call& call, int fd, Memfd* ret_memfd) {
  int number = call.fault("fcntl");
  const int seals = number == 0 ? ::fcntl(fd, F_GET_SEALS) : -1;
  if (seals < 0) {
    if (number != 0) return authoring::refuse_os(call.why, "fcntl", LANDFALL_REASON_none, number);
    return not_memfd(call, fd, errno);
  }
  constexpr int kWanted = F_SEAL_SHRINK | F_SEAL_SEAL;
  if ((seals & kWanted) != kWanted)
    return authoring::refuse(
        call.why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_memfd_not_sealed,
        LANDFALL_ORIGIN_LANDFALL, 0,
        "descriptor %d has the seals 0x%x: F_SEAL_SHRINK and F_SEAL_SEAL (0x%x)"
        " are needed, so that it can never shrink under a reader",
        fd, static_cast<unsigned>(seals), static_cast<unsigned>(kWanted));
  const int mode = ::fcntl(fd, F_GETFL);
  if ((seals & (F_SEAL_WRITE | F_SEAL_FUTURE_WRITE)) != 0 || (mode & O_ACCMODE) != O_RDWR)
    return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_memory_write_sealed, LANDFALL_ORIGIN_LANDFALL, 0,
                             "descriptor %d cannot be written: it is %s", fd,
                             (mode & O_ACCMODE) != O_RDWR ? "not open for reading and writing"
                                                          : "sealed against writing");
  struct stat status {};
  struct statfs system {};
  number = call.fault("fstat");
  if (number == 0 && (::fstat(fd, &status) != 0 || ::fstatfs(fd, &system) != 0)) number = errno;
  if (number != 0) return authoring::refuse_os(call.why, "fstat", LANDFALL_REASON_none, number);
  number = call.fault("fcntl");
  auto copy = number == 0 ? Fd::duplicate(fd) : os_error("fcntl", ReasonCode::none, number);
  if (!copy)
    return authoring::refuse_os(call.why, "fcntl(F_DUPFD_CLOEXEC)",
                                static_cast<std::uint32_t>(copy.error().reason()),
                                copy.error().native());
  ret_memfd->fd = std::move(*copy);
  ret_memfd->size_bytes = static_cast<std::uint64_t>(status.st_size);
  ret_memfd->page_bytes = system.f_type == HUGETLBFS_MAGIC
                              ? static_cast<std::uint64_t>(system.f_bsize)
                              : system_page_bytes();
  return LANDFALL_ERRC_ok;
}

landfall_errc used_size(const Call& call, std::uint64_t declared, std::uint64_t real,
                        std::uint64_t page_bytes, std::uint64_t* ret_size_bytes) {
  if (declared > real)
    return authoring::refuse(call.why, LANDFALL_ERRC_invalid_argument,
                             LANDFALL_REASON_shorter_than_declared, LANDFALL_ORIGIN_LANDFALL, 0,
                             "declared are %" PRIu64 " bytes, behind the descriptor are %" PRIu64,
                             declared, real);
  const std::uint64_t size_bytes = declared == 0 ? real : declared;
  const auto code = check_size(call, size_bytes, page_bytes);
  if (code == LANDFALL_ERRC_ok) *ret_size_bytes = size_bytes;
  return code;
}

}  // namespace landfall::pages
