// SPDX-License-Identifier: Apache-2.0
#include "host_source.hpp"

#include "landfall/abi/authoring.hpp"

namespace {

using namespace landfall::host_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, nullptr, nullptr};

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_memory_host =
    landfall::authoring::describe(
        &kOps, "host", "0.1.0",
        "ordinary pages: anonymous, memfd, adopted memfd, or a borrowed range");
