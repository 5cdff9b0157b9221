// SPDX-License-Identifier: Apache-2.0
#include "hugepage_source.hpp"

#include <memory>

#include "pages/pages.hpp"

namespace landfall::hugepage_source {
namespace {

constexpr std::uint32_t kTakes =
    pages::kTakesMemfd | pages::kTakesLocked | pages::kTakesNoHostView | pages::kTakesPopulated |
    pages::kTakesPageBytes | pages::kTakesBorrow | pages::kTakesAdopt | pages::kTakesNumaNode;

landfall_errc read(const pages::Call& call, const landfall_memory_spec* given,
                   landfall_memory_spec* ret_spec, pages::Recipe* ret_recipe) {
  if (const auto code = pages::read_spec(given, kTakes, ret_spec, call.why);
      code != LANDFALL_ERRC_ok)
    return code;
  std::uint64_t page_bytes = ret_spec->page_bytes;
  if (page_bytes == 0 && ret_spec->fd >= 0) {
    pages::Memfd memfd;
    if (const auto code = pages::adopt_memfd(call, ret_spec->fd, &memfd); code != LANDFALL_ERRC_ok)
      return code;
    page_bytes = memfd.page_bytes;
  }
  *ret_recipe = {.page_bytes = page_bytes != 0 ? page_bytes : pages::default_huge_page_bytes(),
                 .huge = true};
  return LANDFALL_ERRC_ok;
}

}  // namespace

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const pages::Call call = pages::call_of(given, reterr_why);
    landfall_memory_spec spec{};
    pages::Recipe recipe;
    if (const auto code = read(call, given, &spec, &recipe); code != LANDFALL_ERRC_ok) return code;
    return pages::check_backing(call, spec, recipe);
  });
}

landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const pages::Call call = pages::call_of(given, reterr_why);
    landfall_memory_spec spec{};
    pages::Recipe recipe;
    if (const auto code = read(call, given, &spec, &recipe); code != LANDFALL_ERRC_ok) return code;
    auto backing = std::make_unique<pages::Backing>();
    const auto code = pages::make_backing(call, spec, recipe, backing.get(), ret_memory);
    if (code == LANDFALL_ERRC_ok)
      *ret_region = reinterpret_cast<landfall_region*>(backing.release());
    return code;
  });
}

void release(landfall_region* region) noexcept {
  delete reinterpret_cast<pages::Backing*>(region);
}

}  // namespace landfall::hugepage_source
