// SPDX-License-Identifier: Apache-2.0
// Instead of kernel_nic.cpp where libnl-3 is not there.
#include "nic/nic.hpp"

namespace landfall::nic {

Result<std::unique_ptr<Nic>> open_kernel_nic(const landfall_host*) {
  return Error{Errc::not_supported, "open_kernel_nic", ReasonCode::nic_support_missing};
}

}  // namespace landfall::nic
