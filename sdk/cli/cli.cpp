// SPDX-License-Identifier: Apache-2.0
#include "cli.hpp"

#include <unistd.h>

#include <array>

#include "exit_code.hpp"
#include "help.hpp"
#include "landfall/version.hpp"
#include "setup_guard.hpp"
#include "variables.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

int print_or_fail(const std::string& text) {
  return print(stdout, text) ? kExitOk : kExitFailure;
}

int run_help(const Arguments& arguments, Console& console) {
  if (arguments.positionals.empty()) return print_or_fail(help_text());
  const CommandRow* command = find_command(arguments.positionals.front());
  if (command != nullptr) return print_or_fail(help_text(*command));
  console.message("no verb '" + printable(arguments.positionals.front()) + "'");
  return kExitUsage;
}

int run_completion(const Arguments& arguments, Console& console) {
  const std::string script = completion_script(arguments.positionals.front());
  if (!script.empty()) return print_or_fail(script);
  console.message("no completion for '" + printable(arguments.positionals.front()) +
                  "': bash, zsh or fish");
  return kExitUsage;
}

struct Verb {
  std::string_view name;
  int (*run)(const Arguments&, Console&);
};
constexpr std::array<Verb, 17> kVerbs{{{"info", run_info},
                                       {"doctor", run_doctor},
                                       {"topo", run_topo},
                                       {"recv", run_recv},
                                       {"send", run_send},
                                       {"bench", run_bench},
                                       {"explain", run_explain},
                                       {"validate", run_validate},
                                       {"schema", run_schema},
                                       {"plan", run_plan},
                                       {"apply", run_apply},
                                       {"confirm", run_confirm},
                                       {"rollback", run_rollback},
                                       {"restore", run_restore},
                                       {"status", run_status},
                                       {"completion", run_completion},
                                       {"help", run_help}}};

}  // namespace

int run(int argc, const char* const* argv) {
  if (argc == 3 && std::string_view{argv[1]} == "setup-guard") return run_setup_guard(argv[2]);
  const auto parsed = parse_arguments(argc, argv);
  if (const auto* wrong = std::get_if<UsageError>(&parsed)) {
    print(stderr, wrong->message + "\n");
    return kExitUsage;
  }
  const auto& arguments = std::get<Arguments>(parsed);
  if (arguments.command == nullptr) {
    return arguments.has("version") ? print_or_fail("landfall " + std::string{version()} + "\n")
                                    : print_or_fail(help_text());
  }
  if (arguments.has("help")) return print_or_fail(help_text(*arguments.command));
  Console console{std::string{arguments.command->name}};
  for (const UnknownVariable& unknown : unknown_variables(::environ)) {
    console.warning(
        "the variable " + printable(unknown.name) + " means nothing here" +
        (unknown.nearest.empty() ? "" : "; did you mean " + std::string{unknown.nearest} + "?"));
  }
  for (const Verb& verb : kVerbs) {
    if (verb.name == arguments.command->name) return verb.run(arguments, console);
  }
  return kExitUsage;
}

}  // namespace landfall::cli
