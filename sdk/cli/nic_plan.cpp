// SPDX-License-Identifier: Apache-2.0
#include "nic_plan.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <fstream>
#include <iterator>
#include <nlohmann/json.hpp>
#include <set>

#include "exit_code.hpp"
#include "host_listeners.hpp"
#include "own_sessions.hpp"
#include "topology.hpp"

namespace landfall::cli {
namespace {

constexpr std::size_t kSavedPlanBytesMax = 64u << 20;

std::string sign_of(const nic::Step& step, const Console& console) {
  if (step.is_setting()) return console.fair("~");
  return step.removes ? console.bad("-") : console.good("+");
}

/// By hand, with ethtool: what would take the step back.
std::string by_hand(const nic::Step& step) {
  using What = nic::Step::What;
  const std::string& at = step.interface;
  switch (step.what) {
    case What::ntuple:
      return "ethtool -K " + at + " ntuple " + (step.from != 0 ? "on" : "off");
    case What::channels:
      return "ethtool -L " + at + " combined " + std::to_string(step.from);
    case What::rx_ring:
      return "ethtool -G " + at + " rx " + std::to_string(step.from);
    case What::header_split:
      return "ethtool -G " + at + " tcp-data-split " + (step.from != 0 ? "on" : "off");
    case What::hds_threshold:
      return "ethtool -G " + at + " hds-thresh " + std::to_string(step.from);
    case What::rss_table:
      return step.from_table.empty() ? "ethtool -X " + at + " default"
                                     : "ethtool -X " + at + " weight ...";
    case What::rss_context:
      return "ethtool -X " + at + " context " + std::to_string(step.id) + " delete";
    case What::rule:
      return "ethtool -N " + at + " delete " + std::to_string(step.rule.spec.location);
  }
  return "";
}

std::string whole_file(const std::string& file) {
  std::ifstream in{file, std::ios::binary};
  std::string text;
  char part[1 << 16];
  while (text.size() <= kSavedPlanBytesMax && (in.read(part, sizeof part), in.gcount() > 0))
    text.append(part, static_cast<std::size_t>(in.gcount()));
  return text;
}

/// NUMA nodes of interfaces that sysfs does not tell, if the policy asks for memory on one.
void know_nodes(std::vector<policy::Found>& found, const Policy& policy) {
  if (std::ranges::none_of(policy.memories,
                           [](const auto& one) { return one.numa_node.has_value(); }))
    return;
  if (std::ranges::none_of(found, [](const auto& one) { return one.numa_node < 0; })) return;
  const auto topology = read_topology();
  if (!topology) return;  // not known, then
  for (policy::Found& one : found)
    for (const BusDevice& nic : topology->nics)
      if (one.numa_node < 0 && nic.name == one.state.name) one.numa_node = nic.numa_node;
}

Error outdated(const std::string& file, const std::string& why) {
  return Error{Errc::busy, "plan", ReasonCode::plan_outdated}.with(printable(file) + ": " + why);
}

}  // namespace

Result<policy::Plan> make_plan(nic::Nic& nic, const Policy& policy, const nic::SetupState& setup) {
  LANDFALL_TRY(std::vector<policy::Found> found, policy::read_found(nic, policy, setup));
  know_nodes(found, policy);
  const std::vector<nic::FlowKey> sessions = own_sessions();
  const std::vector<policy::Listener> listeners = host_listeners();
  return policy::make_plan({policy, found, setup, sessions, listeners});
}

Result<void> save_plan(const std::string& file, const policy::Plan& plan,
                       const std::string& policy_name) {
  LANDFALL_TRY(nic::Record head, nic::host_record("plan"));
  head.add("policy", policy_name);
  std::string text = encode(head);
  for (const nic::Settings& settings : plan.found) text += encode(record_of("found", settings));
  for (const nic::Step& step : plan.steps) text += encode(record_of("step", step));
  text += encode(nic::Record{"sealed", {}}.add(
      "records", std::uint64_t{plan.found.size() + plan.steps.size() + 2}));
  const Fd fd{::open(file.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600)};
  const auto failed = [&](const char* op) {
    const Error error = os_error(op, ReasonCode::journal_failed);
    return error.with(printable(file) + ": " + std::string{error.cause()}, "name another file");
  };
  if (!fd) return failed("open");
  for (std::string_view rest = text; !rest.empty();) {
    const ssize_t n = ::write(fd.get(), rest.data(), rest.size());
    if (n <= 0) return failed("write");
    rest.remove_prefix(static_cast<std::size_t>(n));
  }
  return {};
}

bool is_saved_plan(const std::string& file) {
  if (file == "-") return false;
  std::ifstream in{file, std::ios::binary};
  char head[16]{};
  in.read(head, sizeof head - 1);
  return std::string_view{head}.find(" plan ") == 8;  // behind the checksum
}

Result<policy::Plan> load_plan(nic::Nic& nic, const std::string& file) {
  bool is_damaged = false;
  const std::vector<nic::Record> records = nic::decode_all(whole_file(file), is_damaged);
  const auto damaged = [&] {
    return Error{Errc::invalid_argument, "plan", ReasonCode::policy_syntax}.with(
        printable(file) + ": the saved plan is damaged", "make it again: landfall plan -o");
  };
  if (is_damaged || records.empty() || records.back().type != "sealed" ||
      records.back().number("records") != records.size())
    return damaged();
  LANDFALL_TRY(const nic::Record host, nic::host_record("plan"));
  for (const char* name : {"format", "boot", "netns"})
    if (records.front().text(name) != host.text(name))
      return outdated(file, "it was made in another boot, network namespace or version");
  policy::Plan plan;
  for (const nic::Record& record : records) {
    if (record.type == "found") {
      auto settings = settings_of(record);
      if (!settings) return damaged();
      LANDFALL_TRY(const nic::Settings now, nic::read_settings(nic, settings->index));
      if (!now.same_device(*settings) || !same_settings(now, *settings))
        return outdated(file, settings->name + " is not as it was when the plan was made");
      plan.found.push_back(std::move(*settings));
    } else if (record.type == "step") {
      auto step = step_of(record);
      if (!step) return damaged();
      plan.steps.push_back(std::move(*step));
    }
  }
  return plan;
}

bool tell_problems(const policy::Plan& plan, bool force, const Console& console) {
  bool possible = true;
  for (const policy::PlanProblem& problem : plan.problems) {
    const std::string text = problem.subject + ": " + problem.message + " [" +
                             reason_id(problem.code) + "]" +
                             (problem.hint.empty() ? "" : "\n  try: " + problem.hint);
    if (problem.may_force && force) {
      console.warning(text);
      continue;
    }
    console.message(text);
    possible = false;
  }
  for (const std::string& note : plan.notes) console.warning(note);
  return possible;
}

int exit_of_problems(const policy::Plan& plan) {
  for (const policy::PlanProblem& problem : plan.problems)
    if (problem.code != ReasonCode::policy_conflict && problem.code != ReasonCode::cuts_off_host &&
        problem.code != ReasonCode::rule_conflict)
      return kExitUnsupported;
  return kExitData;
}

int failed(const Console& console, const Error& error) {
  console.error(error);
  return exit_of(error);
}

Json json_of(const nic::Step& step) {
  Json json{{"interface", step.interface},
            {"action", step.is_setting() ? "change"
                       : step.removes    ? "remove"
                                         : "add"},
            {"what", nic::name_of(step.what)},
            {"text", describe(step)},
            {"why", step.why}};
  if (step.is_setting() && step.what != nic::Step::What::rss_table) {
    json["from"] = step.from;
    json["to"] = step.to;
  }
  return json;
}

Json json_of(const policy::Plan& plan) {
  Json json = json_answer();
  json["changes"] = plan.steps.size();
  json["steps"] = Json::array();
  for (const nic::Step& step : plan.steps) json["steps"].push_back(json_of(step));
  json["problems"] = Json::array();
  for (const policy::PlanProblem& problem : plan.problems)
    json["problems"].push_back({{"code", reason_id(problem.code)},
                                {"subject", problem.subject},
                                {"message", problem.message},
                                {"hint", problem.hint},
                                {"may_force", problem.may_force}});
  json["notes"] = plan.notes;
  json["queues"] = Json::object();
  for (const auto& [receiver, queues] : plan.queues) json["queues"][receiver] = queues;
  return json;
}

std::string text_of(const std::vector<nic::Step>& steps, const Console& console) {
  std::vector<std::string> interfaces;
  for (const nic::Step& step : steps)
    if (std::ranges::find(interfaces, step.interface) == interfaces.end())
      interfaces.push_back(step.interface);
  std::size_t width = 0;
  for (const nic::Step& step : steps) width = std::max(width, describe(step).size());
  width = std::min<std::size_t>(width, 64);
  std::string out;
  for (const std::string& interface : interfaces) {
    out += interface + "\n";
    for (const nic::Step& step : steps) {
      if (step.interface != interface) continue;
      std::string text = describe(step);
      text.resize(std::max(text.size(), width), ' ');
      out += "  " + sign_of(step, console) + " " + text + "  " + step.why + "\n";
    }
  }
  return out;
}

bool tell_undone(const nic::Undone& undone, const Console& console) {
  for (const nic::Step& step : undone.elsewhere)
    console.warning(step.interface + ": somebody else has changed what \"" + describe(step) +
                    "\" set; it stays [" + reason_id(ReasonCode::changed_elsewhere) + "]");
  std::set<std::string> gone;
  for (const nic::Step& step : undone.gone) gone.insert(step.interface);
  for (const std::string& interface : gone)
    console.warning(interface +
                    " is not there any more, or is another device; what was set up "
                    "went with it [" +
                    reason_id(ReasonCode::interface_replaced) + "]");
  for (const auto& [step, error] : undone.failed) {
    console.error(error);
    console.message(step.interface + ": \"" + describe(step) +
                    "\" is still there. By hand: " + by_hand(step));
  }
  return undone.failed.empty();
}

Json json_of(const nic::Undone& undone) {
  Json json = json_answer();
  const auto list = [](const std::vector<nic::Step>& steps) {
    Json all = Json::array();
    for (const nic::Step& step : steps) all.push_back(json_of(step));
    return all;
  };
  json["undone"] = list(undone.undone);
  json["changed_elsewhere"] = list(undone.elsewhere);
  json["gone"] = list(undone.gone);
  json["failed"] = Json::array();
  for (const auto& [step, error] : undone.failed) {
    Json one = json_of(step);
    one["error"] = json_of(error);
    one["by_hand"] = by_hand(step);
    json["failed"].push_back(std::move(one));
  }
  return json;
}

void hold_signals() noexcept {
  sigset_t held;
  ::sigemptyset(&held);
  for (const int signal : {SIGINT, SIGTERM, SIGHUP}) ::sigaddset(&held, signal);
  ::sigprocmask(SIG_BLOCK, &held, nullptr);
}

Result<nic::NicSetup> open_setup(nic::Nic& nic, const Arguments& arguments,
                                 const Console& console) {
  LANDFALL_TRY(nic::NicSetup setup, nic::NicSetup::open(nic, arguments.value("state")));
  if (setup.closed())
    console.warning("what was set up before this boot went with it; its journal is closed");
  LANDFALL_TRY(const nic::Undone undone, setup.recover());
  if (!undone.undone.empty())
    console.warning("an apply or restore that was cut off has been taken back or finished: " +
                    std::to_string(undone.undone.size()) + " steps");
  tell_undone(undone, console);
  return setup;
}

}  // namespace landfall::cli
