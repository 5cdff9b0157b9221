// SPDX-License-Identifier: Apache-2.0
// The limit of one copy where memory is in use for long: recv() of 64 KiB pieces that walks a
// Region of 64 MiB huge pages.
#include "harness.hpp"

int main(int count, char** values) {
  const bench::Arguments arguments{count, values};
  bench::pin(1);
  std::string pages;
  char* const region = bench::region(bench::kRegion, pages);
  const int fd = bench::accept_one(bench::listen_anywhere());
  bench::tell_ready();
  bench::Meter meter{arguments.number("bytes", 4ull << 30)};
  for (std::size_t at = 0;; at = (at + bench::kPiece) % bench::kRegion) {
    const ssize_t got = ::recv(fd, region + at, bench::kPiece, 0);
    if (got <= 0) bench::die("recv");
    if (!meter.count(static_cast<std::uint64_t>(got))) break;
  }
  meter.report(pages);
}
