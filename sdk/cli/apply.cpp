// SPDX-License-Identifier: Apache-2.0
#include <charconv>
#include <nlohmann/json.hpp>
#include <optional>

#include "exit_code.hpp"
#include "nic_plan.hpp"
#include "policy_file.hpp"
#include "setup_guard.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

constexpr std::uint64_t kConfirmMax_s = 24 * 3600;

/// "60s", "5m": seconds.
std::optional<std::uint64_t> read_seconds(std::string_view text) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  const std::string_view unit{end, static_cast<std::size_t>(text.data() + text.size() - end)};
  if (error != std::errc{} || (unit != "s" && unit != "m") || number > kConfirmMax_s)
    return std::nullopt;
  const std::uint64_t seconds = unit == "m" ? number * 60 : number;
  if (seconds == 0 || seconds > kConfirmMax_s) return std::nullopt;
  return seconds;
}

/// Of a policy, or a saved one.
std::optional<policy::Plan> plan_of(nic::Nic& nic, const std::string& file,
                                    const nic::SetupState& setup, const Console& console,
                                    int& ret_exit) {
  Result<policy::Plan> plan{policy::Plan{}};
  if (is_saved_plan(file)) {
    plan = load_plan(nic, file);
  } else {
    const auto policy = read_policy_or_tell(file, console, ret_exit);
    if (!policy) return std::nullopt;
    plan = make_plan(nic, *policy, setup);
  }
  if (plan) return std::move(*plan);
  ret_exit = failed(console, plan.error());
  return std::nullopt;
}

}  // namespace

int run_apply(const Arguments& arguments, Console& console) {
  const std::string& file = arguments.positionals.front();
  const std::string within = arguments.value("confirm-within");
  const auto seconds = read_seconds(within);
  if (!within.empty() && !seconds) {
    console.message("--confirm-within takes 1s to 24h, as 60s or 5m; not '" + printable(within) +
                    "'");
    return kExitUsage;
  }
  const auto kernel = nic::open_kernel_nic();
  if (!kernel) return failed(console, kernel.error());
  hold_signals();
  auto setup = open_setup(**kernel, arguments, console);
  if (!setup) return failed(console, setup.error());
  if (setup->state().open)
    return failed(console, Error{Errc::busy, "apply", ReasonCode::awaiting_confirmation});
  int status = kExitOk;
  const auto plan = plan_of(**kernel, file, setup->state(), console, status);
  if (!plan) return status;
  if (!tell_problems(*plan, arguments.has("force"), console)) return exit_of_problems(*plan);

  if (!plan->steps.empty()) {
    auto guard = start_setup_guard(arguments.value("state"));
    if (!guard) return failed(console, guard.error());
    nic::ApplyOptions options{.policy = shown_name(file)};
    if (seconds) options.deadline_s = nic::boot_time_s() + *seconds;
    const auto applied = setup->apply(plan->steps, options);
    if (!applied) return failed(console, applied.error());
  }
  if (arguments.has("json")) return print_json(json_of(*plan)) ? kExitOk : kExitFailure;
  if (!print(stdout, text_of(plan->steps, console))) return kExitFailure;
  const std::size_t count = plan->steps.size();
  console.message(count == 0 ? "nothing to do"
                             : std::to_string(count) + (count == 1 ? " step" : " steps") + " done");
  if (count != 0 && seconds)
    console.message("they are taken back in " + within + " unless: landfall confirm");
  return kExitOk;
}

}  // namespace landfall::cli
