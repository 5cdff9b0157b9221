// SPDX-License-Identifier: Apache-2.0
// The memory source `dma-heap`: a dma-buf from a heap in /dev/dma_heap.
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"

namespace landfall::dma_heap_source {

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept;
landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept;

}  // namespace landfall::dma_heap_source
