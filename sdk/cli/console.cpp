// SPDX-License-Identifier: Apache-2.0
#include "console.hpp"

#include <unistd.h>

#include <array>
#include <cstdlib>

namespace landfall::cli {

Console::Console(std::string verb) : verb_{std::move(verb)} {
  const char* term = std::getenv("TERM");
  const char* no_color = std::getenv("NO_COLOR");
  const bool dumb = term == nullptr || std::string_view{term} == "dumb";
  terminal_error_ = ::isatty(STDERR_FILENO) == 1 && !dumb;
  // no-color.org: any value but the empty one.
  color_ = ::isatty(STDOUT_FILENO) == 1 && !dumb && (no_color == nullptr || *no_color == '\0');
}

std::string Console::painted(std::string_view text, const char* color) const {
  if (!color_) return std::string{text};
  return "\x1b[" + std::string{color} + "m" + std::string{text} + "\x1b[0m";
}

void Console::message(std::string_view text) const {
  const std::string line =
      "landfall" + (verb_.empty() ? "" : " " + verb_) + ": " + std::string{text} + "\n";
  print(stderr, (line_shown_ ? "\r\x1b[K" : "") + line);
}

void Console::warning(std::string_view text) const {
  message("warning: " + std::string{text});
}

void Console::error(const Error& error) const {
  message(error.describe());
}

void Console::progress(std::string_view line) {
  if (!terminal_error_) return;
  print(stderr, "\r\x1b[K" + std::string{line});
  std::fflush(stderr);
  line_shown_ = true;
}

void Console::end_progress() {
  if (line_shown_) print(stderr, "\r\x1b[K");
  line_shown_ = false;
}

bool print(std::FILE* to, std::string_view text) {
  return std::fwrite(text.data(), 1, text.size(), to) == text.size() && std::fflush(to) == 0;
}

std::string format_decimal(double bytes) {
  constexpr std::array kUnits{"B", "kB", "MB", "GB", "TB", "PB", "EB"};
  std::size_t unit = 0;
  while (bytes >= 1000 && unit + 1 < kUnits.size()) {
    bytes /= 1000;
    ++unit;
  }
  std::array<char, 32> text{};
  const int digits = unit == 0 || bytes >= 100 ? 0 : bytes >= 10 ? 1 : 2;
  std::snprintf(text.data(), text.size(), "%.*f %s", digits, bytes, kUnits[unit]);
  return text.data();
}

std::string format_rate(double bytes_per_second) {
  return format_decimal(bytes_per_second) + "/s";
}

std::string printable(std::string_view name) {
  std::string out;
  for (const char c : name) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte < 0x20 || byte == 0x7f || byte >= 0x80 || c == '\\') {
      std::array<char, 8> text{};
      std::snprintf(text.data(), text.size(), "\\x%02x", byte);
      out += text.data();
    } else {
      out += c;
    }
  }
  return out;
}

}  // namespace landfall::cli
