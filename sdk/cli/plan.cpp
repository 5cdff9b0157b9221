// SPDX-License-Identifier: Apache-2.0
#include <nlohmann/json.hpp>

#include "exit_code.hpp"
#include "nic_plan.hpp"
#include "policy_file.hpp"
#include "verbs.hpp"

namespace landfall::cli {

int run_plan(const Arguments& arguments, Console& console) {
  const std::string& file = arguments.positionals.front();
  int status = kExitOk;
  const auto policy = read_policy_or_tell(file, console, status);
  if (!policy) return status;
  const auto kernel = nic::open_kernel_nic();
  if (!kernel) return failed(console, kernel.error());
  const auto setup = nic::look_at_state(arguments.value("state"));
  if (!setup) return failed(console, setup.error());
  const auto plan = make_plan(**kernel, *policy, *setup);
  if (!plan) return failed(console, plan.error());

  if (arguments.has("json") && !print_json(json_of(*plan))) return kExitFailure;
  if (!arguments.has("json") && !print(stdout, text_of(plan->steps, console))) return kExitFailure;
  if (setup->open)
    console.warning("what was applied last waits to be confirmed; the plan is made for afterwards");
  if (!tell_problems(*plan, arguments.has("force"), console)) return exit_of_problems(*plan);
  if (const std::string out = arguments.value("out"); !out.empty()) {
    const auto saved = save_plan(out, *plan, shown_name(file));
    if (!saved) return failed(console, saved.error());
  }
  const std::size_t count = plan->steps.size();
  console.message(count == 0 ? "nothing to do"
                             : std::to_string(count) + (count == 1 ? " step" : " steps") +
                                   "; nothing was changed");
  return count == 0 ? kExitOk : kExitChanges;
}

}  // namespace landfall::cli
