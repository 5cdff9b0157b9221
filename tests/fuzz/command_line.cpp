// SPDX-License-Identifier: Apache-2.0
// Goal: any command line is understood or refused with words; an address that is understood is the
// same after being printed and read again.
#include <string>
#include <vector>

#include "arguments.hpp"
#include "bytes.hpp"
#include "landing.hpp"

namespace {

using landfall::fuzz::require;

/// The input's parts between NULs are the words.
void parse_words(std::string_view text) {
  std::vector<std::string> words{"landfall"};
  while (!text.empty() && words.size() < 64) {
    const std::string_view word = text.substr(0, text.find('\0'));
    words.emplace_back(word);
    text.remove_prefix(std::min(text.size(), word.size() + 1));
  }
  std::vector<const char*> argv;
  for (const std::string& word : words) argv.push_back(word.c_str());
  argv.push_back(nullptr);
  const auto parsed = landfall::cli::parse_arguments(static_cast<int>(words.size()), argv.data());
  if (const auto* refused = std::get_if<landfall::cli::UsageError>(&parsed)) {
    require(!refused->message.empty());
    return;
  }
  const auto& arguments = std::get<landfall::cli::Arguments>(parsed);
  if (arguments.command == nullptr) return;
  for (const landfall::cli::OptionRow& option : arguments.command->options) {
    (void)arguments.value(option.name);
    (void)arguments.number(option.name, 0, 1000).has_value();
  }
}

void parse_an_address(const std::string& text) {
  const auto address = landfall::cli::parse_address(text);
  if (!address) return;
  const auto again = landfall::cli::parse_address(landfall::cli::format_address(*address));
  require(again.has_value());
  // No host is the same as "::", and is printed so.
  require(again->host == (address->host.empty() ? "::" : address->host));
  require(again->port == address->port);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  parse_words(text);
  parse_an_address(std::string{text});
  return 0;
}
