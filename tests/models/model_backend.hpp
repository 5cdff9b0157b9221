// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <type_traits>

#include "landfall/abi/backend.h"

namespace landfall::test {

/// The descriptor of a model; `Ops` says of which kind.
template <class Ops>
constexpr landfall_backend model_backend(const char* name, std::uint32_t rank, const char* summary,
                                         const Ops* ops) {
  constexpr bool kMemory = std::is_same_v<Ops, landfall_memory_ops>;
  return {
      .struct_size = sizeof(landfall_backend),
      .abi_major = LANDFALL_ABI_MAJOR,
      .abi_minor = LANDFALL_ABI_MINOR,
      .kind = kMemory ? LANDFALL_KIND_MEMORY : LANDFALL_KIND_TRANSPORT,
      .rank = rank,
      .name = name,
      .version = "1",
      .summary = summary,
      .ops = ops,
  };
}

}  // namespace landfall::test
