// SPDX-License-Identifier: Apache-2.0
// For scripts that compare: prints how far apart processors 0 and 1 are, in ns.
#include "core_distance.hpp"

int main() {
  std::printf("%.0f\n", bench::round_trip_ns());
}
