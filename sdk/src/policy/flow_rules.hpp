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

/// Is there a packet that both take? Rules for other kinds of packets than TCP's and UDP's, and
/// those that look at more than addresses and ports, are not understood: no.
bool overlaps(const nic::Rule& one, const nic::Rule& other);

}  // namespace landfall::policy
