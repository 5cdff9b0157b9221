// SPDX-License-Identifier: Apache-2.0
// Instead of kernel_nic.cpp where libnl-3 is not there.
#include "nic/nic.hpp"
#include "nic/settings_watch.hpp"

namespace landfall::nic {

Result<std::unique_ptr<Nic>> open_kernel_nic(const landfall_host*) {
  return Error{Errc::not_supported, "open_kernel_nic", ReasonCode::nic_support_missing};
}

Result<SettingsWatch> SettingsWatch::open() {
  return Error{Errc::not_supported, "SettingsWatch::open", ReasonCode::nic_support_missing};
}
void SettingsWatch::drain() const noexcept {}

}  // namespace landfall::nic
