// SPDX-License-Identifier: Apache-2.0
#include "udmabuf_source.hpp"

#include "landfall/abi/authoring.hpp"

namespace {

using namespace landfall::udmabuf_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, export_dmabuf, nullptr};

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_memory_udmabuf =
    landfall::authoring::describe(
        &kOps, "udmabuf", "0.1.0",
        "a sealed memfd made a dma-buf by /dev/udmabuf, with a host view");
