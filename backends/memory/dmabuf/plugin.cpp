// SPDX-License-Identifier: Apache-2.0
#include "dmabuf_source.hpp"

#include "landfall/abi/authoring.hpp"
#include "pages/pages.hpp"

namespace {

using namespace landfall;
using namespace landfall::dmabuf_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0,      probe, allocate, pages::release_dmabuf,
    pages::export_whole,         nullptr};

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_memory_dmabuf =
    authoring::describe(&kOps, "dmabuf", "0.1.0", "a dma-buf that the application brings");
