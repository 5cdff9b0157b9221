// SPDX-License-Identifier: Apache-2.0
// Collects what is wrong in a policy.
#pragma once
#include <string>
#include <string_view>

#include "landfall/policy/finding.hpp"
#include "policy/yaml_node.hpp"

namespace landfall::policy {

/// Findings in one text. Not thread-safe.
class Finder {
 public:
  /// Both must outlive it.
  Finder(std::string_view text, PolicyFindings& findings) : text_{text}, findings_{findings} {}

  void add(ReasonCode code, Place place, std::string_view path, std::string message,
           std::string hint = {});
  /// What concerns the file as a whole.
  void add_whole(ReasonCode code, std::string message, std::string hint = {});

  bool full() const noexcept;
  bool empty() const noexcept { return findings_.empty(); }
  /// By place. Once, at the end.
  void sort();

 private:
  std::string_view text_;
  PolicyFindings& findings_;
};

/// "'queus'", for a message: shortened, control characters shown as '?'.
std::string quoted(std::string_view text);

}  // namespace landfall::policy
