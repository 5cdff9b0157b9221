// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "nic_plan.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

const char* word_of(nic::Effect effect) {
  switch (effect) {
    case nic::Effect::present:
      return "in effect";
    case nic::Effect::absent:
      return "taken back by somebody else";
    case nic::Effect::neither:
      return "changed by somebody else";
  }
  return "";
}

struct Line {
  nic::Step step;
  std::string standing;
  bool drifted = false;
};

Line look(nic::Nic& nic, const nic::Step& step, const nic::SetupState& state) {
  Line line{step, "", true};
  const auto now = nic::read_settings(nic, step.interface_index);
  const nic::Settings* before = state.before_of(step.interface_index);
  if (!now || (before != nullptr && !before->same_device(*now))) {
    line.standing = "gone with its interface";
    return line;
  }
  const nic::Effect effect = audit(line.step, *now, nullptr);
  line.standing = word_of(effect);
  line.drifted = effect != nic::Effect::present;
  return line;
}

}  // namespace

int run_status(const Arguments& arguments, Console& console) {
  const auto failed = [&](const Error& error) {
    console.error(error);
    return exit_of(error);
  };
  const auto records = nic::Journal::look(arguments.value("state"));
  if (!records) return failed(records.error());
  auto state = nic::read_state(*records);
  if (!state) return failed(state.error());
  const auto host = nic::host_record("host");
  if (!host) return failed(host.error());
  const bool of_this_boot = state->boot_id == host->text("boot");
  const auto kernel = nic::open_kernel_nic();
  if (!kernel) return failed(kernel.error());

  std::vector<Line> lines;
  const auto look_at = [&](const std::vector<nic::Step>& steps) {
    for (const nic::Step& step : steps)
      if (!step.removes) lines.push_back(look(**kernel, step, *state));
  };
  std::string phase = "nothing";
  std::uint64_t left_s = 0;
  if (!records->empty()) phase = of_this_boot ? "final" : "of another boot";
  if (of_this_boot) {
    look_at(state->steps);
    if (state->open) {
      look_at(state->open->steps);
      const std::uint64_t now = nic::boot_time_s();
      left_s = state->open->deadline_s > now ? state->open->deadline_s - now : 0;
      phase = state->open->applied ? "awaits confirmation" : "was cut off";
    }
    if (state->restoring) phase = "restore was cut off";
  }
  bool drifted = false;
  for (const Line& line : lines) drifted = drifted || line.drifted;

  if (arguments.has("json")) {
    Json json = json_answer();
    json["phase"] = phase;
    json["confirm_within_s"] = left_s;
    json["drifted"] = drifted;
    json["steps"] = Json::array();
    for (const Line& line : lines) {
      Json one = json_of(line.step);
      one["standing"] = line.standing;
      json["steps"].push_back(std::move(one));
    }
    if (!print_json(json)) return kExitFailure;
  } else {
    std::string text;
    for (const Line& line : lines) {
      const std::string& standing = line.standing;
      text += line.step.interface + ": " + describe(line.step) + ": " +
              (line.drifted ? console.bad(standing) : console.good(standing)) + "\n";
    }
    if (phase == "nothing") text = "landfall has set up nothing\n";
    if (phase == "of another boot") text = "what was set up went with the boot before this one\n";
    if (phase == "awaits confirmation")
      text += "taken back in " + std::to_string(left_s) + " s unless: landfall confirm\n";
    if (phase == "was cut off" || phase == "restore was cut off")
      text += phase + ": the next apply, rollback or restore mends it\n";
    if (!print(stdout, text)) return kExitFailure;
  }
  return drifted ? kExitChanges : kExitOk;
}

}  // namespace landfall::cli
