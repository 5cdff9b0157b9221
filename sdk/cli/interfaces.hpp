// SPDX-License-Identifier: Apache-2.0
// What info and doctor say about network interfaces: which queues can take device memory.
#pragma once
#include <string>
#include <vector>

#include "console.hpp"
#include "doctor_checks.hpp"
#include "nic/usable.hpp"
#include "report.hpp"

namespace landfall::cli {

struct Interfaces {
  std::vector<nic::InterfaceUse> found;
  std::vector<Reason> reasons;  // why nothing, or not all, could be read

  /// The first with a queue that can take device memory; "": none.
  std::string usable() const;
};
/// All interfaces of this network namespace. Changes nothing.
Interfaces read_interfaces(nic::Nic& nic);
Interfaces read_interfaces();

/// Adds "interfaces" and "interfaces_reasons".
void add_interfaces(Json& json, const Interfaces& interfaces);
/// For people; without loopback.
std::string text_of(const Interfaces& interfaces, const Console& console);
/// One check for each interface that has a device, or one that says there is none.
std::vector<Check> check_interfaces(const Interfaces& interfaces);

}  // namespace landfall::cli
