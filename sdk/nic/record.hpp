// SPDX-License-Identifier: Apache-2.0
// One line of a journal or a saved plan: a checksum, a word, and named fields as text.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "nic/step.hpp"

namespace landfall::nic {

struct Record {
  std::string type;
  std::vector<std::pair<std::string, std::string>> fields;

  Record& add(std::string name, std::string value);
  Record& add(std::string name, std::uint64_t value);
  /// "" and 0 where there is none.
  std::string_view text(std::string_view name) const noexcept;
  std::uint64_t number(std::string_view name) const noexcept;
  bool has(std::string_view name) const noexcept;
};

/// "1a2b3c4d do what=rx_ring from=256\n": the checksum is CRC-32C of what follows it.
std::string encode(const Record& record);
/// Of one line without its end. nullopt: the checksum does not fit, or encode() does not write it
/// so.
std::optional<Record> decode(std::string_view whole);

/// The checksum of what follows it on its line, as it is written.
std::string sum_of_line(std::string_view rest);

/// All lines of a file. What was being written when a crash came is left out; `ret_damaged`: a
/// line in the midst of others is wrong.
std::vector<Record> decode_all(std::string_view text, bool& ret_damaged);

Record record_of(std::string type, const Step& step);
std::optional<Step> step_of(const Record& record);
Record record_of(std::string type, const Settings& settings);
std::optional<Settings> settings_of(const Record& record);

}  // namespace landfall::nic
