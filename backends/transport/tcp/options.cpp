// SPDX-License-Identifier: Apache-2.0
#include "tcp/options.hpp"

#include <string_view>

#include "shared/options.hpp"

namespace landfall::tcp {
namespace {

constexpr std::uint32_t kRingSlotsMax = 1024;
constexpr std::uint64_t kTurnMax = 1u << 30;
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

bool read_one(std::string_view key, std::string_view value, Options* options) {
  if (key == "engine") return read_engine(value, &options->engine);
  if (key == "bundles") return transport::read_switch(value, &options->bundles);
  if (key == "gather") return transport::read_switch(value, &options->gather);
  if (key == "ring") return transport::read_bytes(value, 1, kRingSlotsMax, &options->ring_slots);
  if (key == "turn")
    return transport::read_bytes(value, 0, kTurnMax, &options->turn_bytes.emplace());
  if (key == "rcvbuf")
    return transport::read_bytes(value, 0, kRcvbufMax, &options->rcvbuf_bytes.emplace());
  return false;
}

}  // namespace

landfall_errc read_options(const char* text, Options* ret_options, landfall_why* reterr_why) {
  constexpr auto kKnown =
      "engine=auto|io_uring|recv, bundles=on|off, gather=on|off, ring=1..1024, turn=BYTES or "
      "rcvbuf=BYTES";
  static_assert(kRingSlotsMax == 1024);
  return transport::read_options(text, "tcp", kKnown, reterr_why,
                                 [&](std::string_view key, std::string_view value) {
                                   return read_one(key, value, ret_options);
                                 });
}

}  // namespace landfall::tcp
