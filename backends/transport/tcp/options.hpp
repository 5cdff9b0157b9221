// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>

#include "landfall/abi/backend.h"

namespace landfall::tcp {

enum class Engine : std::uint8_t { automatic, io_uring, recv };

/// What "key=value\n..." may say; README.md explains each.
struct Options {
  Engine engine = Engine::automatic;
  bool bundles = true;
  bool gather = true;
  std::uint32_t ring_slots = 0;               // 0: the queue's ring_slots, or our choice
  std::optional<std::uint32_t> rcvbuf_bytes;  // 0: the kernel tunes it; none: same_host.hpp
  std::optional<std::uint32_t> turn_bytes;    // 0: no limit; none: our choice
};

/// Errors: invalid_argument, option_not_understood - an unknown key, or a value it cannot have.
landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why);

}  // namespace landfall::tcp
