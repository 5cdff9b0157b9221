// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sched.h>
#include <sys/socket.h>
#include <unistd.h>

namespace landfall::lab {

/// Each processor receives something: it keeps some packets that another one has freed until then
/// (skb_attempt_defer_free), and with them the pages of a binding.
inline void free_deferred() {
  const int fd = ::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
  sockaddr_in discard{};
  discard.sin_family = AF_INET;
  discard.sin_port = htons(9);
  discard.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  cpu_set_t usual, one;
  ::sched_getaffinity(0, sizeof usual, &usual);
  for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
    if (!CPU_ISSET(cpu, &usual)) continue;
    CPU_ZERO(&one);
    CPU_SET(cpu, &one);
    ::sched_setaffinity(0, sizeof one, &one);
    ::sendto(fd, "x", 1, 0, reinterpret_cast<const sockaddr*>(&discard), sizeof discard);
  }
  ::sched_setaffinity(0, sizeof usual, &usual);
  ::close(fd);
}

}  // namespace landfall::lab
