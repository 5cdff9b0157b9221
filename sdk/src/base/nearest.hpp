// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstddef>
#include <span>
#include <string_view>

namespace landfall::detail {

/// Changes of one letter, and swaps of two neighbours, that turn `a` into `b`.
std::size_t edit_distance(std::string_view a, std::string_view b);

/// The candidate that a misspelt word most likely means; "" when none is near: a third of the
/// letters may be wrong, and at least one.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace landfall::detail
