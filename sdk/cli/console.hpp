// SPDX-License-Identifier: Apache-2.0
// Messages for people: data go to standard output, all else to standard error.
#pragma once
#include <cstdint>
#include <cstdio>
#include <string>
#include <string_view>

#include "landfall/base/error.hpp"

namespace landfall::cli {

/// How a verb speaks: its name, and what its two outputs are.
class Console {
 public:
  /// Reads the environment (NO_COLOR, TERM) and asks whether standard output and error are
  /// terminals.
  explicit Console(std::string verb);

  /// "landfall recv: text" on standard error.
  void message(std::string_view text) const;
  void warning(std::string_view text) const;
  void error(const Error& error) const;
  /// The one line that is updated on a terminal; nothing elsewhere.
  void progress(std::string_view line);
  /// Takes the progress line away.
  void end_progress();
  bool shows_progress() const noexcept { return terminal_error_; }

  std::string good(std::string_view text) const { return painted(text, "32"); }
  std::string fair(std::string_view text) const { return painted(text, "33"); }
  std::string bad(std::string_view text) const { return painted(text, "31"); }

 private:
  std::string painted(std::string_view text, const char* color) const;
  std::string verb_;
  bool terminal_error_ = false, color_ = false, line_shown_ = false;
};

/// All of `text` to a stdio stream. False: it could not be written, errno says why.
bool print(std::FILE* to, std::string_view text);

/// "3.14 GB/s", "268 MB" with decimal units, as network rates are.
std::string format_rate(double bytes_per_second);
std::string format_decimal(double bytes);
/// A name that a sender chose, safe to print: control characters and bad UTF-8 escaped.
std::string printable(std::string_view name);

}  // namespace landfall::cli
