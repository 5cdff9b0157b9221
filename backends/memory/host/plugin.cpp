// SPDX-License-Identifier: Apache-2.0
// The memory source `host`: ordinary pages: anonymous, memfd, adopted memfd, or a borrowed range.
#include "pages/pages.hpp"

namespace landfall {
namespace {

landfall_errc choose(const pages::Call& call, const landfall_memory_spec& spec,
                     pages::Recipe* ret_recipe) {
  ret_recipe->page_bytes = pages::system_page_bytes();
  if (spec.page_bytes == 0 || spec.page_bytes == ret_recipe->page_bytes) return LANDFALL_ERRC_ok;
  return authoring::fix(
      call.why,
      authoring::refuse(call.why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_spec_not_understood,
                        LANDFALL_ORIGIN_LANDFALL, 0, "the source host has only the system's pages"),
      "choose the source hugepage");
}

constexpr landfall_memory_ops kOps = pages::page_source<choose>();

}  // namespace
}  // namespace landfall

extern "C" constinit const landfall_backend landfall_builtin_memory_host =
    landfall::authoring::describe(
        &landfall::kOps, "host", "0.1.0",
        "ordinary pages: anonymous, memfd, adopted memfd, or a borrowed range");
