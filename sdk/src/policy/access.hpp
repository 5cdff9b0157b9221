// SPDX-License-Identifier: Apache-2.0
// Who may open a receiver of a policy, and how much of it.
#pragma once
#include <sys/types.h>

#include <string_view>
#include <vector>

#include "landfall/policy/policy.hpp"

namespace landfall::policy {

struct Subject {
  uid_t user = 0;
  std::vector<gid_t> groups;

  /// This process, by its effective ids.
  static Subject self();
};

/// The first entry of `access` that names the subject for this receiver; nullptr: it has no limits,
/// as the policy has no `access`, or as it is root and is not named.
/// Errors: permission_denied - access_denied.
Result<const Policy::Access*> find_access(const Policy& policy, std::string_view receiver,
                                          const Subject& subject);

}  // namespace landfall::policy
