// SPDX-License-Identifier: Apache-2.0
// The limit of device memory TCP: recvmsg() of what there is, and one return of all its tokens, in
// ranges. interface=NAME queue=N bytes=N; header split is on and a rule steers to the queue
// already.
#include <fcntl.h>
#include <linux/udmabuf.h>
#include <net/if.h>
#include <sys/ioctl.h>

#include "harness.hpp"
#include "lab/nic/netlink.hpp"
#include "landfall/uapi/devmem.hpp"
#include "landfall/uapi/netdev.hpp"

namespace {

using namespace landfall::uapi::devmem;
namespace netdev = landfall::uapi::netdev;

/// Bound as long as the netlink socket lives.
void bind_pool(landfall::lab::Netlink& netlink, const bench::Arguments& arguments) {
  const int memory = ::memfd_create("loop", MFD_ALLOW_SEALING);
  udmabuf_create create{};
  create.memfd = static_cast<std::uint32_t>(memory);
  create.size = bench::kRegion;
  if (::ftruncate(memory, bench::kRegion) != 0 || ::fcntl(memory, F_ADD_SEALS, F_SEAL_SHRINK) != 0)
    bench::die("memfd");
  const int dmabuf = ::ioctl(::open("/dev/udmabuf", O_RDWR | O_CLOEXEC), UDMABUF_CREATE, &create);
  if (dmabuf < 0) bench::die("udmabuf");
  landfall::lab::Request request{netlink.family(netdev::kFamily), netdev::kBindRx};
  request.put(netdev::kDmabufIfindex, ::if_nametoindex(arguments.text("interface", "lf0").c_str()));
  request.put(netdev::kDmabufFd, static_cast<std::uint32_t>(dmabuf));
  const auto queue = request.nest(netdev::kDmabufQueues);
  request.put(netdev::kQueueId, static_cast<std::uint32_t>(arguments.number("queue", 0)));
  request.put(netdev::kQueueType, std::uint32_t{netdev::kRx});
  request.end(queue);
  netlink.ask(request, 0);
}

}  // namespace

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  bench::pin(1);
  landfall::lab::Netlink netlink;
  bind_pool(netlink, arguments);
  const int fd = bench::accept_one(bench::listen_anywhere(INADDR_ANY));
  bench::tell_ready();
  bench::Meter meter{arguments.number("bytes", 4ull << 30)};
  static char copied[16 << 20];  // its length limits a call; what is linear would be written here
  alignas(cmsghdr) static char control[256 * CMSG_SPACE(sizeof(DmabufCmsg))];
  for (;;) {
    iovec all{copied, sizeof copied};
    msghdr message{};
    message.msg_iov = &all;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    const ssize_t got = ::recvmsg(fd, &message, kMsgSockDevmem);
    if (got <= 0) bench::die("recvmsg");
    DmabufToken tokens[256];
    std::size_t ranges = 0;
    for (cmsghdr* head = CMSG_FIRSTHDR(&message); head; head = CMSG_NXTHDR(&message, head)) {
      if (head->cmsg_level != SOL_SOCKET || head->cmsg_type != kScmDmabuf) continue;
      const std::uint32_t token = reinterpret_cast<DmabufCmsg*>(CMSG_DATA(head))->frag_token;
      if (ranges > 0 && tokens[ranges - 1].token_start + tokens[ranges - 1].token_count == token)
        ++tokens[ranges - 1].token_count;
      else
        tokens[ranges++] = {token, 1};
    }
    for (std::size_t at = 0; at < ranges; at += kTokenRangesMax)
      ::setsockopt(fd, SOL_SOCKET, kSoDontneed, tokens + at,
                   static_cast<socklen_t>(std::min(ranges - at, kTokenRangesMax) * sizeof *tokens));
    if (!meter.count(static_cast<std::uint64_t>(got))) break;
  }
  meter.report("udmabuf");
}
