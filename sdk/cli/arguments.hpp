// SPDX-License-Identifier: Apache-2.0
// The command line, parsed and checked against the command table.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "command_table.hpp"
#include "landfall/base/result.hpp"

namespace landfall::cli {

class Arguments {
 public:
  const CommandRow* command = nullptr;  // nullptr: no verb, see version and help
  std::map<std::string, std::vector<std::string>, std::less<>> values;  // flags: {""}
  std::vector<std::string> positionals;

  bool has(std::string_view option) const { return values.find(option) != values.end(); }
  /// The value given, else that of its environment variable, else the table's default.
  std::string value(std::string_view option) const;
  std::vector<std::string> all(std::string_view option) const;
  /// A whole number in [least, most]. Errors: invalid_argument, naming the option.
  Result<std::uint64_t> number(std::string_view option, std::uint64_t least,
                               std::uint64_t most) const;
};

/// A wrong command line: what to print; the exit status is kExitUsage.
struct UsageError {
  std::string message;
};

std::variant<Arguments, UsageError> parse_arguments(int argc, const char* const* argv);

}  // namespace landfall::cli
