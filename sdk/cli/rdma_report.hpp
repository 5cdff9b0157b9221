// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>
#include <vector>

#include "console.hpp"
#include "rdma_devices.hpp"
#include "report.hpp"

namespace landfall::cli {

/// For `info`, as JSON and as text. Each device that is active is tried.
void add_rdma_devices(Json& json, const std::vector<RdmaDevice>& devices, const Console& console,
                      std::string& text);

}  // namespace landfall::cli
