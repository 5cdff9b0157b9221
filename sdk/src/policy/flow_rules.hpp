// SPDX-License-Identifier: Apache-2.0
// A policy's flows as rules of a NIC.
#pragma once
#include <cstdint>
#include <vector>

#include "landfall/policy/policy.hpp"
#include "nic/nic.hpp"

namespace landfall::policy {

/// How many rules flow_rules() would make.
std::uint64_t count_rules(const Policy::Flow& flow);
/// One for each family and each port: hardly a NIC matches ranges. They lead nowhere yet, and have
/// no place.
std::vector<nic::Rule> flow_rules(const Policy::Flow& flow);

/// Does `wide` take every packet that `narrow` takes?
bool covers(const nic::Rule& wide, const nic::Rule& narrow);

}  // namespace landfall::policy
