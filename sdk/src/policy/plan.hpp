// SPDX-License-Identifier: Apache-2.0
// From what a policy wants and what the NICs are like to the steps between them. make_plan() is
// pure: it asks nobody and changes nothing.
#pragma once
#include <map>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "landfall/base/reason.hpp"
#include "landfall/policy/policy.hpp"
#include "nic/flow_key.hpp"
#include "nic/setup.hpp"

namespace landfall::policy {

/// An interface as it was read.
struct Found {
  nic::NicState state;
  std::vector<nic::Rule> rules;
  int numa_node = -1;                 // of its device; -1: not known
  std::optional<Reason> cannot_bind;  // its driver gives no queue other memory
};

/// A socket of this host that takes packets from anybody.
struct Listener {
  nic::Rule packets;  // one that would take all of them
  std::string text;   // "tcp port 22"
  std::string user;   // who has it; "": not known
};

/// The interfaces that the policy names, and those that were set up before.
/// Errors: those of Nic::interfaces, Nic::read and Nic::rules.
Result<std::vector<Found>> read_found(nic::Nic& nic, const Policy& policy,
                                      const nic::SetupState& setup);

/// Why a policy cannot be applied here.
struct PlanProblem {
  ReasonCode code{};
  std::string subject;  // "receivers.ingest", "flows[3]": the place in the policy
  std::string message, hint;
  bool may_force = false;  // it can be, by somebody who knows what it costs
};

struct PlanInput {
  const Policy& policy;
  std::span<const Found> found;  // each interface that the policy names or the set-up has touched
  const nic::SetupState& setup;
  std::span<const nic::FlowKey> sessions;    // that must not be cut off
  std::span<const Listener> listeners = {};  // nor these, by a rule that is not there yet
};

struct Plan {
  std::vector<nic::Settings> found;  // what it was made for
  std::vector<nic::Step> steps;      // in the order in which a NIC takes them
  std::vector<PlanProblem> problems;
  std::vector<std::string> notes;                            // for people
  std::map<std::string, std::vector<std::uint32_t>> queues;  // of each receiver
};

Plan make_plan(const PlanInput& input);

}  // namespace landfall::policy
