// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string>

#include "console.hpp"
#include "landfall/policy/policy.hpp"

namespace landfall::cli {

/// Of a file, or of standard input: "-". Errors: those of Policy::load.
Result<Policy> read_policy(const std::string& file, PolicyFindings& findings);
/// How messages name it.
std::string shown_name(const std::string& file);
/// nullopt: it has been told what is wrong, on standard error, and this is the exit status.
std::optional<Policy> read_policy_or_tell(const std::string& file, const Console& console,
                                          int& ret_exit);

}  // namespace landfall::cli
