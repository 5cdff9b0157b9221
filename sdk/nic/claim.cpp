// SPDX-License-Identifier: Apache-2.0
#include "nic/claim.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <cerrno>
#include <cstddef>
#include <cstring>
#include <string>

namespace landfall::nic {
namespace {

Error in_use(const char* op, int number, const char* what) {
  return Error{Errc::busy, op, ReasonCode::region_in_use, Origin::os, number}.with(what);
}

Error failed(const char* op) {
  return os_error(op, errno == EMFILE ? ReasonCode::nofile_limit : ReasonCode::none);
}

/// A socket bound to an abstract address, which at most one in a network namespace can have. Busy:
/// another has it.
Result<Fd> take_name(const std::string& name) {
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  if (name.size() >= sizeof address.sun_path) return Error{Errc::invalid_argument, "claim"};
  std::memcpy(address.sun_path + 1, name.data(), name.size());  // the first byte 0: abstract
  const auto length = static_cast<socklen_t>(offsetof(sockaddr_un, sun_path) + 1 + name.size());
  Fd fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (!fd) return failed("socket(AF_UNIX)");
  if (::bind(fd.get(), reinterpret_cast<const sockaddr*>(&address), length) == 0) return fd;
  if (errno == EADDRINUSE)
    return Error{Errc::busy, "bind(AF_UNIX)", ReasonCode::none, Origin::os, errno};
  return failed("bind(AF_UNIX)");
}

Result<Fd> take_dmabuf(int dmabuf_fd) {
  struct stat st {};
  if (::fstat(dmabuf_fd, &st) != 0) return os_error("fstat", ReasonCode::not_a_dmabuf);
  // A dma-buf's inode is its own (dma_buf_getfile, Linux 5.3), on a device that has no others.
  const std::string name = "landfall/bound/" + std::to_string(st.st_dev) + ":" +
                           std::to_string(static_cast<std::uint64_t>(st.st_ino));
  Result<Fd> taken = take_name(name);
  if (!taken && taken.error().code() == Errc::busy)
    return in_use("bind(AF_UNIX)", EADDRINUSE, "this dma-buf is bound to receive queues already");
  return taken;
}

/// Locks belong to open file descriptions, and the memfd's own is shared by all who were given it.
Result<Fd> take_range(const Backing& backing) {
  const std::string path = "/proc/self/fd/" + std::to_string(backing.memfd);
  Fd fd{::open(path.c_str(), O_RDWR | O_CLOEXEC)};
  if (!fd) return os_error("open(memfd)", ReasonCode::not_a_memfd);
  struct flock lock {};
  lock.l_type = F_WRLCK;
  lock.l_whence = SEEK_SET;
  lock.l_start = static_cast<off_t>(backing.offset_bytes);
  lock.l_len = static_cast<off_t>(backing.length_bytes);
  if (::fcntl(fd.get(), F_OFD_SETLK, &lock) == 0) return fd;
  if (errno == EAGAIN || errno == EACCES)
    return in_use("fcntl(F_OFD_SETLK)", errno,
                  "another dma-buf over this memory is bound to receive queues already");
  return failed("fcntl(F_OFD_SETLK)");
}

}  // namespace

Result<Fd> take_queue(const std::string& nic, std::uint32_t interface_index,
                      std::uint32_t queue_id) {
  const std::string queue = std::to_string(interface_index) + ":" + std::to_string(queue_id);
  Result<Fd> taken = take_name("landfall/queue/" + nic + queue);
  if (!taken && taken.error().code() == Errc::busy)
    return Error{Errc::busy, "bind(AF_UNIX)", ReasonCode::queue_busy, Origin::os, EADDRINUSE}.with(
        "another Group has chosen queue " + std::to_string(queue_id));
  return taken;
}

Result<Claim> Claim::take(int dmabuf_fd, const Backing& backing) {
  LANDFALL_TRY(Fd name, take_dmabuf(dmabuf_fd));
  Fd range;
  if (backing.memfd >= 0) {
    LANDFALL_TRY(range, take_range(backing));
  }
  return Claim{std::move(name), std::move(range)};
}

}  // namespace landfall::nic
