// SPDX-License-Identifier: Apache-2.0
// Texts made from the command table.
#pragma once
#include <string>
#include <string_view>

#include "command_table.hpp"

namespace landfall::cli {

/// `landfall help`.
std::string help_text();
/// `landfall help VERB`.
std::string help_text(const CommandRow& command);
/// The completion script for bash, zsh or fish; "" for another shell.
std::string completion_script(std::string_view shell);

}  // namespace landfall::cli
