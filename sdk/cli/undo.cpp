// SPDX-License-Identifier: Apache-2.0
// confirm, rollback, restore: what follows an apply.
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "nic_plan.hpp"
#include "verbs.hpp"

namespace landfall::cli {
namespace {

int undo(const Arguments& arguments, const Console& console,
         Result<nic::Undone> (nic::NicSetup::*how)()) {
  const auto kernel = nic::open_kernel_nic();
  if (!kernel) return failed(console, kernel.error());
  hold_signals();
  auto setup = open_setup(**kernel, arguments, console);
  if (!setup) return failed(console, setup.error());
  const auto undone = ((*setup).*how)();
  if (!undone) return failed(console, undone.error());
  if (arguments.has("json") && !print_json(json_of(*undone))) return kExitFailure;
  if (!arguments.has("json")) {
    std::vector<nic::Step> back;
    for (const nic::Step& step : undone->undone) back.push_back(inverse(step));
    if (!print(stdout, text_of(back, console))) return kExitFailure;
  }
  return tell_undone(*undone, console) ? kExitOk : kExitConfig;
}

}  // namespace

int run_confirm(const Arguments& arguments, Console& console) {
  const auto kernel = nic::open_kernel_nic();
  if (!kernel) return failed(console, kernel.error());
  auto setup = open_setup(**kernel, arguments, console);
  if (!setup) return failed(console, setup.error());
  const auto confirmed = setup->confirm();
  if (!confirmed) return failed(console, confirmed.error());
  console.message("confirmed: " + std::to_string(setup->state().steps.size()) +
                  " steps are in effect, until landfall restore");
  return kExitOk;
}

int run_rollback(const Arguments& arguments, Console& console) {
  return undo(arguments, console, &nic::NicSetup::roll_back);
}

int run_restore(const Arguments& arguments, Console& console) {
  return undo(arguments, console, &nic::NicSetup::restore);
}

}  // namespace landfall::cli
