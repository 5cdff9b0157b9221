// SPDX-License-Identifier: Apache-2.0
// The parts that make_plan() has for each interface: what the policy wants of it, the steps to
// there, and what speaks against them.
#pragma once
#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "policy/plan.hpp"

namespace landfall::policy {

/// A setting as the policy wants it, and on whose behalf; without a `why` it is as it was found.
struct Wanted {
  std::uint64_t value = 0;
  std::string why;
};

/// What the policy wants of an interface; what is left out may be as it was found.
struct Wishes {
  std::map<std::uint32_t, const Policy::Receiver*> owners;  // of the queues
  Wanted channels;
  std::optional<Wanted> ntuple, ring, split, threshold;
  std::vector<std::uint32_t> table;
  std::string table_why;
  bool ordinary_on_ours = false;  // other traffic is spread over the receivers' queues
  std::vector<nic::Step> contexts, rules;
};

/// An interface while the plan for it is made.
struct PlannedInterface {
  PlannedInterface(const PlanInput& plan_input, const Found& as_found, Plan& made);

  const PlanInput& input;
  const Found& found;
  const nic::Settings now;
  const nic::Settings before;  // the first apply
  std::vector<const Policy::Receiver*> receivers;
  Plan& plan;

  /// Without a hint: the remedy for the code.
  void problem(ReasonCode code, std::string subject, std::string message, std::string hint = {},
               bool may_force = false) const;
  void note(std::string text) const { plan.notes.push_back(std::move(text)); }
  /// A step of this interface.
  nic::Step step(nic::Step::What what, std::string why) const;
};

/// "receivers.ingest"
std::string place_of(const Policy::Receiver& receiver);
/// "flows[3]", of a rule
std::string place_of(const nic::Step& rule);

Wishes wishes_of(const PlannedInterface& at);
/// Adds to the plan's steps.
void write_steps(const PlannedInterface& at, Wishes wishes);
/// Would bytes land where the receivers want them, once the steps are made?
void check_placement(const PlannedInterface& at, const Wishes& wishes);
/// Do the steps take what is the host's, or somebody else's?
void guard_host(const PlannedInterface& at, const Wishes& wishes);

}  // namespace landfall::policy
