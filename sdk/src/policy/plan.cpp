// SPDX-License-Identifier: Apache-2.0
#include "policy/plan.hpp"

#include <algorithm>
#include <fstream>
#include <set>
#include <utility>

#include "landfall/base/error.hpp"
#include "nic/refusals.hpp"
#include "policy/planned_interface.hpp"

namespace landfall::policy {

PlannedInterface::PlannedInterface(const PlanInput& plan_input, const Found& as_found, Plan& made)
    : input{plan_input},
      found{as_found},
      now{nic::settings_of(found.state, found.rules)},
      before{input.setup.before_of(now.index) == nullptr ? now : *input.setup.before_of(now.index)},
      plan{made} {
  for (const Policy::Receiver& receiver : input.policy.receivers)
    if (receiver.interface == now.name) receivers.push_back(&receiver);
}

void PlannedInterface::problem(ReasonCode code, std::string subject, std::string message,
                               std::string hint, bool may_force) const {
  if (hint.empty()) hint = nic::remedy_for(code, now.name);
  plan.problems.push_back(
      {code, std::move(subject), std::move(message), std::move(hint), may_force});
}

nic::Step PlannedInterface::step(nic::Step::What what, std::string why) const {
  nic::Step step;
  step.what = what;
  step.interface_index = now.index;
  step.interface = now.name;
  step.why = std::move(why);
  return step;
}

std::string place_of(const Policy::Receiver& receiver) {
  return "receivers." + receiver.name;
}

std::string place_of(const nic::Step& rule) {
  return rule.why.substr(0, rule.why.find(' '));
}

namespace {

Result<Found> read_interface(nic::Nic& nic, std::uint32_t interface_index) {
  Found found;
  LANDFALL_TRY(found.state, nic.read(interface_index));
  if (found.state.rule_table && found.state.rule_table->rules != 0) {
    LANDFALL_TRY(found.rules, nic.rules(interface_index));
  }
  std::ifstream node{"/sys/class/net/" + found.state.name + "/device/numa_node"};
  if (!(node >> found.numa_node)) found.numa_node = -1;
  // The kernel says it before it looks at any setting. Without the right to ask: not known.
  if (found.state.kernel_binds_rx && found.state.queue_count() != 0) {
    const auto tried = nic.try_queue(interface_index, 0);
    if (!tried && tried.error().reason() == ReasonCode::no_memory_provider)
      found.cannot_bind = reason_from(tried.error());
  }
  return found;
}

}  // namespace

Result<std::vector<Found>> read_found(nic::Nic& nic, const Policy& policy,
                                      const nic::SetupState& setup) {
  LANDFALL_TRY(const std::vector<nic::InterfaceName> names, nic.interfaces());
  std::vector<Found> all;
  for (const nic::InterfaceName& name : names) {
    const bool wanted = std::ranges::any_of(
        policy.receivers, [&](const Policy::Receiver& one) { return one.interface == name.name; });
    if (!wanted && setup.before_of(name.index) == nullptr) continue;
    LANDFALL_TRY(Found one, read_interface(nic, name.index));
    all.push_back(std::move(one));
  }
  return all;
}

Plan make_plan(const PlanInput& input) {
  Plan plan;
  std::set<std::string> known;
  for (const Found& found : input.found) {
    known.insert(found.state.name);
    const PlannedInterface at{input, found, plan};
    plan.found.push_back(at.now);
    const Wishes wishes = wishes_of(at);
    write_steps(at, wishes);
    check_placement(at, wishes);
    guard_host(at, wishes);
  }
  for (const Policy::Receiver& receiver : input.policy.receivers)
    if (!known.contains(receiver.interface))
      plan.problems.push_back({ReasonCode::interface_unknown, place_of(receiver),
                               "there is no interface " + receiver.interface,
                               "ip -br link shows those that are there", false});
  return plan;
}

}  // namespace landfall::policy
