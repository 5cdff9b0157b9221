// SPDX-License-Identifier: Apache-2.0
// Policies made at random, for tests.
#pragma once
#include <random>
#include <string>

#include "policy/yaml_node.hpp"

namespace landfall::policy::test {

using Random = std::mt19937_64;

/// A policy that is valid in all ways. The same numbers give the same one.
YamlNode valid_policy(Random& random);

/// Changes one value, key or list of `root` into something that is mostly wrong.
void mutate(YamlNode& root, Random& random);

/// As YAML, in flow or block style as `random` wills.
std::string yaml_of(const YamlNode& root, Random& random);

}  // namespace landfall::policy::test
