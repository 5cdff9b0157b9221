// SPDX-License-Identifier: Apache-2.0
// From the kernel's No to an Error that says why and what helps.
#pragma once
#include <cstdint>
#include <string>

#include "landfall/base/error.hpp"

namespace landfall::nic {

/// The kernel's No: errno, its words (extended acknowledgement) and the attribute that it points
/// at.
struct Refusal {
  int number = 0;               // 0: it said yes
  std::string text;             // "" where it gave none
  std::uint16_t attribute = 0;  // of the request, 0: none named
  explicit operator bool() const noexcept { return number != 0; }
};

/// bind-rx on the interface of this name ("" where it has none any more). `found`: what was found
/// out about a refusal that names no cause.
Error bind_refused(const Refusal& refusal, const std::string& interface,
                   ReasonCode found = ReasonCode::none);
/// bind-tx on the interface of this name.
Error send_bind_refused(const Refusal& refusal, const std::string& interface);
/// Has the kernel said nothing but what many causes have in common?
bool unexplained(const Refusal& refusal);
/// An n-tuple rule could not be inserted. `ntuple_on`: what the interface says of the feature.
Error rule_refused(int number, const std::string& interface, bool ntuple_on);
/// A setting was to be made. `what`: "the channels", "the RSS table", ...
Error setting_refused(const char* what, const Refusal& refusal, const std::string& interface);
/// Something was to be read.
Error read_refused(const char* what, const Refusal& refusal, const std::string& interface);

/// The listed remedy, in which IFACE becomes the interface's name.
std::string remedy_for(ReasonCode code, const std::string& interface);

}  // namespace landfall::nic
