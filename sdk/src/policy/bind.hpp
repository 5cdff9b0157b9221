// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "landfall/policy/policy.hpp"
#include "policy/findings.hpp"
#include "policy/yaml_node.hpp"

namespace landfall::policy {

/// The policy that a tree of the right form says. Finds what the form cannot tell: names that
/// nothing has, values that contradict each other.
Policy bind(const YamlNode& root, Finder& finder);

}  // namespace landfall::policy
