// SPDX-License-Identifier: Apache-2.0
#include "dma_heap_source.hpp"

namespace {

using namespace landfall::dma_heap_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, export_dmabuf, nullptr};

}  // namespace

extern "C" const landfall_backend landfall_builtin_memory_dma_heap = {
    sizeof(landfall_backend),
    LANDFALL_ABI_MAJOR,
    LANDFALL_ABI_MINOR,
    LANDFALL_KIND_MEMORY,
    0,
    "dma-heap",
    "0.1.0",
    "a dma-buf from a heap in /dev/dma_heap",
    &kOps};
