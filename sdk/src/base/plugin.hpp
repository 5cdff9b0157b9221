// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <string>

#include "base/context_core.hpp"

namespace landfall::detail {

/// What Context::load does.
Result<void> load_plugin(ContextCore& core, const std::string& path);

}  // namespace landfall::detail
