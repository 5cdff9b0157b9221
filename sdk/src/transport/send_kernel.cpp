// SPDX-License-Identifier: Apache-2.0
#include "transport/send_kernel.hpp"

#include <fcntl.h>
#include <linux/errqueue.h>
#include <netinet/in.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>

#include "landfall/uapi/devmem.hpp"

namespace landfall::detail {
namespace {

ssize_t send(int fd, iovec* pieces, std::size_t count, std::uint32_t dmabuf_id,
             int flags) noexcept {
  msghdr message{};
  message.msg_iov = pieces;
  message.msg_iovlen = count;
  alignas(cmsghdr) char control[CMSG_SPACE(sizeof dmabuf_id)]{};
  if (dmabuf_id != 0) {
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    cmsghdr* header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = uapi::devmem::kScmDmabuf;
    header->cmsg_len = CMSG_LEN(sizeof dmabuf_id);
    std::memcpy(CMSG_DATA(header), &dmabuf_id, sizeof dmabuf_id);
  }
  return ::sendmsg(fd, &message, flags);
}

int notice(int fd, SendNotice* ret_notice) noexcept {
  for (;;) {
    // Room for the address that comes with other errors (IP_RECVERR) as well.
    alignas(cmsghdr) char control[CMSG_SPACE(sizeof(sock_extended_err) + sizeof(sockaddr_in6))];
    msghdr message{};
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    if (::recvmsg(fd, &message, MSG_ERRQUEUE | MSG_DONTWAIT) < 0) {
      if (errno == EINTR) continue;
      return errno == EAGAIN ? 0 : -1;
    }
    for (cmsghdr* header = CMSG_FIRSTHDR(&message); header != nullptr;
         header = CMSG_NXTHDR(&message, header)) {
      if (!(header->cmsg_level == SOL_IP && header->cmsg_type == IP_RECVERR) &&
          !(header->cmsg_level == SOL_IPV6 && header->cmsg_type == IPV6_RECVERR))
        continue;
      sock_extended_err error{};
      std::memcpy(&error, CMSG_DATA(header), sizeof error);
      if (error.ee_origin != SO_EE_ORIGIN_ZEROCOPY) continue;
      *ret_notice = {error.ee_info, error.ee_data,
                     (error.ee_code & SO_EE_CODE_ZEROCOPY_COPIED) != 0};
      return 1;
    }
  }
}

// vmsplice(2) takes the page by the same function of the kernel as sendmsg(2) with MSG_ZEROCOPY
// (iov_iter_get_pages2), and sends nothing.
int hold(const void* address) noexcept {
  int ends[2];
  if (::pipe2(ends, O_CLOEXEC | O_NONBLOCK) != 0) return errno;
  iovec piece{const_cast<void*>(address), 1};
  const int number = ::vmsplice(ends[1], &piece, 1, SPLICE_F_NONBLOCK) < 0 ? errno : 0;
  ::close(ends[0]);
  ::close(ends[1]);
  return number;
}

}  // namespace

constinit const SendKernel kRealSendKernel{.send = send, .notice = notice, .hold = hold};
constinit const SendKernel* send_kernel = &kRealSendKernel;

}  // namespace landfall::detail
