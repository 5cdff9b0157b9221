// SPDX-License-Identifier: Apache-2.0
#include "hugepage_source.hpp"

#include "landfall/abi/authoring.hpp"

namespace {

using namespace landfall::hugepage_source;

constexpr landfall_memory_ops kOps = {
    sizeof(landfall_memory_ops), 0, probe, allocate, release, nullptr, nullptr};

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_memory_hugepage =
    landfall::authoring::describe(
        &kOps, "hugepage", "0.1.0",
        "hugetlb pages: anonymous, memfd, adopted memfd, or a borrowed range");
