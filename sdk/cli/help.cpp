// SPDX-License-Identifier: Apache-2.0
#include "help.hpp"

#include <algorithm>

#include "exit_code.hpp"

namespace landfall::cli {
namespace {

std::string padded(std::string text, std::size_t width) {
  text.resize(std::max(text.size() + 2, width), ' ');
  return text;
}

std::string option_lines(std::span<const OptionRow> options) {
  std::string out;
  for (const OptionRow& row : options) {
    std::string head = row.letter == 0 ? "  " : "  -" + std::string{row.letter} + ", ";
    head += "--" + std::string{row.name};
    if (!row.value.empty()) head += " " + std::string{row.value};
    out += padded(std::move(head), 28) + std::string{row.help};
    if (!row.words.empty()) out += ": " + std::string{row.words};
    if (!row.fallback.empty()) out += " (default " + std::string{row.fallback} + ")";
    if (!row.environment.empty()) out += " [" + std::string{row.environment} + "]";
    out += "\n";
  }
  return out;
}

}  // namespace

std::string help_text() {
  std::string out =
      "landfall - zero-copy receive: where do the bytes land, and who copied them?\n\n";
  out += "usage: landfall VERB [OPTIONS]\n\nverbs:\n";
  for (const CommandRow& row : commands())
    out += padded("  " + std::string{row.name}, 16) + std::string{row.summary} + "\n";
  out += "\noptions:\n" + option_lines(global_options()) + "\nexit status:\n";
  for (const ExitMeaning& row : kExitMeanings)
    out += padded("  " + std::to_string(row.code), 8) + std::string{row.meaning} + "\n";
  out += "\nlandfall help VERB shows a verb's options; man landfall-VERB says more.\n";
  return out;
}

std::string help_text(const CommandRow& command) {
  const std::string name{command.name};
  std::string out = "landfall " + name + " - " + std::string{command.summary} +
                    "\n\nusage: landfall " + name + " [OPTIONS]";
  if (!command.positional.empty()) {
    const bool optional = command.positionals_min == 0;
    out += std::string{optional ? " [" : " "} + std::string{command.positional} +
           (optional ? "]" : "");
  }
  return out + "\n\noptions:\n" + option_lines(command.options);
}

}  // namespace landfall::cli
