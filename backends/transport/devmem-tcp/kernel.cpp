// SPDX-License-Identifier: Apache-2.0
#include "devmem-tcp/kernel.hpp"

#include <netinet/in.h>

#include <cerrno>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"
#include "shared/ordinary.hpp"

namespace landfall::devmem {

constinit const Kernel kRealKernel{
    .recvmsg = [](int fd, msghdr* message, int flags) noexcept -> ssize_t {
      return ::recvmsg(fd, message, flags);
    },
    .dontneed = [](int fd, const DmabufToken* ranges, std::uint32_t count) noexcept -> int {
      return ::setsockopt(fd, SOL_SOCKET, uapi::devmem::kSoDontneed, ranges,
                          static_cast<socklen_t>(count * sizeof *ranges));
    },
    .incoming_napi = transport::incoming_napi,
};

landfall_errc probe_kernel(const landfall_host* host, landfall_why* reterr_why) {
  int fd = -1;
  const int number = authoring::attempt(host, "socket", [&] {
    return fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, IPPROTO_TCP);
  });
  if (number != 0) return authoring::refuse_os(reterr_why, "socket", LANDFALL_REASON_none, number);
  const Fd socket{fd};
  // A kernel that knows the option gives nothing back, and says so.
  const DmabufToken nothing{};
  const int refused = authoring::attempt(
      host, "setsockopt", [&] { return kRealKernel.dontneed(socket.get(), &nothing, 1); });
  if (refused == 0) return LANDFALL_ERRC_ok;
  if (refused != ENOPROTOOPT && refused != EINVAL)
    return authoring::refuse_os(reterr_why, "setsockopt(SO_DEVMEM_DONTNEED)", LANDFALL_REASON_none,
                                refused);
  return authoring::refuse(reterr_why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_kernel_too_old,
                           LANDFALL_ORIGIN_OS, refused,
                           "devmem TCP needs Linux 6.12 or later with CONFIG_NET_DEVMEM");
}

}  // namespace landfall::devmem
