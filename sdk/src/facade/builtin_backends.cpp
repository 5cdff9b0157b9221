// SPDX-License-Identifier: Apache-2.0
#include "base/context_core.hpp"

// The written list of what is part of the library; no static constructors.
extern "C" {
extern const landfall_backend landfall_builtin_memory_dma_heap;
extern const landfall_backend landfall_builtin_memory_dmabuf;
extern const landfall_backend landfall_builtin_memory_host;
extern const landfall_backend landfall_builtin_memory_hugepage;
extern const landfall_backend landfall_builtin_memory_udmabuf;
extern const landfall_backend landfall_builtin_transport_devmem_tcp;
extern const landfall_backend landfall_builtin_transport_tcp;
extern const landfall_backend landfall_builtin_transport_zcrx;
}

namespace landfall::detail {
namespace {

constexpr const landfall_backend* kBuiltin[] = {
    &landfall_builtin_memory_dma_heap, &landfall_builtin_memory_dmabuf,
    &landfall_builtin_memory_host,     &landfall_builtin_memory_hugepage,
    &landfall_builtin_memory_udmabuf,  &landfall_builtin_transport_devmem_tcp,
    &landfall_builtin_transport_tcp,   &landfall_builtin_transport_zcrx,
};

}  // namespace

std::span<const landfall_backend* const> builtin_backends() noexcept {
  return kBuiltin;
}

}  // namespace landfall::detail
