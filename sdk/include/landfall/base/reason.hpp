// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "landfall/base/error.hpp"

namespace landfall {

/// One line of the reason list (abi/reasons.def).
struct ReasonInfo {
  ReasonCode code;
  std::string_view name;    // "no_udmabuf_device"
  std::string_view text;    // a sentence
  std::string_view remedy;  // the one command or change that would help
};

/// The whole list, by rising number.
LANDFALL_API std::span<const ReasonInfo> all_reasons() noexcept;
/// nullptr: not in the list (a plug-in's own code).
LANDFALL_API const ReasonInfo* find_reason(ReasonCode code) noexcept;
/// By "LF1105", "1105" or "no_udmabuf_device".
LANDFALL_API const ReasonInfo* find_reason(std::string_view code_or_name) noexcept;
/// The listed name that is nearest to a misspelt one, if any is near.
LANDFALL_API std::optional<std::string_view> nearest_reason_name(std::string_view misspelt);

/// Why something was not chosen, was copied, or has failed: with its particulars.
struct Reason {
  ReasonCode code = ReasonCode::none;
  Origin origin = Origin::landfall;
  std::int32_t native = 0;
  std::string text;  // particulars, or the listed text
  std::string fix;   // particulars, or the listed remedy
};
LANDFALL_API Reason reason_from(const landfall_why& why);
LANDFALL_API Reason reason_from(const Error& error);
/// "LF1105"; "" for none.
LANDFALL_API std::string reason_id(ReasonCode code);

}  // namespace landfall
