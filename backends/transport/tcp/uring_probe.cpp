// SPDX-License-Identifier: Apache-2.0
// Whether io_uring works here, found out by doing it: no version number is asked.
#include <sys/socket.h>
#include <unistd.h>

#include "tcp/queue.hpp"
#include "tcp/uring_ring.hpp"

namespace landfall::tcp {
namespace {

landfall_errc missing(landfall_why* why, const char* what, int number) {
  return authoring::fix(
      why,
      authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_io_uring_feature_missing,
                        LANDFALL_ORIGIN_OS, number, "io_uring: %s: errno %d", what, number),
      "boot Linux 6.1 or later, or use engine=recv");
}

/// One byte through a multishot receive into a provided buffer. *turns: with a limit to what it
/// takes at once, which kernels before Linux 6.17 refuse (io_uring/net.c, io_recvmsg_prep); then
/// false.
landfall_errc receive_a_byte(UringRing& ring, bool* turns, landfall_why* why) {
  int ends[2] = {-1, -1};
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return authoring::refuse_os(why, "socketpair", LANDFALL_REASON_nofile_limit, errno);
  const Fd ours{ends[0]};
  const Fd peer{ends[1]};
  char buffer[16] = {};
  ring.add_buffer(buffer, sizeof buffer);
  ring.publish_buffers();
  if (::send(peer.get(), "x", 1, MSG_NOSIGNAL) != 1)
    return missing(why, "no byte could be sent", EIO);
  const io_uring_cqe* cqe = nullptr;
  for (*turns = true;; *turns = false) {
    io_uring_sqe* sqe = ring.request();
    if (sqe == nullptr) return missing(why, "no request could be made", EIO);
    io_uring_prep_recv_multishot(sqe, ours.get(), nullptr, *turns ? sizeof buffer : 0, 0);
    sqe->flags |= IOSQE_BUFFER_SELECT;
    const int code = ring.enter_and_wait(1, 1'000'000'000);
    cqe = ring.peek();
    if (cqe == nullptr) return missing(why, "no completion", code < 0 ? -code : ETIME);
    if (cqe->res != -EINVAL || !*turns) break;
    ring.done_with_one();
  }
  if (cqe->res != 1 || (cqe->flags & IORING_CQE_F_MORE) == 0 || buffer[0] != 'x')
    return missing(why, "no multishot receive", cqe->res < 0 ? -cqe->res : EIO);
  // Here the buffer goes out of scope: the receive must be over.
  ring.done_with_one();
  io_uring_sqe* sqe = ring.request();
  if (sqe == nullptr) return missing(why, "no request could be made", EIO);
  io_uring_prep_cancel64(sqe, 0, IORING_ASYNC_CANCEL_ANY);
  ring.enter_and_wait(1, 1'000'000'000);
  return LANDFALL_ERRC_ok;
}

}  // namespace

landfall_errc probe_uring(const landfall_host* host, bool* ret_turns, landfall_why* why) {
  UringRing ring;
  if (const auto code = ring.open(host, 4, 8, 1, why); code != LANDFALL_ERRC_ok) return code;
  if (const int code = ring.enable(); code < 0)
    return missing(why, "IORING_REGISTER_ENABLE_RINGS", -code);
  return receive_a_byte(ring, ret_turns, why);
}

}  // namespace landfall::tcp
