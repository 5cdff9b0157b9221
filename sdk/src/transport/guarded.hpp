// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <new>

#include "landfall/base/result.hpp"

namespace landfall::detail {

/// Nothing is thrown at the caller: what can still go wrong inside is that memory runs out.
template <class Body>
auto guarded(const char* op, Body&& body) noexcept -> decltype(body()) {
  try {
    return body();
  } catch (const std::bad_alloc&) {
    return Error{Errc::no_memory, op, ReasonCode::out_of_memory};
  }
}

}  // namespace landfall::detail
