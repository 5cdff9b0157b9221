// SPDX-License-Identifier: Apache-2.0
// What speaks against a plan although its steps can be made.
#include <algorithm>
#include <set>

#include "nic/usable.hpp"
#include "policy/flow_rules.hpp"
#include "policy/planned_interface.hpp"

namespace landfall::policy {
namespace {

using nic::Step;
using Receiver = Policy::Receiver;

/// May its queues get memory in which the kernel cannot read? Without header split no NIC lets
/// them.
bool may_bind_queues(const Receiver& receiver) {
  return receiver.header_split != Receiver::HeaderSplit::none;
}

void note_far_memory(const PlannedInterface& at, const Receiver& receiver) {
  const Policy::Memory* memory = at.input.policy.find_memory(receiver.memory);
  if (memory == nullptr || !memory->numa_node || at.found.numa_node < 0) return;
  if (*memory->numa_node == static_cast<std::uint32_t>(at.found.numa_node)) return;
  at.note("receiver " + receiver.name + ": " + at.now.name + " is on NUMA node " +
          std::to_string(at.found.numa_node) + ", and memory '" + memory->name + "' on node " +
          std::to_string(*memory->numa_node) +
          ": every byte crosses the link between them (landfall topo)");
}

/// The interface's state, as far as binding depends on it, after the steps.
nic::NicState as_wanted(const PlannedInterface& at, const Wishes& wishes) {
  nic::NicState state = at.found.state;
  // Whether flows can be steered is a matter of its own: want_flows().
  state.ntuple.reset();
  if (!state.rings) return state;
  if (wishes.split)
    state.rings->header_split =
        wishes.split->value != 0 ? nic::HeaderSplit::on : nic::HeaderSplit::off;
  if (wishes.threshold)
    state.rings->hds_threshold_bytes = static_cast<std::uint32_t>(wishes.threshold->value);
  return state;
}

/// What would keep memory from being bound to the receiver's queues, but for those that receive
/// already: it may be this receiver that does.
std::vector<Reason> binding_reasons(const PlannedInterface& at, const Receiver& receiver,
                                    const nic::NicState& state) {
  if (at.found.cannot_bind) return {*at.found.cannot_bind};
  std::vector<Reason> reasons = nic::interface_reasons(state);
  for (const std::uint32_t id : at.plan.queues[receiver.name]) {
    const auto queue = std::ranges::find(state.queues, id, &nic::QueueState::id);
    if (queue == state.queues.end()) continue;
    for (Reason& one : nic::queue_reasons(state, id)) {
      const bool stays = one.code == ReasonCode::queue_leased ||
                         (one.code == ReasonCode::queue_busy && queue->af_xdp);
      if (!stays) continue;
      one.text = "queue " + std::to_string(id) + ": " + one.text;
      reasons.push_back(std::move(one));
    }
  }
  return reasons;
}

std::string taken(const Step& rule, const std::string& what) {
  return "the rule " + nic::describe_match(rule.rule) + " takes " + what;
}

/// In the policy, where it can say so.
std::string fix_of(const Reason& reason, const Receiver& receiver) {
  if (reason.code != ReasonCode::header_split_off && reason.code != ReasonCode::hds_threshold)
    return reason.fix;
  return receiver.header_split_threshold_bytes.value_or(0) != 0 ? "header_split_threshold: 0"
                                                                : "header_split: required";
}

bool lent_to(const Policy& policy, const std::string& receiver, const std::string& user) {
  return std::ranges::any_of(policy.access, [&](const Policy::Access& one) {
    return !user.empty() && one.user == user &&
           std::ranges::find(one.receivers, receiver) != one.receivers.end();
  });
}

void guard_sessions(const PlannedInterface& at, const Step& rule) {
  for (const nic::FlowKey& session : at.input.sessions)
    if (nic::takes_all(rule.rule, session))
      at.problem(ReasonCode::cuts_off_host, place_of(rule),
                 taken(rule, "this session's own connection, " + session.describe()),
                 "narrow the flow; or, from elsewhere than by this connection, --force", true);
}

void guard_listeners(const PlannedInterface& at, const Wishes& wishes, const Step& rule,
                     std::set<std::string>& told) {
  const auto owner = wishes.owners.find(static_cast<std::uint32_t>(rule.rule.spec.ring_cookie));
  // A context has its receiver's name.
  const std::string receiver = !rule.context.empty()          ? rule.context
                               : owner != wishes.owners.end() ? owner->second->name
                                                              : "";
  for (const Listener& listener : at.input.listeners) {
    if (!overlaps(rule.rule, listener.packets) || lent_to(at.input.policy, receiver, listener.user))
      continue;
    const std::string place = place_of(rule);
    if (!told.insert(place + " " + listener.text).second) continue;  // another of its ports
    at.problem(ReasonCode::cuts_off_host, place,
               taken(rule, "what comes to " + listener.text + ", where a program of " +
                               (listener.user.empty() ? "somebody" : listener.user) + " listens"),
               "narrow the flow; if that program receives for '" + receiver +
                   "': start it afterwards, or name its user under `access`; or --force",
               true);
  }
}

}  // namespace

void check_placement(const PlannedInterface& at, const Wishes& wishes) {
  const nic::NicState state = as_wanted(at, wishes);
  for (const Receiver* receiver : at.receivers) {
    note_far_memory(at, *receiver);
    const bool must = receiver->contract.kind == CopyContract::Kind::require_direct;
    if (!must && !(receiver->contract.kind == CopyContract::Kind::prefer_direct &&
                   may_bind_queues(*receiver)))
      continue;
    for (const Reason& one : binding_reasons(at, *receiver, state)) {
      const std::string text = "no byte will land directly on " + at.now.name + ": " + one.text;
      const std::string fix = fix_of(one, *receiver);
      if (must)
        at.problem(one.code, place_of(*receiver), text, fix);
      else
        at.note(place_of(*receiver) + ": " + text + "; " + fix);
    }
  }
}

void guard_host(const PlannedInterface& at, const Wishes& wishes) {
  std::set<std::string> told;
  for (const Step& step : at.plan.steps) {
    if (step.what != Step::What::rule || step.removes || step.interface_index != at.now.index)
      continue;
    guard_sessions(at, step);
    guard_listeners(at, wishes, step, told);
  }
  if (!wishes.ordinary_on_ours) return;
  for (const Receiver* receiver : at.receivers) {
    if (!may_bind_queues(*receiver)) continue;
    at.problem(ReasonCode::cuts_off_host, "steering.rss",
               "with 'keep' the host's own traffic, ARP too, is spread over the queues of '" +
                   receiver->name + "', which may get memory that the kernel cannot read",
               "steering: {rss: exclude}, or header_split: none; or --force", true);
  }
}

}  // namespace landfall::policy
