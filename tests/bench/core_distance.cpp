// SPDX-License-Identifier: Apache-2.0
// For scripts that compare: prints how far apart processors 0 and 1 are most of the time, in ns.
// Given that as its argument: exits with 0 where they are so now, else with 1.
#include "core_distance.hpp"

int main(int count, char** values) {
  if (count == 2) return bench::CoreDistance{std::strtod(values[1], nullptr)}.is_usual() ? 0 : 1;
  std::printf("%.0f\n", bench::CoreDistance{}.usual_ns());
}
