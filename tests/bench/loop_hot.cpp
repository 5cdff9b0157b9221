// SPDX-License-Identifier: Apache-2.0
// The limit of one copy where memory is free at once: recv() into one 64 KiB buffer that never
// leaves the cache. any=1: it listens on all addresses.
#include "harness.hpp"

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  bench::pin(1);
  std::string pages;
  char* const buffer = bench::region(bench::kPiece, pages);
  const in_addr_t at = arguments.number("any", 0) != 0 ? INADDR_ANY : INADDR_LOOPBACK;
  const int fd = bench::accept_one(bench::listen_anywhere(at));
  bench::tell_ready();
  bench::Meter meter{arguments.number("bytes", 4ull << 30)};
  for (;;) {
    const ssize_t got = ::recv(fd, buffer, bench::kPiece, 0);
    if (got <= 0) bench::die("recv");
    if (!meter.count(static_cast<std::uint64_t>(got))) break;
  }
  meter.report(pages);
}
