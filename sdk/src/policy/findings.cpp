// SPDX-License-Identifier: Apache-2.0
#include "policy/findings.hpp"

#include <algorithm>

#include "landfall/base/limits.hpp"
#include "landfall/base/reason.hpp"

namespace landfall {
namespace policy {
namespace {

constexpr std::size_t kShownBytes = 160;  // of the line that is wrong
constexpr std::size_t kQuotedBytes = 60;

bool continues_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0u) == 0x80u;
}
std::size_t characters(std::string_view bytes) {
  return static_cast<std::size_t>(
      std::count_if(bytes.begin(), bytes.end(), [](char c) { return !continues_character(c); }));
}
/// `bytes`, or fewer, so that no character of UTF-8 is cut.
std::size_t whole_characters(std::string_view text, std::size_t bytes) {
  while (bytes > 0 && bytes < text.size() && continues_character(text[bytes])) --bytes;
  return std::min(bytes, text.size());
}
std::string visible(std::string_view text) {
  std::string shown{text};
  for (char& c : shown) {
    if (static_cast<unsigned char>(c) < 0x20 || c == 0x7F) c = c == '\t' ? ' ' : '?';
  }
  return shown;
}

std::string_view line_of(std::string_view text, std::uint32_t line) {
  std::size_t begin = 0;
  for (; line > 0; --line) {
    begin = text.find('\n', begin);
    if (begin == std::string_view::npos) return {};
    ++begin;
  }
  std::string_view found = text.substr(begin, text.find('\n', begin) - begin);
  if (found.ends_with('\r')) found.remove_suffix(1);
  return found;
}

}  // namespace

std::string quoted(std::string_view text) {
  const std::size_t shown = whole_characters(text, kQuotedBytes);
  return "'" + visible(text.substr(0, shown)) + (shown < text.size() ? "...'" : "'");
}

void Finder::add(ReasonCode code, Place place, std::string_view path, std::string message,
                 std::string hint) {
  if (full()) return;
  const std::string_view line = line_of(text_, place.line);
  const std::size_t column = std::min<std::size_t>(place.column, line.size());
  // A long line is shown from a little before the place.
  std::size_t begin = 0;
  if (column + kShownBytes / 4 > kShownBytes)
    begin = whole_characters(line, column - kShownBytes / 2);
  const std::string_view shown =
      line.substr(begin, whole_characters(line.substr(begin), kShownBytes));
  findings_.push_back({code, place.line + 1,
                       static_cast<std::uint32_t>(characters(line.substr(0, column)) + 1),
                       std::string{path}, std::move(message), std::move(hint), visible(shown),
                       static_cast<std::uint32_t>(characters(line.substr(begin, column - begin)))});
}

void Finder::add_whole(ReasonCode code, std::string message, std::string hint) {
  if (!full()) findings_.push_back({code, 0, 0, {}, std::move(message), std::move(hint), {}, 0});
}

bool Finder::full() const noexcept {
  return findings_.size() >= kPolicyFindingsMax;
}

void Finder::sort() {
  std::stable_sort(findings_.begin(), findings_.end(), [](const auto& a, const auto& b) {
    return a.line != b.line ? a.line < b.line : a.column < b.column;
  });
}

}  // namespace policy

std::string describe(const PolicyFinding& finding, std::string_view file) {
  std::string text{file};
  if (finding.line != 0)
    text += ":" + std::to_string(finding.line) + ":" + std::to_string(finding.column);
  text += ": error[" + reason_id(finding.code) + "]: " + finding.message + "\n";
  if (finding.line != 0) {
    text += "  " + finding.source + "\n";
    text += "  " + std::string(finding.source_column, ' ') + "^\n";
  }
  if (!finding.hint.empty()) text += "hint: " + finding.hint + "\n";
  return text;
}

}  // namespace landfall
