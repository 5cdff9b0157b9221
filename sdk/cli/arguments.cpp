// SPDX-License-Identifier: Apache-2.0
// The only file that sees CLI11: it splits the command line, the command table says what is right.
#include "arguments.hpp"

#include <CLI/CLI.hpp>
#include <charconv>
#include <cstdlib>

#include "base/nearest.hpp"

namespace landfall::cli {
namespace {

std::string did_you_mean(std::string_view prefix, std::string_view word) {
  return word.empty() ? "" : "; did you mean " + std::string{prefix} + std::string{word} + "?";
}

UsageError usage(const CommandRow* command, const std::string& what) {
  std::string where = "landfall";
  if (command != nullptr) where += " " + std::string{command->name};
  return {where + ": " + what + "\nSee: landfall help" +
          (command == nullptr ? "" : " " + std::string{command->name})};
}

UsageError unknown_verb(std::string_view word) {
  std::vector<std::string_view> names;
  for (const CommandRow& row : commands()) names.push_back(row.name);
  return usage(nullptr, "no verb '" + std::string{word} + "'" +
                            did_you_mean("", detail::nearest(word, names)));
}

UsageError unknown_word(const CommandRow& command, std::string_view word) {
  if (!word.starts_with("-") || word == "-")
    return usage(&command, "what is '" + std::string{word} + "' for?");
  std::string_view name = word.substr(0, word.find('='));
  name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
  if (name == "json") return usage(&command, "it has no JSON output");
  std::vector<std::string_view> names;
  for (const OptionRow& row : command.options) names.push_back(row.name);
  return usage(&command, "no option '" + std::string{word} + "'" +
                             did_you_mean("--", detail::nearest(name, names)));
}

/// Values of a fixed set are checked here, so that every verb refuses them alike.
std::optional<UsageError> check_words(const CommandRow& command, const Arguments& arguments) {
  for (const OptionRow& row : command.options) {
    if (row.words.empty()) continue;
    const std::string value = arguments.value(row.name);
    std::vector<std::string_view> words;
    for (std::string_view rest = row.words; !rest.empty();) {
      const std::size_t space = std::min(rest.find(' '), rest.size());
      words.push_back(rest.substr(0, space));
      rest.remove_prefix(std::min(space + 1, rest.size()));
    }
    if (std::find(words.begin(), words.end(), value) == words.end()) {
      return usage(&command, "--" + std::string{row.name} +
                                 " takes one of: " + std::string{row.words} + "; not '" + value +
                                 "'" + did_you_mean("", detail::nearest(value, words)));
    }
  }
  return std::nullopt;
}

std::variant<Arguments, UsageError> parse_verb(const CommandRow& command, int argc,
                                               const char* const* argv) {
  CLI::App app{std::string{command.summary}};
  app.set_help_flag();  // "--help" is a row of the table like any other
  std::map<std::string, std::vector<std::string>, std::less<>> values;
  std::vector<std::string> positionals;
  std::vector<std::pair<const OptionRow*, CLI::Option*>> options;
  for (const OptionRow& row : command.options) {
    const std::string name =
        (row.letter == 0 ? "" : std::string{'-', row.letter} + ",") + "--" + std::string{row.name};
    CLI::Option* option = nullptr;
    if (row.value.empty()) {
      option = app.add_flag(name);
    } else {
      option =
          app.add_option(name, values[std::string{row.name}])->expected(1)->allow_extra_args(false);
      if (!row.many) option->multi_option_policy(CLI::MultiOptionPolicy::Throw);
      if (row.many) option->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    }
    options.emplace_back(&row, option);
  }
  // One more than fits, so that it is refused below by its name.
  app.add_option("positional", positionals)
      ->expected(0, static_cast<int>(command.positionals_max) + 1);
  app.allow_extras();
  try {
    app.parse(argc, argv);
  } catch (const CLI::ArgumentMismatch&) {
    for (const auto& [row, option] : options) {
      if (option->count() > 1 && !row->many)
        return usage(&command, "--" + std::string{row->name} + " is given more than once");
    }
    for (const auto& [row, option] : options) {
      const std::string name = "--" + std::string{row->name};
      if (!row->value.empty() && std::string_view{argv[argc - 1]} == name)
        return usage(&command, name + " needs a value: " + std::string{row->value});
    }
    return usage(&command, "an option lacks its value");
  } catch (const CLI::ParseError& error) {
    return usage(&command, error.what());
  }
  if (const auto rest = app.remaining(); !rest.empty()) return unknown_word(command, rest.front());

  if (positionals.size() > command.positionals_max)
    return unknown_word(command, positionals[command.positionals_max]);

  Arguments arguments;
  arguments.command = &command;
  arguments.positionals = std::move(positionals);
  for (const auto& [row, option] : options) {
    if (option->count() == 0) continue;
    auto& given = arguments.values[std::string{row->name}];
    given = row->value.empty() ? std::vector<std::string>{""} : values[std::string{row->name}];
  }
  if (!arguments.has("help") && arguments.positionals.size() < command.positionals_min)
    return usage(&command, "needs " + std::string{command.positional});
  if (const auto wrong = check_words(command, arguments)) return *wrong;
  return arguments;
}

}  // namespace

std::string Arguments::value(std::string_view option) const {
  if (const auto it = values.find(option); it != values.end()) return it->second.back();
  const OptionRow* row = command == nullptr ? nullptr : command->option(option);
  if (row == nullptr) return {};
  if (!row->environment.empty()) {
    const char* set = std::getenv(std::string{row->environment}.c_str());
    if (set != nullptr && *set != '\0') return set;
  }
  return std::string{row->fallback};
}

std::vector<std::string> Arguments::all(std::string_view option) const {
  const auto it = values.find(option);
  return it == values.end() ? std::vector<std::string>{} : it->second;
}

Result<std::uint64_t> Arguments::number(std::string_view option, std::uint64_t least,
                                        std::uint64_t most) const {
  const std::string text = value(option);
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || end != text.data() + text.size() || number < least || number > most) {
    return Error{Errc::invalid_argument, ""}.with(
        "--" + std::string{option} + " takes a whole number from " + std::to_string(least) +
        " to " + std::to_string(most) + ", not '" + text + "'");
  }
  return number;
}

std::variant<Arguments, UsageError> parse_arguments(int argc, const char* const* argv) {
  if (argc < 2) return usage(nullptr, "which verb? info, doctor, recv, send, bench, explain");
  const std::string_view word{argv[1]};
  if (word == "--help" || word == "-h" || word == "--version") {
    Arguments arguments;
    arguments.values[word == "--version" ? "version" : "help"] = {""};
    return arguments;
  }
  if (word.starts_with("-")) {
    std::vector<std::string_view> names;
    for (const OptionRow& row : global_options()) names.push_back(row.name);
    std::string_view name = word;
    name.remove_prefix(std::min(name.find_first_not_of('-'), name.size()));
    return usage(nullptr, "no option '" + std::string{word} + "' before the verb" +
                              did_you_mean("--", detail::nearest(name, names)));
  }
  const CommandRow* command = find_command(word);
  if (command == nullptr) return unknown_verb(word);
  return parse_verb(*command, argc - 1, argv + 1);
}

}  // namespace landfall::cli
