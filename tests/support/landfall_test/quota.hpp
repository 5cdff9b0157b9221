// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdlib>

namespace landfall::test {

/// How often a long case repeats: `quota` times, or `soak` times where `make soak` runs it
/// (LANDFALL_SOAK is set).
template <class T>
T quota_or_soak(T quota, T soak) {
  return std::getenv("LANDFALL_SOAK") != nullptr ? soak : quota;
}

}  // namespace landfall::test
