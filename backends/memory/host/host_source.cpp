// SPDX-License-Identifier: Apache-2.0
#include "host_source.hpp"

#include <memory>

#include "pages/pages.hpp"

namespace landfall::host_source {
namespace {

constexpr std::uint32_t kTakes =
    pages::kTakesMemfd | pages::kTakesLocked | pages::kTakesNoHostView | pages::kTakesPopulated |
    pages::kTakesPageBytes | pages::kTakesBorrow | pages::kTakesAdopt | pages::kTakesNumaNode;

landfall_errc read(const landfall_memory_spec* given, landfall_memory_spec* ret_spec,
                   landfall_why* why) {
  if (const auto code = pages::read_spec(given, kTakes, ret_spec, why); code != LANDFALL_ERRC_ok)
    return code;
  if (ret_spec->page_bytes == 0 || ret_spec->page_bytes == pages::system_page_bytes())
    return LANDFALL_ERRC_ok;
  return authoring::fix(
      why,
      authoring::refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_spec_not_understood,
                        LANDFALL_ORIGIN_LANDFALL, 0, "the source host has only the system's pages"),
      "choose the source hugepage");
}

pages::Recipe recipe() {
  return {.page_bytes = pages::system_page_bytes()};
}

}  // namespace

landfall_errc probe(const landfall_memory_spec* given, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    landfall_memory_spec spec{};
    if (const auto code = read(given, &spec, reterr_why); code != LANDFALL_ERRC_ok) return code;
    return pages::check_backing(pages::call_of(given, reterr_why), spec, recipe());
  });
}

landfall_errc allocate(const landfall_memory_spec* given, landfall_region** ret_region,
                       landfall_memory* ret_memory, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    landfall_memory_spec spec{};
    if (const auto code = read(given, &spec, reterr_why); code != LANDFALL_ERRC_ok) return code;
    auto backing = std::make_unique<pages::Backing>();
    const auto code = pages::make_backing(pages::call_of(given, reterr_why), spec, recipe(),
                                          backing.get(), ret_memory);
    if (code == LANDFALL_ERRC_ok)
      *ret_region = reinterpret_cast<landfall_region*>(backing.release());
    return code;
  });
}

void release(landfall_region* region) noexcept {
  delete reinterpret_cast<pages::Backing*>(region);
}

}  // namespace landfall::host_source
