// SPDX-License-Identifier: Apache-2.0
#pragma once
#include "shared/direct_flow.hpp"

namespace landfall::devmem {

class PendingTokens;

/// One connection.
struct alignas(64) Flow : transport::DirectFlow<Flow> {
  PendingTokens* pending = nullptr;  // tokens on their way back; nullptr: none
  bool readable = true;              // the last call left something, or an event came since
  bool over = false;     // the peer has ended it or reset it: the last bytes are not all
  bool by_copy = false;  // the last bytes came without control messages

  bool wants_bytes() const noexcept { return readable && !paused && !ended && !closing; }
};

}  // namespace landfall::devmem
