// SPDX-License-Identifier: Apache-2.0
// What host and hugepage are made of: they differ in the pages that they choose.
#include <memory>

#include "pages.hpp"

namespace landfall::pages {
namespace {

constexpr std::uint32_t kTakes = kTakesMemfd | kTakesLocked | kTakesNoHostView | kTakesPopulated |
                                 kTakesPageBytes | kTakesBorrow | kTakesAdopt | kTakesNumaNode;

landfall_errc read(const Call& call, const landfall_memory_spec* given, Choose choose,
                   landfall_memory_spec* ret_spec, Recipe* ret_recipe) {
  const auto code = read_spec(given, kTakes, ret_spec, call.why);
  return code == LANDFALL_ERRC_ok ? choose(call, *ret_spec, ret_recipe) : code;
}

}  // namespace

landfall_errc probe_pages(const landfall_memory_spec* given, Choose choose,
                          landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const Call call = call_of(given, reterr_why);
    landfall_memory_spec spec{};
    Recipe recipe;
    const auto code = read(call, given, choose, &spec, &recipe);
    return code == LANDFALL_ERRC_ok ? check_backing(call, spec, recipe) : code;
  });
}

landfall_errc allocate_pages(const landfall_memory_spec* given, Choose choose,
                             landfall_region** ret_region, landfall_memory* ret_memory,
                             landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const Call call = call_of(given, reterr_why);
    landfall_memory_spec spec{};
    Recipe recipe;
    if (const auto code = read(call, given, choose, &spec, &recipe); code != LANDFALL_ERRC_ok)
      return code;
    auto backing = std::make_unique<Backing>();
    const auto code = make_backing(call, spec, recipe, backing.get(), ret_memory);
    if (code == LANDFALL_ERRC_ok)
      *ret_region = reinterpret_cast<landfall_region*>(backing.release());
    return code;
  });
}

void release_pages(landfall_region* region) noexcept {
  delete reinterpret_cast<Backing*>(region);
}

}  // namespace landfall::pages
