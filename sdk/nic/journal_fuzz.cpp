// SPDX-License-Identifier: Apache-2.0
// Goal: whatever stands in a journal or a saved plan, reading it ends, and what was read is written
// as it was. The checksums are put right, so that what is behind them is reached.
#include <cstdint>
#include <cstdlib>
#include <string>

#include "nic/setup.hpp"

namespace {

using namespace landfall::nic;

void check(bool holds) {
  if (!holds) std::abort();
}

void read_all(std::string_view text) {
  bool damaged = false;
  const std::vector<Record> records = decode_all(text, damaged);
  (void)read_state(records);
  for (const Record& record : records) {
    const std::string line = encode(record);
    const auto again = decode(std::string_view{line}.substr(0, line.size() - 1));
    check(again && again->type == record.type && again->fields == record.fields);
    if (auto step = step_of(record)) {
      (void)describe(*step);
      check(step_of(record_of(record.type, *step)).has_value());
      (void)audit(*step, Settings{}, nullptr);
    }
    if (const auto settings = settings_of(record)) {
      const auto same = settings_of(record_of(record.type, *settings));
      check(same && same_settings(*same, *settings));
    }
  }
}

/// Each line with the checksum that fits it.
std::string with_sums(std::string_view text) {
  std::string result;
  while (!text.empty()) {
    const std::size_t end = std::min(text.find('\n'), text.size());
    const std::string_view line = text.substr(0, end);
    if (line.size() > 9) result += sum_of_line(line.substr(9)) + " " + std::string{line.substr(9)};
    result += '\n';
    text.remove_prefix(std::min(end + 1, text.size()));
  }
  return result;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text{reinterpret_cast<const char*>(data), size};
  read_all(text);
  read_all(with_sums(text));
  return 0;
}
