// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "policy_file.hpp"
#include "report.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

Json json_of_finding(const PolicyFinding& finding, const std::string& file) {
  return {{"file", file},
          {"line", finding.line},
          {"column", finding.column},
          {"path", finding.path},
          {"code", reason_id(finding.code)},
          {"message", finding.message},
          {"hint", finding.hint}};
}

std::string summary_of(const Policy& policy, const std::string& file) {
  const auto count = [](std::size_t n, const char* what) {
    return std::to_string(n) + " " + what + (n == 1 ? "" : "s");
  };
  return file + ": valid: " + count(policy.receivers.size(), "receiver") + ", " +
         count(policy.flows.size(), "flow") + "\n";
}

}  // namespace

int run_validate(const Arguments& arguments, Console& console) {
  const std::string& file = arguments.positionals.front();
  const std::string shown = shown_name(file);
  PolicyFindings findings;
  const Result<Policy> policy = read_policy(file, findings);
  if (!policy && findings.empty()) {
    console.error(policy.error().with(std::string{policy.error().cause()} + ": " + shown));
    return exit_of(policy.error());
  }
  bool written = true;
  if (arguments.has("json")) {
    Json json = json_answer();
    json["valid"] = findings.empty();
    json["findings"] = Json::array();
    for (const PolicyFinding& finding : findings)
      json["findings"].push_back(json_of_finding(finding, file));
    written = print_json(json);
  } else if (policy) {
    written = print(stdout, summary_of(*policy, shown));
  } else {
    for (const PolicyFinding& finding : findings) print(stderr, describe(finding, shown));
  }
  return !written ? kExitFailure : findings.empty() ? kExitOk : kExitData;
}

int run_schema(const Arguments&, Console&) {
  return print(stdout, policy_json_schema()) ? kExitOk : kExitFailure;
}

}  // namespace landfall::cli
