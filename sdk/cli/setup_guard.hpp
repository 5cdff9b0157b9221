// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "landfall/base/fd.hpp"

namespace landfall::cli {

/// A process of its own that outlives this one and its terminal: when this one has ended, it takes
/// back an apply that was cut off, and one that nobody confirms in time.
///
/// Owner: the caller; the guard goes to work when this is dropped, or with the process.
/// Errors: io, limit_reached - the guard could not be started.
Result<Fd> start_setup_guard(const std::string& state_folder);

/// The guard itself: `landfall setup-guard FOLDER`, which no help names. Waits for the end of the
/// process at the other end of descriptor 3.
int run_setup_guard(const std::string& state_folder);

}  // namespace landfall::cli
