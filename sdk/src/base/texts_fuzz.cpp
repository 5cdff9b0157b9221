// SPDX-License-Identifier: Apache-2.0
// Goal: what a user types, a size or the name of a reason, is read or refused within bounds.
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "landfall/base/reason.hpp"
#include "landfall/base/units.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  if (auto bytes = landfall::parse_bytes(text)) {
    if (*bytes > (std::uint64_t{1} << 63) - 1) std::abort();
    if (landfall::format_bytes(*bytes).size() > 12) std::abort();
  }
  const landfall::ReasonInfo* found = landfall::find_reason(text);
  const auto nearest = landfall::nearest_reason_name(text);
  if (nearest && landfall::find_reason(*nearest) == nullptr) std::abort();
  if (found != nullptr && landfall::find_reason(found->code) != found) std::abort();
  return 0;
}
