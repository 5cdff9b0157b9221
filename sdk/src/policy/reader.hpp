// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string_view>

#include "policy/findings.hpp"
#include "policy/yaml_node.hpp"

namespace landfall::policy {

/// The one document of a YAML text as a tree, for hostile text too: its size, depth and number of
/// nodes are bounded; anchors, aliases, tags, merge keys, keys that stand twice and further
/// documents are refused. nullopt: `finder` has why. With findings and a tree, the tree lacks what
/// they name.
std::optional<YamlNode> read_yaml(std::string_view text, Finder& finder);

/// The text as YAML may be at all: short enough, UTF-8, no control characters. False: a finding.
bool check_text(std::string_view text, Finder& finder);

/// Whether this landfall reads YAML.
bool reads_yaml() noexcept;

/// What YAML 1.2 takes a scalar without quotes for.
YamlNode::Kind kind_of_plain(std::string_view text) noexcept;

}  // namespace landfall::policy
