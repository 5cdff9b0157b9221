// SPDX-License-Identifier: Apache-2.0
// What plan, apply and status share: a plan made, saved, read again and shown.
#pragma once
#include <optional>
#include <string>
#include <vector>

#include "arguments.hpp"
#include "console.hpp"
#include "nic/setup.hpp"
#include "policy/plan.hpp"
#include "report.hpp"

namespace landfall::cli {

/// Errors: those of Nic::interfaces, Nic::read and Nic::rules.
Result<policy::Plan> make_plan(nic::Nic& nic, const Policy& policy, const nic::SetupState& setup);

/// Into `file`, to be applied later, in this boot and network namespace, to NICs as they are now.
/// Errors: io, permission_denied - journal_failed.
Result<void> save_plan(const std::string& file, const policy::Plan& plan,
                       const std::string& policy_name);
/// Is this a file that save_plan() made?
bool is_saved_plan(const std::string& file);
/// Errors: busy - plan_outdated: the NICs, the boot or the namespace are others; invalid_argument -
/// policy_syntax: damaged.
Result<policy::Plan> load_plan(nic::Nic& nic, const std::string& file);

/// Tells the problems on standard error. False: with them the plan cannot be applied.
bool tell_problems(const policy::Plan& plan, bool force, const Console& console);
/// The exit status where tell_problems() says no.
int exit_of_problems(const policy::Plan& plan);

/// Tells the error; answers its exit status.
int failed(const Console& console, const Error& error);

Json json_of(const nic::Step& step);
Json json_of(const policy::Plan& plan);
/// One line for each step, by interface, with its reason.
std::string text_of(const std::vector<nic::Step>& steps, const Console& console);
/// Tells what did not go back, with the commands that would. False: something failed.
bool tell_undone(const nic::Undone& undone, const Console& console);
Json json_of(const nic::Undone& undone);

/// From here to the end of the process Ctrl-C, SIGTERM and SIGHUP have no effect: what has begun is
/// made whole, which takes milliseconds a step, and the exit status says so. If they had one after
/// the last step, it would say the opposite.
void hold_signals() noexcept;

/// What recover() found to do, and journals of another boot, told on standard error.
Result<nic::NicSetup> open_setup(nic::Nic& nic, const Arguments& arguments, const Console& console);

}  // namespace landfall::cli
