// SPDX-License-Identifier: Apache-2.0
// The one table of verbs and options: the parser, the help, the completion and the test of the man
// pages read it.
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace landfall::cli {

/// What the shell offers for a value.
enum class Complete { nothing, words, file, directory };

struct OptionRow {
  std::string_view name;         // without "--"
  std::string_view value;        // "ADDR:PORT"; "": a flag
  std::string_view help;         // one line
  std::string_view fallback;     // when it is not given; "": none
  std::string_view environment;  // variable that gives the default; "": none
  Complete complete = Complete::nothing;
  std::string_view words{};  // Complete::words: separated by spaces; also the only values allowed
  bool many = false;         // may be repeated
  char letter = 0;           // "-o", too
};

struct CommandRow {
  std::string_view name;
  std::string_view summary;       // one line
  std::string_view positional{};  // "FILE|DIR|-"; "": none
  std::size_t positionals_min = 0, positionals_max = 0;
  Complete complete = Complete::nothing;
  std::string_view words{};
  std::span<const OptionRow> options{};

  const OptionRow* option(std::string_view option_name) const noexcept;
};

std::span<const CommandRow> commands() noexcept;
const CommandRow* find_command(std::string_view name) noexcept;
/// Options of `landfall` itself.
std::span<const OptionRow> global_options() noexcept;

}  // namespace landfall::cli
