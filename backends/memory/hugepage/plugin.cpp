// SPDX-License-Identifier: Apache-2.0
// The memory source `hugepage`: hugetlb pages: anonymous, memfd, adopted memfd, or a borrowed
// range.
#include "pages/pages.hpp"

namespace landfall {
namespace {

landfall_errc choose(const pages::Call& call, const landfall_memory_spec& spec,
                     pages::Recipe* ret_recipe) {
  ret_recipe->huge = true;
  ret_recipe->page_bytes = spec.page_bytes;
  if (spec.page_bytes == 0 && spec.fd >= 0) {
    pages::Memfd memfd;
    if (const auto code = pages::adopt_memfd(call, spec.fd, &memfd); code != LANDFALL_ERRC_ok)
      return code;
    ret_recipe->page_bytes = memfd.page_bytes;
  }
  if (ret_recipe->page_bytes == 0) ret_recipe->page_bytes = pages::default_huge_page_bytes();
  return LANDFALL_ERRC_ok;
}

constexpr landfall_memory_ops kOps = pages::page_source<choose>();

}  // namespace
}  // namespace landfall

extern "C" constinit const landfall_backend landfall_builtin_memory_hugepage =
    landfall::authoring::describe(
        &landfall::kOps, "hugepage", "0.1.0",
        "hugetlb pages: anonymous, memfd, adopted memfd, or a borrowed range");
