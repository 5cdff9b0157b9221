// SPDX-License-Identifier: Apache-2.0
// The memory source `hugepage`: hugetlb pages: anonymous, memfd, adopted memfd, or a borrowed
// range.
#pragma once
#include <cstdint>

#include "landfall/abi/backend.h"

namespace landfall::hugepage_source {

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept;
landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept;
void release(landfall_region* region) noexcept;

}  // namespace landfall::hugepage_source
