// SPDX-License-Identifier: Apache-2.0
#include "landfall/base/reason.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>

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

// The longest name is below this; longer input is no misspelling of one.
constexpr std::size_t kNameMax = 64;

// Levenshtein distance; both texts at most kNameMax long.
std::size_t edits(std::string_view a, std::string_view b) {
  std::array<std::size_t, kNameMax + 1> row{};
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t replaced = diagonal + (a[i - 1] == b[j - 1] ? 0 : 1);
      diagonal = row[j];
      row[j] = std::min({replaced, row[j] + 1, row[j - 1] + 1});
    }
  }
  return row[b.size()];
}

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
  if (misspelt.size() > kNameMax) return std::nullopt;
  const ReasonInfo* nearest = nullptr;
  std::size_t fewest = misspelt.size() / 3 + 1;  // more edits than that: another word altogether
  for (const ReasonInfo& info : kReasons) {
    const std::size_t longer = std::max(info.name.size(), misspelt.size());
    const std::size_t shorter = std::min(info.name.size(), misspelt.size());
    if (longer - shorter >= fewest) continue;  // at least so many edits
    const std::size_t count = edits(misspelt, info.name);
    if (count < fewest) {
      fewest = count;
      nearest = &info;
    }
  }
  if (nearest == nullptr) return std::nullopt;
  return nearest->name;
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
