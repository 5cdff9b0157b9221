// SPDX-License-Identifier: Apache-2.0
#pragma once

namespace landfall::cli {

/// The whole program but for main(): answers the exit status.
int run(int argc, const char* const* argv);

}  // namespace landfall::cli
