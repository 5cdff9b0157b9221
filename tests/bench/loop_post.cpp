// SPDX-License-Identifier: Apache-2.0
// Messages of 1 MiB, each whole into the same buffer: recv(MSG_WAITALL).
#include "harness.hpp"

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  bench::pin(1);
  std::string pages;
  char* const buffer = bench::region(bench::kMessage, pages);
  const int fd = bench::accept_one(bench::listen_anywhere());
  bench::tell_ready();
  bench::Meter meter{arguments.number("bytes", 4ull << 30)};
  for (;;) {
    const ssize_t got = ::recv(fd, buffer, bench::kMessage, MSG_WAITALL);
    if (got <= 0) bench::die("recv");
    if (!meter.count(static_cast<std::uint64_t>(got))) break;
  }
  meter.report(pages);
}
