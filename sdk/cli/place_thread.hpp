// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <optional>
#include <string_view>
#include <vector>

#include "landfall/landfall.hpp"

namespace landfall::cli {

/// "0-3,8": as the kernel lists processors (Documentation/admin-guide/cputopology.rst). nullopt: it
/// does not read so, or names one beyond what a cpu_set_t has.
std::optional<std::vector<unsigned>> read_cpu_list(std::string_view text);

/// This thread runs where the policy says that the receiver is to: on its `cpus`, or on those of
/// its `numa_node`. Errors: invalid_argument, one of them is not there or not for this process.
Result<void> place_thread(const Policy::Receiver& receiver);

}  // namespace landfall::cli
