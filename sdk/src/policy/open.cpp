// SPDX-License-Identifier: Apache-2.0
// A Group by its policy: Group's other open(), which its layer cannot know.
#include <algorithm>
#include <limits>

#include "landfall/policy/policy.hpp"
#include "landfall/transport/group.hpp"
#include "nic/setup.hpp"
#include "policy/access.hpp"
#include "policy/plan.hpp"

namespace landfall {
namespace {

using policy::Plan;

constexpr const char* kOp = "Group::open";

RegionSpec region_of(const Policy::Memory& memory) {
  RegionSpec spec;
  spec.source = memory.source;
  spec.size_bytes = memory.size_bytes;
  spec.page_bytes = memory.page_bytes;
  if (memory.numa_node) spec.numa_node = static_cast<int>(*memory.numa_node);
  if (memory.device) spec.device = static_cast<int>(*memory.device);
  spec.device_name = memory.heap;
  spec.locked = memory.locked;
  return spec;
}

Error interface_missing(const std::string& name) {
  return Error{Errc::not_found, kOp, ReasonCode::interface_unknown}.with(
      "there is no network interface " + name);
}

Result<Plan> plan_for(nic::Nic& nic, const Policy& policy, const nic::SetupState& state) {
  LANDFALL_TRY(const std::vector<policy::Found> found, policy::read_found(nic, policy, state));
  return policy::make_plan({policy, found, state, {}});
}

Error problem_of(const policy::PlanProblem& problem) {
  return Error{Errc::not_supported, kOp, problem.code}.with(
      problem.subject + ": " + problem.message, problem.hint);
}

Error limit_reached(const Policy::Receiver& receiver, const std::string& what) {
  return Error{Errc::limit_reached, kOp, ReasonCode::access_limit}.with(
      "receivers." + receiver.name + ": " + what);
}

/// What `access` gives to who calls, as limits of the Group.
Result<void> limit(const Policy& policy, const Policy::Receiver& receiver,
                   const Policy::Memory& memory, GroupOptions& options) {
  LANDFALL_TRY(const Policy::Access* const access,
               policy::find_access(policy, receiver.name, policy::Subject::self()));
  if (access == nullptr) return {};
  if (access->max_memory_bytes && memory.size_bytes > *access->max_memory_bytes)
    return limit_reached(receiver,
                         "memory." + memory.name + " has " + std::to_string(memory.size_bytes) +
                             " bytes, max_memory is " + std::to_string(*access->max_memory_bytes));
  if (access->max_flows) {
    // Shared out evenly: queues do not ask each other.
    if (*access->max_flows < options.queues)
      return limit_reached(receiver, "max_flows is " + std::to_string(*access->max_flows) +
                                         " for " + std::to_string(options.queues) + " queues");
    options.flows_max = std::min(options.flows_max, *access->max_flows / options.queues);
  }
  if (access->max_rules) options.rules_max = *access->max_rules;
  return {};
}

/// Sets up what is not as the policy says. `ret_queues`: the receiver's, where the NIC is as it
/// must be.
Result<void> prepare(const Policy& policy, const Policy::Receiver& receiver, const PolicyUse& use,
                     std::vector<std::uint32_t>& ret_queues) {
  LANDFALL_TRY(const std::unique_ptr<nic::Nic> nic, nic::open_kernel_nic());
  LANDFALL_TRY(const nic::SetupState seen, nic::look_at_state(use.state_folder));
  LANDFALL_TRY(Plan plan, plan_for(*nic, policy, seen));
  for (const policy::PlanProblem& problem : plan.problems)
    if (problem.code == ReasonCode::interface_unknown &&
        problem.subject == "receivers." + receiver.name)
      return interface_missing(receiver.interface);
  if (!plan.problems.empty()) return problem_of(plan.problems.front());
  if (!plan.steps.empty() && !use.prepare)
    return Error{Errc::not_supported, kOp, ReasonCode::setting_refused}.with(
        receiver.interface + " is not set up as the policy says", "landfall apply POLICY");
  if (!plan.steps.empty()) {
    LANDFALL_TRY(nic::NicSetup setup, nic::NicSetup::open(*nic, use.state_folder));
    LANDFALL_TRY(const nic::Undone undone, setup.recover());
    if (!undone.failed.empty()) return undone.failed.front().second;
    LANDFALL_TRY(plan, plan_for(*nic, policy, setup.state()));
    if (!plan.problems.empty()) return problem_of(plan.problems.front());
    LANDFALL_CHECK(setup.apply(plan.steps, {.policy = "Group::open"}));
  }
  ret_queues = std::move(plan.queues[receiver.name]);
  return {};
}

}  // namespace

Result<Group> Group::open(const Context& context, const Policy& policy, std::string_view receiver,
                          const PolicyUse& use, Decision* decision) {
  const Policy::Receiver* named = policy.find_receiver(receiver);
  if (named == nullptr)
    return Error{Errc::not_found, kOp, ReasonCode::policy_name_unknown}.with(
        "the policy has no receiver \"" + std::string{receiver} + "\"");
  const Policy::Memory* memory = policy.find_memory(named->memory);
  if (memory == nullptr)
    return Error{Errc::not_found, kOp, ReasonCode::policy_name_unknown}.with(
        "the policy has no memory \"" + named->memory + "\"");

  GroupOptions options;
  options.transports = named->transports;
  options.also = named->also;
  options.contract = named->contract;
  options.queues = named->queue_ids.empty() ? named->queues
                                            : static_cast<std::uint32_t>(named->queue_ids.size());
  options.rx_page_bytes = static_cast<std::uint32_t>(
      std::min<std::uint64_t>(named->rx_page_bytes, std::numeric_limits<std::uint32_t>::max()));
  if (std::ranges::any_of(policy.flows,
                          [&](const Policy::Flow& flow) { return flow.to == named->name; }))
    options.steer = GroupOptions::Steer::rest;
  LANDFALL_CHECK(limit(policy, *named, *memory, options));
  const auto prepared = prepare(policy, *named, use, options.queue_ids);
  if (prepared) {
    options.interface = named->interface;
  } else if (named->contract.kind == CopyContract::Kind::require_direct) {
    return prepared.error();
  } else {
    options.without_interface = reason_from(prepared.error());
  }
  LANDFALL_TRY(Region region, Region::allocate(context, region_of(*memory)));
  return open(context, options, region, decision);
}

}  // namespace landfall
