// SPDX-License-Identifier: Apache-2.0
#include "dmabuf_source.hpp"

namespace {

using namespace landfall::dmabuf_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, export_dmabuf, nullptr};

}  // namespace

extern "C" const landfall_backend landfall_builtin_memory_dmabuf = {
    sizeof(landfall_backend),
    LANDFALL_ABI_MAJOR,
    LANDFALL_ABI_MINOR,
    LANDFALL_KIND_MEMORY,
    0,
    "dmabuf",
    "0.1.0",
    "a dma-buf that the application brings",
    &kOps};
