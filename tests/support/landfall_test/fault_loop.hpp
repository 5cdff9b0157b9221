// SPDX-License-Identifier: Apache-2.0
// Fails every outside call of an action once, and says what was left behind.
#pragma once
#include <cerrno>
#include <cstddef>
#include <string>
#include <vector>

#include "landfall_test/census.hpp"
#include "landfall_test/fault_plan.hpp"

namespace landfall::test {

struct FaultLoop {
  std::size_t calls = 0;              // outside calls that the action makes
  std::vector<std::string> survived;  // sites whose failure the action got over
  std::vector<std::string> leaked;    // sites whose failure left a descriptor or mapping behind
};

/// `attempt` does the whole action, drops what it got and answers whether it succeeded.
template <class Attempt>
FaultLoop fail_each_call(FaultPlan& plan, Attempt&& attempt, int number = EIO) {
  FaultLoop result;
  for (;; ++result.calls) {
    FdCensus fds;
    MapCensus maps;
    plan.fail(result.calls, number);
    const bool succeeded = attempt();
    const bool hit = plan.hit();
    const auto seen = plan.seen();
    plan.clear();
    if (!hit) return result;
    const std::string& site = seen.at(result.calls);
    if (succeeded) result.survived.push_back(site);
    if (fds.leaked() != 0 || maps.leaked() != 0) result.leaked.push_back(site);
  }
}

}  // namespace landfall::test
