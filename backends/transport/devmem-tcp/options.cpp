// SPDX-License-Identifier: Apache-2.0
#include "devmem-tcp/options.hpp"

#include "shared/options.hpp"

namespace landfall::devmem {
landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why) {
  return transport::read_options(
      text, "devmem-tcp",
      "rx-page=BYTES (a power of two), window=BYTES, spill=BYTES or gather=on|off", reterr_why,
      [&](std::string_view key, std::string_view value) { return ret_options->read(key, value); });
}

}  // namespace landfall::devmem
