// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "base/context_core.hpp"

namespace landfall::detail {

/// What Context::load does.
Result<void> load_plugin(ContextCore& core, const std::string& path);

/// The plug-ins that were installed with this library, in the folder landfall/backends-<ABI major>
/// beside it. They are ours, so no trial in a helper process. One that cannot be loaded is an
/// event.
void load_installed(ContextCore& core);

}  // namespace landfall::detail
