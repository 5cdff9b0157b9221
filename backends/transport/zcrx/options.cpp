// SPDX-License-Identifier: Apache-2.0
#include "zcrx/options.hpp"

#include "shared/options.hpp"

namespace landfall::zcrx {
namespace {

using transport::read_bytes;

bool read_one(std::string_view key, std::string_view value, Options* options) {
  if (key == "refill") return read_bytes(value, 1, 32768, &options->refill_entries);
  if (key == "device") {
    options->no_device = value == "none";
    return options->no_device;
  }
  return options->read(key, value);
}

}  // namespace

landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why) {
  return transport::read_options(text, "zcrx",
                                 "rx-page=BYTES (a power of two), window=BYTES, spill=BYTES, "
                                 "refill=ENTRIES, gather=on|off or device=none",
                                 reterr_why, [&](std::string_view key, std::string_view value) {
                                   return read_one(key, value, ret_options);
                                 });
}

}  // namespace landfall::zcrx
