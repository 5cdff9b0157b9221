// SPDX-License-Identifier: Apache-2.0
#include "messages/options.hpp"

#include <algorithm>
#include <bit>
#include <charconv>
#include <string_view>

#include "messages/wire.hpp"
#include "shared/options.hpp"

namespace landfall::messages {
namespace {

constexpr std::uint32_t kKeepaliveMax = 3600;  // seconds

/// A number, with KiB or MiB behind it where it is one of bytes.
bool read_number(std::string_view text, bool bytes, std::uint32_t least, std::uint32_t most,
                 std::uint32_t* ret_number) {
  std::uint64_t number = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc{} || number > UINT32_MAX) return false;
  const std::string_view unit = text.substr(static_cast<std::size_t>(end - text.data()));
  if (bytes && unit == "KiB")
    number <<= 10;
  else if (bytes && unit == "MiB")
    number <<= 20;
  else if (!unit.empty())
    return false;
  if (number < least || number > most) return false;
  *ret_number = static_cast<std::uint32_t>(number);
  return true;
}

}  // namespace

landfall_errc read(const char* text, const char* transport, Keys keys, Options* ret_options,
                   landfall_why* reterr_why) {
  const bool ofi = keys == Keys::ofi;
  const char* known =
      ofi ? "slot=256..16MiB, credits=2..511, keepalive=0..3600, device=DOMAIN, provider=NAME"
          : "slot=256..16MiB, credits=2..511, keepalive=0..3600, device=NAME, gather=on|off";
  return transport::read_options(
      text, transport, known, reterr_why, [&](std::string_view key, std::string_view value) {
        if (key == "slot")
          return read_number(value, true, kSlotBytesMin, kSlotBytesMax, &ret_options->slot_bytes);
        if (key == "credits") return read_number(value, false, 2, kWindowMax, &ret_options->window);
        if (key == "keepalive")
          return read_number(value, false, 0, kKeepaliveMax, &ret_options->keepalive_s);
        if (key == "device") return !(ret_options->device = value).empty();
        if (key == "provider" && ofi) return !(ret_options->provider = value).empty();
        if (key == "gather" && !ofi) return transport::read_switch(value, &ret_options->gather);
        return false;
      });
}

std::uint32_t slot_bytes_for(const Options& options, std::uint32_t asked,
                             std::uint64_t slice_bytes) noexcept {
  constexpr std::uint64_t kSlots = 2048, kLeast = 4096, kMost = 64u << 10;
  if (options.slot_bytes != 0) return options.slot_bytes;
  if (asked != 0) return std::clamp(asked, kSlotBytesMin, kSlotBytesMax);
  return static_cast<std::uint32_t>(
      std::clamp(std::bit_floor(std::max<std::uint64_t>(slice_bytes / kSlots, 1)), kLeast, kMost));
}

}  // namespace landfall::messages
