// SPDX-License-Identifier: Apache-2.0
// Goal: any text is a policy, or is refused with findings, within bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "landfall/base/limits.hpp"
#include "landfall/policy/policy.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  landfall::PolicyFindings findings;
  const auto policy = landfall::Policy::parse(text, findings);
  if (policy ? !findings.empty() : findings.empty()) std::abort();
  if (findings.size() > landfall::kPolicyFindingsMax) std::abort();
  for (const landfall::PolicyFinding& finding : findings) {
    if (landfall::describe(finding, "p").size() > 4096) std::abort();
  }
  return 0;
}
