// SPDX-License-Identifier: Apache-2.0
#include "policy_file.hpp"

#include <iostream>

#include "exit_code.hpp"
#include "landfall/base/limits.hpp"

namespace landfall::cli {

Result<Policy> read_policy(const std::string& file, PolicyFindings& findings) {
  if (file != "-") return Policy::load(file, findings);
  std::string text(std::size_t{kPolicyBytesMax} + 1, '\0');
  std::cin.read(text.data(), static_cast<std::streamsize>(text.size()));
  text.resize(static_cast<std::size_t>(std::cin.gcount()));
  return Policy::parse(text, findings);
}

std::string shown_name(const std::string& file) {
  return file == "-" ? "(standard input)" : printable(file);
}

std::optional<Policy> read_policy_or_tell(const std::string& file, const Console& console,
                                          int& ret_exit) {
  PolicyFindings findings;
  Result<Policy> policy = read_policy(file, findings);
  if (policy) return std::move(*policy);
  for (const PolicyFinding& finding : findings) print(stderr, describe(finding, shown_name(file)));
  ret_exit = kExitData;
  if (findings.empty()) {
    const Error& error = policy.error();
    console.error(error.with(std::string{error.cause()} + ": " + shown_name(file)));
    ret_exit = exit_of(error);
  }
  return std::nullopt;
}

}  // namespace landfall::cli
