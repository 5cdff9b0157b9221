// SPDX-License-Identifier: Apache-2.0
#include "tcp/options.hpp"

#include <string_view>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/units.hpp"

namespace landfall::tcp {
namespace {

constexpr std::uint32_t kRingSlotsMax = 1024;
constexpr std::uint64_t kRcvbufMax = 1u << 30;

bool read_engine(std::string_view value, Engine* ret_engine) {
  if (value == "auto")
    *ret_engine = Engine::automatic;
  else if (value == "io_uring")
    *ret_engine = Engine::io_uring;
  else if (value == "recv")
    *ret_engine = Engine::recv;
  else
    return false;
  return true;
}

bool read_switch(std::string_view value, bool* ret_on) {
  *ret_on = value == "on";
  return value == "on" || value == "off";
}

bool read_number(std::string_view value, std::uint64_t least, std::uint64_t most,
                 std::uint32_t* ret_number) {
  const Result<std::uint64_t> number = parse_bytes(value);
  if (!number || *number < least || *number > most) return false;
  *ret_number = static_cast<std::uint32_t>(*number);
  return true;
}

bool read_one(std::string_view key, std::string_view value, Options* options) {
  if (key == "engine") return read_engine(value, &options->engine);
  if (key == "bundles") return read_switch(value, &options->bundles);
  if (key == "gather") return read_switch(value, &options->gather);
  if (key == "ring") return read_number(value, 1, kRingSlotsMax, &options->ring_slots);
  if (key == "rcvbuf") return read_number(value, 1, kRcvbufMax, &options->rcvbuf_bytes);
  return false;
}

}  // namespace

landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why) {
  std::string_view rest = text == nullptr ? "" : text;
  while (!rest.empty()) {
    const std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(line.size() < rest.size() ? line.size() + 1 : line.size());
    if (line.empty()) continue;
    const std::size_t equals = line.find('=');
    if (equals != std::string_view::npos &&
        read_one(line.substr(0, equals), line.substr(equals + 1), ret_options)) {
      continue;
    }
    return authoring::fix(
        reterr_why,
        authoring::refuse(reterr_why, LANDFALL_ERRC_invalid_argument,
                          LANDFALL_REASON_option_not_understood, LANDFALL_ORIGIN_LANDFALL, 0,
                          "tcp does not understand the option '%.*s'",
                          static_cast<int>(line.size()), line.data()),
        "use engine=auto|io_uring|recv, bundles=on|off, gather=on|off, ring=1..%u or rcvbuf=BYTES",
        kRingSlotsMax);
  }
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::tcp
