// SPDX-License-Identifier: Apache-2.0
#include "landfall/base/reason.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

#include "base/nearest.hpp"

namespace landfall {
namespace {

constexpr ReasonInfo kReasons[] = {
#define LANDFALL_REASON(number, name, text, remedy) {ReasonCode::name, #name, text, remedy},
#include "landfall/abi/reasons.def"
#undef LANDFALL_REASON
};

constexpr bool rising() {
  for (std::size_t i = 1; i < std::size(kReasons); ++i)
    if (kReasons[i - 1].code >= kReasons[i].code) return false;
  return true;
}
static_assert(rising(), "reasons.def is not in number order");

std::string filled(const char* particulars, std::size_t bytes, std::string_view listed) {
  const std::size_t length = ::strnlen(particulars, bytes);
  return length == 0 ? std::string{listed} : std::string{particulars, length};
}

}  // namespace

std::span<const ReasonInfo> all_reasons() noexcept {
  return kReasons;
}

const ReasonInfo* find_reason(ReasonCode code) noexcept {
  const auto* found = std::lower_bound(
      std::begin(kReasons), std::end(kReasons), code,
      [](const ReasonInfo& info, ReasonCode wanted) { return info.code < wanted; });
  return found != std::end(kReasons) && found->code == code ? found : nullptr;
}

const ReasonInfo* find_reason(std::string_view code_or_name) noexcept {
  std::string_view digits = code_or_name;
  if (digits.starts_with("LF") || digits.starts_with("lf")) digits.remove_prefix(2);
  std::uint32_t number = 0;
  const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  if (parsed.ec == std::errc{} && parsed.ptr == digits.data() + digits.size())
    return find_reason(static_cast<ReasonCode>(number));
  for (const ReasonInfo& info : kReasons)
    if (info.name == code_or_name) return &info;
  return nullptr;
}

std::optional<std::string_view> nearest_reason_name(std::string_view misspelt) {
  std::array<std::string_view, std::size(kReasons)> names;
  std::ranges::transform(kReasons, names.begin(), &ReasonInfo::name);
  const std::string_view found = detail::nearest(misspelt, names);
  return found.empty() ? std::nullopt : std::optional{found};
}

Reason reason_from(const landfall_why& why) {
  const auto code = static_cast<ReasonCode>(why.code);
  const ReasonInfo* info = find_reason(code);
  const bool origin_known = why.origin >= 0 && why.origin <= LANDFALL_ORIGIN_RESOLVER;
  return {code, origin_known ? static_cast<Origin>(why.origin) : Origin::landfall, why.native,
          filled(why.text, sizeof why.text, info == nullptr ? "" : info->text),
          filled(why.fix, sizeof why.fix, info == nullptr ? "" : info->remedy)};
}

Reason reason_from(const Error& error) {
  return {error.reason(), error.origin(), error.native(), std::string{error.cause()},
          std::string{error.remedy()}};
}

std::string reason_id(ReasonCode code) {
  return code == ReasonCode::none ? "" : "LF" + std::to_string(static_cast<std::uint32_t>(code));
}

}  // namespace landfall
