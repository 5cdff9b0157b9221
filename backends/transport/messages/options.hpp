// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <string>

#include "landfall/abi/authoring.hpp"

namespace landfall::messages {

/// What a transport of messages can be told; the README of each lists it.
struct Options {
  std::uint32_t slot_bytes = 0;    // 0: by the size of the slice
  std::uint32_t window = 64;       // credits that one sender may have
  std::string device{};            // "": any. verbs: rxe0; ofi: a domain
  std::string provider{};          // ofi
  bool gather = true;              // verbs
  std::uint32_t keepalive_s = 10;  // 0: never; of a connection that nothing goes by
};

enum class Keys : std::uint8_t { verbs, ofi };

/// `text`: "key=value\n...".
landfall_errc read(const char* text, const char* transport, Keys keys, Options* ret_options,
                   landfall_why* reterr_why);

/// The longest message that a queue with so much memory takes: a power of two, so that a
/// thousand flows can have one.
std::uint32_t slot_bytes_for(const Options& options, std::uint32_t asked,
                             std::uint64_t slice_bytes) noexcept;

}  // namespace landfall::messages
