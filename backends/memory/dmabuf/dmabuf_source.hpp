// SPDX-License-Identifier: Apache-2.0
// The memory source `dmabuf`: a dma-buf that the application brings.
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"

namespace landfall::dmabuf_source {

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept;
landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept;

}  // namespace landfall::dmabuf_source
