// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "doctor_checks.hpp"
#include "exit_code.hpp"
#include "interfaces.hpp"
#include "landing.hpp"
#include "report.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

std::string fix_of(const std::vector<Reason>& reasons) {
  for (const Reason& reason : reasons) {
    if (!reason.fix.empty()) return reason.fix;
  }
  return {};
}

Check check_of(std::string name, const std::vector<Reason>& reasons, std::string good) {
  if (reasons.empty()) return {std::move(name), Status::pass, std::move(good), "", {}};
  return {std::move(name), Status::warn, reasons.front().text, fix_of(reasons),
          reasons.front().code};
}

/// One line per backend, and the two that must hold: some memory and some transport to receive.
void check_backends(const Context& context, const std::string& interface,
                    std::vector<Check>& checks) {
  bool memory = false, transport = false;
  for (const BackendInfo& backend : context.backends()) {
    if (backend.is_transport) continue;
    const auto [usable, reasons] = probe_source(context, backend.name);
    memory = memory || usable;
    checks.push_back(check_of("memory " + backend.name, usable ? std::vector<Reason>{} : reasons,
                              backend.summary));
  }
  for (const Decision::Candidate& c : probe_transports(context, interface)) {
    transport = transport || c.usable;
    const std::string with =
        interface.empty() || c.best != Placement::direct ? "" : " with " + interface;
    checks.push_back(check_of("transport " + c.transport,
                              c.usable ? std::vector<Reason>{} : c.reasons,
                              "usable" + with + ", at best " + std::string{name(c.best)}));
  }
  const auto must = [&checks](const char* name, bool holds, ReasonCode reason) {
    checks.push_back({name, holds ? Status::pass : Status::fail,
                      holds ? "yes" : "no backend can do it here", holds ? "" : "landfall info",
                      holds ? ReasonCode::none : reason});
  };
  must("some memory", memory, ReasonCode::memory_source_unknown);
  must("some transport", transport, ReasonCode::transport_unknown);
}

constexpr const char* word(Status status) {
  return status == Status::pass ? "PASS" : status == Status::warn ? "WARN" : "FAIL";
}

}  // namespace

int run_doctor(const Arguments& arguments, Console& console) {
  auto context = make_context(arguments.all("plugin"));
  if (!context) {
    console.error(context.error());
    return exit_of(context.error());
  }
  std::vector<Check> checks = check_host(gather_facts(""));
  const Interfaces interfaces = read_interfaces();
  for (Check& check : check_interfaces(interfaces)) checks.push_back(std::move(check));
  check_backends(*context, interfaces.usable(), checks);

  Json json = json_answer();
  json["checks"] = Json::array();
  std::string text;
  bool failed = false;
  for (const Check& check : checks) {
    failed = failed || check.status == Status::fail;
    json["checks"].push_back({{"name", check.name},
                              {"status", word(check.status)},
                              {"finding", check.finding},
                              {"fix", check.fix},
                              {"code", reason_id(check.reason)}});
    const std::string status = word(check.status);
    text += (check.status == Status::pass   ? console.good(status)
             : check.status == Status::warn ? console.fair(status)
                                            : console.bad(status)) +
            "  " + check.name + ": " + check.finding + "\n";
    if (!check.fix.empty()) text += "      try: " + check.fix + "\n";
  }
  json["ok"] = !failed;
  const bool written = arguments.has("json") ? print_json(json) : print(stdout, text);
  if (!written) return kExitFailure;
  return failed ? kExitUnsupported : kExitOk;
}

}  // namespace landfall::cli
