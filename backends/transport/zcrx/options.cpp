// SPDX-License-Identifier: Apache-2.0
#include "zcrx/options.hpp"

#include <bit>

#include "shared/options.hpp"
#include "shared/spill.hpp"

namespace landfall::zcrx {
namespace {

using transport::read_bytes;
using transport::Spill;

bool read_one(std::string_view key, std::string_view value, Options* options) {
  if (key == "rx-page")
    return read_bytes(value, 4096, 2u << 20, &options->rx_page_bytes) &&
           std::has_single_bit(options->rx_page_bytes);
  if (key == "window") return read_bytes(value, 1, UINT64_MAX, &options->window_bytes);
  if (key == "spill") return read_bytes(value, Spill::kBlockBytes, 1u << 30, &options->spill_bytes);
  if (key == "refill") return read_bytes(value, 1, 32768, &options->refill_entries);
  if (key == "device") {
    options->no_device = value == "none";
    return options->no_device;
  }
  return false;
}

}  // namespace

landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why) {
  return transport::read_options(
      text, "zcrx",
      "rx-page=BYTES (a power of two), window=BYTES, spill=BYTES, refill=ENTRIES or device=none",
      reterr_why, [&](std::string_view key, std::string_view value) {
        return read_one(key, value, ret_options);
      });
}

}  // namespace landfall::zcrx
