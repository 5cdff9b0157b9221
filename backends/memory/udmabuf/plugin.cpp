// SPDX-License-Identifier: Apache-2.0
#include "udmabuf_source.hpp"

namespace {

using namespace landfall::udmabuf_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, export_dmabuf, nullptr};

}  // namespace

extern "C" const landfall_backend landfall_builtin_memory_udmabuf = {
    sizeof(landfall_backend),
    LANDFALL_ABI_MAJOR,
    LANDFALL_ABI_MINOR,
    LANDFALL_KIND_MEMORY,
    0,
    "udmabuf",
    "0.1.0",
    "a sealed memfd made a dma-buf by /dev/udmabuf, with a host view",
    &kOps};
