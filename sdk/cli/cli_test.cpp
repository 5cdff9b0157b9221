// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstdlib>
#include <set>

#include "arguments.hpp"
#include "console.hpp"
#include "exit_code.hpp"
#include "help.hpp"
#include "landing.hpp"
#include "variables.hpp"

namespace landfall::cli {
namespace {

std::variant<Arguments, UsageError> parse(std::vector<const char*> words) {
  words.insert(words.begin(), "landfall");
  return parse_arguments(static_cast<int>(words.size()), words.data());
}
std::string refusal(std::vector<const char*> words) {
  const auto parsed = parse(std::move(words));
  const auto* wrong = std::get_if<UsageError>(&parsed);
  return wrong == nullptr ? "" : wrong->message.substr(0, wrong->message.find('\n'));
}

// Goal: misspelt verbs, options, values and variables get the word that was meant.
TEST(Arguments, SuggestWhatWasMeant) {
  EXPECT_EQ(refusal({"docter"}), "landfall: no verb 'docter'; did you mean doctor?");
  EXPECT_EQ(refusal({"zzz"}), "landfall: no verb 'zzz'");
  EXPECT_EQ(refusal({"recv", "--lisen", "x"}),
            "landfall recv: no option '--lisen'; did you mean --listen?");
  EXPECT_EQ(refusal({"recv", "--contract", "alow-copy"}),
            "landfall recv: --contract takes one of: require-direct prefer-direct allow-copy; "
            "not 'alow-copy'; did you mean allow-copy?");
  EXPECT_EQ(refusal({"--versoin"}),
            "landfall: no option '--versoin' before the verb; did you mean --version?");
  const std::array<const char*, 5> environment{"LANDFALL_MEMRY=hugepage", "LANDFALL_SIZE=1MiB",
                                               "LANDFALLX=1", "LANDFALL_LAB_CACHE=/x", nullptr};
  const auto unknown = unknown_variables(environment.data());
  ASSERT_EQ(unknown.size(), 1u);
  EXPECT_EQ(unknown[0].name, "LANDFALL_MEMRY");
  EXPECT_EQ(unknown[0].nearest, "LANDFALL_MEMORY");
}

// Goal: every kind of wrong command line is refused, each by name.
TEST(Arguments, RefuseWhatIsWrong) {
  EXPECT_NE(refusal({}), "");
  EXPECT_EQ(refusal({"completion", "bash", "--json"}),
            "landfall completion: it has no JSON output");
  EXPECT_EQ(refusal({"recv", "--to"}),
            "landfall recv: --to needs a value: FILE|DIR|-|exec:PROGRAM");
  EXPECT_EQ(refusal({"recv", "--to", "a", "--to", "b"}),
            "landfall recv: --to is given more than once");
  EXPECT_EQ(refusal({"send"}), "landfall send: needs FILE|DIR|-");
  EXPECT_EQ(refusal({"send", "a", "b"}), "landfall send: what is 'b' for?");
  EXPECT_EQ(refusal({"info", "-x"}), "landfall info: no option '-x'");
}

// Goal: values come from the command line, then the environment, then the table.
TEST(Arguments, ValuesHaveThreeSources) {
  ::unsetenv("LANDFALL_MEMORY");
  auto parsed = parse({"recv", "--to", "-"});
  EXPECT_EQ(std::get<Arguments>(parsed).value("to"), "-");
  EXPECT_EQ(std::get<Arguments>(parsed).value("memory"), "host");
  ::setenv("LANDFALL_MEMORY", "hugepage", 1);
  EXPECT_EQ(std::get<Arguments>(parsed).value("memory"), "hugepage");
  parsed = parse({"recv", "--memory=udmabuf", "--option", "tcp.a=1", "--option", "tcp.b=2"});
  EXPECT_EQ(std::get<Arguments>(parsed).value("memory"), "udmabuf");
  EXPECT_EQ(std::get<Arguments>(parsed).all("option"),
            (std::vector<std::string>{"tcp.a=1", "tcp.b=2"}));
  ::unsetenv("LANDFALL_MEMORY");
  const auto& arguments = std::get<Arguments>(parsed);
  EXPECT_TRUE(arguments.number("flows", 1, 10));
  parsed = parse({"recv", "--flows", "0x3"});
  EXPECT_FALSE(std::get<Arguments>(parsed).number("flows", 1, 10));
  parsed = parse({"recv", "--flows", "11"});
  EXPECT_FALSE(std::get<Arguments>(parsed).number("flows", 1, 10));
}

// Goal: queues are numbers and ranges, each once; anything else is refused.
TEST(Queues, AreNumbersAndRanges) {
  using Numbers = std::vector<std::uint32_t>;
  EXPECT_EQ(*parse_queues("3"), Numbers{3});
  EXPECT_EQ(*parse_queues("3,1"), (Numbers{3, 1}));
  EXPECT_EQ(*parse_queues("0,4-7"), (Numbers{0, 4, 5, 6, 7}));
  for (const char* text : {"", "a", "3,", ",3", "3,3", "1-3,2", "7-4", "4-", "-4", "1-2-3", "0-999",
                           "65536", "99999999999", "1 2"})
    EXPECT_FALSE(parse_queues(text)) << text;
}

// Goal: addresses read and print as everywhere else.
TEST(Addresses, ReadAndPrint) {
  const auto good = [](const std::string& text, const std::string& host, std::uint16_t port) {
    const auto address = parse_address(text);
    ASSERT_TRUE(address) << text;
    EXPECT_EQ(address->host, host);
    EXPECT_EQ(address->port, port);
  };
  good("[::1]:5201", "::1", 5201);
  good("127.0.0.1:0", "127.0.0.1", 0);
  good(":80", "", 80);
  good("host.example:65535", "host.example", 65535);
  for (const char* text :
       {"", "host", "::1:80", "[::1]", "[::1", "[::1]80", "a:", "a:65536", "a:-1", "a:8x"})
    EXPECT_FALSE(parse_address(text)) << text;
  EXPECT_EQ(format_address({"::1", 80}), "[::1]:80");
  EXPECT_EQ(format_address({"10.0.0.1", 80}), "10.0.0.1:80");
  EXPECT_EQ(format_address({"", 80}), "[::]:80");
}

// Goal: the table has no double, and help and completion name each verb and option in it.
TEST(CommandTable, IsWholeInHelpAndCompletion) {
  std::set<std::string_view> verbs;
  const std::string all = help_text();
  for (const CommandRow& command : commands()) {
    EXPECT_TRUE(verbs.insert(command.name).second) << command.name;
    EXPECT_NE(all.find("\n  " + std::string{command.name} + " "), std::string::npos);
    const std::string help = help_text(command);
    std::set<std::string_view> names;
    for (const OptionRow& row : command.options) {
      EXPECT_TRUE(names.insert(row.name).second) << command.name << " " << row.name;
      EXPECT_EQ(row.words.empty(), row.complete != Complete::words) << row.name;
      EXPECT_NE(help.find("--" + std::string{row.name}), std::string::npos);
      for (const char* shell : {"bash", "zsh"})
        EXPECT_NE(completion_script(shell).find("--" + std::string{row.name}), std::string::npos);
      EXPECT_NE(completion_script("fish").find("-l " + std::string{row.name}), std::string::npos);
    }
    EXPECT_TRUE(names.contains("help")) << command.name;
  }
  EXPECT_EQ(completion_script("tcsh"), "");
  // `help VERB` offers the other verbs, in a second copy of their names.
  std::string others;
  for (const CommandRow& command : commands()) {
    if (command.name != "help") others += (others.empty() ? "" : " ") + std::string{command.name};
  }
  EXPECT_EQ(find_command("help")->words, others);
}

// Goal: the exit status says what a caller can do.
TEST(ExitCodes, FollowTheTable) {
  const auto exit = [](Errc code, ReasonCode reason = ReasonCode::none) {
    return exit_of(Error{code, "test", reason});
  };
  EXPECT_EQ(exit(Errc::ok), kExitOk);
  EXPECT_EQ(exit(Errc::invalid_argument), kExitUsage);
  EXPECT_EQ(exit(Errc::invalid_argument, ReasonCode::stream_checksum), kExitData);
  EXPECT_EQ(exit(Errc::not_supported), kExitUnsupported);
  EXPECT_EQ(exit(Errc::contract_broken), kExitUnsupported);
  EXPECT_EQ(exit(Errc::permission_denied), kExitPermission);
  EXPECT_EQ(exit(Errc::busy), kExitBusy);
  EXPECT_EQ(exit(Errc::timed_out), kExitBusy);
  EXPECT_EQ(exit(Errc::flow_reset), kExitFailure);
  EXPECT_EQ(exit(Errc::io), kExitFailure);
  EXPECT_EQ(exit(Errc::not_found, ReasonCode::memory_source_unknown), kExitUsage);
}

// Goal: what a sender chose cannot steer the terminal.
TEST(Console, EscapesForeignNames) {
  EXPECT_EQ(printable("a b"), "a b");
  EXPECT_EQ(printable("\x1b[31m\n\xff\\"), "\\x1b[31m\\x0a\\xff\\x5c");
  EXPECT_EQ(format_rate(1234567), "1.23 MB/s");
  EXPECT_EQ(format_decimal(999), "999 B");
}

}  // namespace
}  // namespace landfall::cli
