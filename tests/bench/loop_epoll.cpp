// SPDX-License-Identifier: Apache-2.0
// Many flows on one thread: epoll, then recv() of up to 64 KiB from each that has something, all
// into one buffer that never leaves the cache.
#include <sys/epoll.h>

#include <array>

#include "harness.hpp"

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  const auto flows = static_cast<int>(arguments.number("flows", 1));
  bench::raise_descriptor_limit(static_cast<std::uint64_t>(flows) + 64);
  bench::pin(1);
  std::string pages;
  char* const buffer = bench::region(bench::kPiece, pages);
  const int listener = bench::listen_anywhere();
  const int epoll = ::epoll_create1(EPOLL_CLOEXEC);
  for (int i = 0; i < flows; ++i) {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.fd = bench::accept_one(listener);
    if (::epoll_ctl(epoll, EPOLL_CTL_ADD, event.data.fd, &event) != 0) bench::die("epoll_ctl");
  }
  bench::tell_ready();
  bench::Meter meter{arguments.number("bytes", 4ull << 30)};
  std::array<epoll_event, 256> ready;
  for (bool more = true; more;) {
    const int found = ::epoll_wait(epoll, ready.data(), static_cast<int>(ready.size()), -1);
    if (found < 0) bench::die("epoll_wait");
    for (int i = 0; i < found && more; ++i) {
      const ssize_t got = ::recv(ready[i].data.fd, buffer, bench::kPiece, MSG_DONTWAIT);
      if (got <= 0) bench::die("recv");
      more = meter.count(static_cast<std::uint64_t>(got));
    }
  }
  meter.report(pages);
}
