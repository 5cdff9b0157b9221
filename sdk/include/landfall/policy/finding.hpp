// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/base/error.hpp"

namespace landfall {

/// One thing that is wrong in a policy, and where it stands.
struct PolicyFinding {
  ReasonCode code = ReasonCode::none;
  std::uint32_t line = 0, column = 0;  // from 1, in characters; 0: the file as a whole
  std::string path;                    // "receivers.ingest.queues[2]"; "" the whole document
  std::string message;                 // "'queus' is not known here"
  std::string hint;                    // "did you mean 'queues'?"; "" none
  std::string source;                  // that line of the file, shortened
  std::uint32_t source_column = 0;     // where in `source` the caret belongs, from 0
};

/// By place, at most kPolicyFindingsMax.
using PolicyFindings = std::vector<PolicyFinding>;

/// "file:12:9: error[LF1512]: message", the line, a caret below it, "hint: ..."; each line ends
/// with a newline. Control characters of the file are shown as '?'.
LANDFALL_API std::string describe(const PolicyFinding& finding, std::string_view file);

}  // namespace landfall
