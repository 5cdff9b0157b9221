// SPDX-License-Identifier: Apache-2.0
#include <poll.h>
#include <sys/signalfd.h>

#include <csignal>
#include <ctime>
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "nic/settings_watch.hpp"
#include "nic_plan.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

// The kernel tells of no rules: they are looked at from time to time.
constexpr int kLookEvery_ms = 5000;

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

struct Standing {
  std::string phase = "nothing";
  std::uint64_t left_s = 0;
  std::vector<Line> lines;
  bool drifted() const {
    bool any = false;
    for (const Line& line : lines) any = any || line.drifted;
    return any;
  }
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

Result<Standing> look(nic::Nic& nic, const std::string& folder) {
  LANDFALL_TRY(const std::vector<nic::Record> records, nic::Journal::look(folder));
  LANDFALL_TRY(const nic::SetupState state, nic::read_state(records));
  LANDFALL_TRY(const nic::Record host, nic::host_record("host"));
  Standing standing;
  if (records.empty()) return standing;
  standing.phase = "of another boot";
  if (state.boot_id != host.text("boot")) return standing;
  standing.phase = "final";
  const auto look_at = [&](const std::vector<nic::Step>& steps) {
    for (const nic::Step& step : steps)
      if (!step.removes) standing.lines.push_back(look(nic, step, state));
  };
  look_at(state.steps);
  if (state.open) {
    look_at(state.open->steps);
    const std::uint64_t now = nic::boot_time_s();
    standing.left_s = state.open->deadline_s > now ? state.open->deadline_s - now : 0;
    standing.phase = state.open->applied ? "awaits confirmation" : "was cut off";
  }
  if (state.restoring) standing.phase = "restore was cut off";
  return standing;
}

Json json_of(const Standing& standing) {
  Json json = json_answer();
  json["phase"] = standing.phase;
  json["confirm_within_s"] = standing.left_s;
  json["drifted"] = standing.drifted();
  json["steps"] = Json::array();
  for (const Line& line : standing.lines) {
    Json one = cli::json_of(line.step);
    one["standing"] = line.standing;
    json["steps"].push_back(std::move(one));
  }
  return json;
}

std::string text_of(const Line& line, const Console& console) {
  return line.step.interface + ": " + describe(line.step) + ": " +
         (line.drifted ? console.bad(line.standing) : console.good(line.standing)) + "\n";
}

std::string text_of(const Standing& standing, const Console& console) {
  std::string text;
  for (const Line& line : standing.lines) text += text_of(line, console);
  const std::string& phase = standing.phase;
  if (phase == "nothing") return "landfall has set up nothing\n";
  if (phase == "of another boot") return "what was set up went with the boot before this one\n";
  if (phase == "awaits confirmation")
    text += "taken back in " + std::to_string(standing.left_s) + " s unless: landfall confirm\n";
  if (phase == "was cut off" || phase == "restore was cut off")
    text += phase + ": the next apply, rollback or restore mends it\n";
  return text;
}

bool print_standing(const Standing& standing, bool json, const Console& console) {
  return json ? print_json(json_of(standing)) : print(stdout, text_of(standing, console));
}

/// What is not as it was at the last look.
bool print_changes(const Standing& before, const Standing& now, const Console& console) {
  if (before.phase != now.phase || before.lines.size() != now.lines.size())
    return print(stdout, text_of(now, console));
  std::string text;
  for (std::size_t i = 0; i < now.lines.size(); ++i)
    if (now.lines[i].standing != before.lines[i].standing) text += text_of(now.lines[i], console);
  return text.empty() || print(stdout, text);
}

/// Until Ctrl-C or SIGTERM.
Result<int> watch(nic::Nic& nic, const std::string& folder, Standing before, bool json,
                  const Console& console) {
  sigset_t set;
  ::sigemptyset(&set);
  ::sigaddset(&set, SIGINT);
  ::sigaddset(&set, SIGTERM);
  ::sigprocmask(SIG_BLOCK, &set, nullptr);
  const Fd stop{::signalfd(-1, &set, SFD_CLOEXEC)};
  if (!stop) return os_error("signalfd");
  LANDFALL_TRY(const nic::SettingsWatch settings, nic::SettingsWatch::open());
  for (;;) {
    pollfd fds[] = {
        {stop.get(), POLLIN, 0}, {settings.fds()[0], POLLIN, 0}, {settings.fds()[1], POLLIN, 0}};
    ::poll(fds, std::size(fds), kLookEvery_ms);
    if (fds[0].revents != 0) return static_cast<int>(kExitOk);
    settings.drain();
    LANDFALL_TRY(Standing now, look(nic, folder));
    bool written = true;
    if (!json) written = print_changes(before, now, console);
    if (json && json_of(now)["steps"] != json_of(before)["steps"])
      written = print_json(json_of(now));
    if (!written) return static_cast<int>(kExitFailure);
    before = std::move(now);
  }
}

}  // namespace

int run_status(const Arguments& arguments, Console& console) {
  const std::string folder = arguments.value("state");
  const bool json = arguments.has("json");
  const auto kernel = nic::open_kernel_nic();
  if (!kernel) return failed(console, kernel.error());
  const auto standing = look(**kernel, folder);
  if (!standing) return failed(console, standing.error());
  if (!print_standing(*standing, json, console)) return kExitFailure;
  if (!arguments.has("watch")) return standing->drifted() ? kExitChanges : kExitOk;
  const auto watched = watch(**kernel, folder, *standing, json, console);
  return watched ? *watched : failed(console, watched.error());
}

}  // namespace landfall::cli
