// SPDX-License-Identifier: Apache-2.0
#include <algorithm>

#include "landfall/base/limits.hpp"
#include "landfall/base/units.hpp"
#include "policy/reader.hpp"

namespace landfall::policy {
namespace {

constexpr auto kUnsafe = ReasonCode::policy_refused;

/// The length of the character of UTF-8 that `text` begins with; 0: it is none (RFC 3629: no
/// surrogates, no longer form than needed, at most U+10FFFF).
std::size_t character_length(std::string_view text) {
  const auto byte = [&](std::size_t i) { return static_cast<unsigned char>(text[i]); };
  const unsigned char lead = byte(0);
  if (lead < 0x80) return 1;
  const std::size_t length = lead >= 0xF0 ? 4 : lead >= 0xE0 ? 3 : 2;
  if (lead < 0xC2 || lead > 0xF4 || text.size() < length) return 0;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(i) & 0xC0u) != 0x80u) return 0;
  }
  const unsigned char second = byte(1);
  if ((lead == 0xE0 && second < 0xA0) || (lead == 0xED && second > 0x9F) ||
      (lead == 0xF0 && second < 0x90) || (lead == 0xF4 && second > 0x8F))
    return 0;
  return length;
}

bool is_digit(char c) {
  return c >= '0' && c <= '9';
}
bool all(std::string_view text, bool (*test)(char)) {
  return !text.empty() && std::all_of(text.begin(), text.end(), test);
}
bool is_hex(char c) {
  return is_digit(c) || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F');
}
bool is_octal(char c) {
  return c >= '0' && c <= '7';
}

bool is_number(std::string_view text) {
  if (text.starts_with('-') || text.starts_with('+')) text.remove_prefix(1);
  for (const char* name : {".inf", ".Inf", ".INF", ".nan", ".NaN", ".NAN"}) {
    if (text == name) return true;
  }
  std::size_t at = 0, digits = 0;
  for (; at < text.size() && is_digit(text[at]); ++at) ++digits;
  if (at < text.size() && text[at] == '.') ++at;
  for (; at < text.size() && is_digit(text[at]); ++at) ++digits;
  if (digits == 0) return false;
  if (at == text.size()) return true;
  if (text[at] != 'e' && text[at] != 'E') return false;
  std::string_view exponent = text.substr(at + 1);
  if (exponent.starts_with('-') || exponent.starts_with('+')) exponent.remove_prefix(1);
  return all(exponent, is_digit);
}

}  // namespace

YamlNode::Kind kind_of_plain(std::string_view text) noexcept {
  if (text.empty() || text == "~" || text == "null" || text == "Null" || text == "NULL")
    return YamlNode::Kind::null;
  for (const char* word : {"true", "True", "TRUE", "false", "False", "FALSE"}) {
    if (text == word) return YamlNode::Kind::boolean;
  }
  std::string_view digits = text;
  if (digits.starts_with('-') || digits.starts_with('+')) digits.remove_prefix(1);
  if (all(digits, is_digit)) return YamlNode::Kind::integer;
  if (text.starts_with("0x") && all(text.substr(2), is_hex)) return YamlNode::Kind::integer;
  if (text.starts_with("0o") && all(text.substr(2), is_octal)) return YamlNode::Kind::integer;
  return is_number(text) ? YamlNode::Kind::number : YamlNode::Kind::string;
}

bool check_text(std::string_view text, Finder& finder) {
  if (text.size() > kPolicyBytesMax) {
    // Of a file that is larger no more was read than tells.
    finder.add_whole(
        kUnsafe, "a policy has at most " + format_bytes(kPolicyBytesMax) + ", and this has more");
    return false;
  }
  Place place;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t length = character_length(text.substr(at));
    const char c = text[at];
    if (length == 0) {
      finder.add(kUnsafe, place, "", "this is not UTF-8", "save the file as UTF-8");
      return false;
    }
    if ((static_cast<unsigned char>(c) < 0x20 && c != '\n' && c != '\r' && c != '\t') ||
        c == 0x7F) {
      finder.add(kUnsafe, place, "", c == '\0' ? "a NUL byte" : "a control character",
                 "is this a text file?");
      return false;
    }
    at += length;
    place.column += static_cast<std::uint32_t>(length);
    if (c == '\n') place = {place.line + 1, 0};
  }
  return true;
}

}  // namespace landfall::policy
