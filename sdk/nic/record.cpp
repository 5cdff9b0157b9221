// SPDX-License-Identifier: Apache-2.0
#include "nic/record.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <cstring>
#include <limits>
#include <span>

#include "base/crc32c.hpp"

namespace landfall::nic {
namespace {

constexpr char kHex[] = "0123456789abcdef";
constexpr std::size_t kSumChars = 8;
// Far more than any NIC has: a damaged number must not make us allocate.
constexpr std::size_t kListMax = 1u << 16;

std::string hex_of(std::span<const std::uint8_t> bytes) {
  std::string text;
  for (const std::uint8_t byte : bytes) {
    text += kHex[byte >> 4];
    text += kHex[byte & 15];
  }
  return text;
}

int digit_of(char c) {
  const char* found = std::find(kHex, kHex + 16, c);
  return found == kHex + 16 ? -1 : static_cast<int>(found - kHex);
}

std::optional<std::vector<std::uint8_t>> bytes_of(std::string_view hex) {
  std::vector<std::uint8_t> bytes;
  if (hex.size() % 2 != 0 || hex.size() > 2 * kListMax) return std::nullopt;
  for (std::size_t i = 0; i < hex.size(); i += 2) {
    const int high = digit_of(hex[i]), low = digit_of(hex[i + 1]);
    if (high < 0 || low < 0) return std::nullopt;
    bytes.push_back(static_cast<std::uint8_t>(high << 4 | low));
  }
  return bytes;
}

std::string escaped(std::string_view text) {
  std::string result;
  for (const char c : text) {
    const auto byte = static_cast<std::uint8_t>(c);
    if (byte > 0x20 && byte != 0x7f && c != '%') {
      result += c;
    } else {
      result += '%';
      result += hex_of({&byte, 1});
    }
  }
  return result;
}

std::optional<std::string> unescaped(std::string_view text) {
  std::string result;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      result += text[i];
      continue;
    }
    const auto byte = bytes_of(text.substr(i + 1, 2));
    if (!byte || byte->size() != 1) return std::nullopt;
    result += static_cast<char>(byte->front());
    i += 2;
  }
  return result;
}

std::optional<std::uint64_t> read_number(std::string_view text) {
  std::uint64_t value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc{} || end != text.data() + text.size()) return std::nullopt;
  return value;
}

std::string table_text(const std::vector<std::uint32_t>& table) {
  std::string text;
  for (const std::uint32_t entry : table) {
    if (!text.empty()) text += ',';
    text += std::to_string(entry);
  }
  return text;
}

std::optional<std::vector<std::uint32_t>> table_of(std::string_view text) {
  std::vector<std::uint32_t> table;
  while (!text.empty()) {
    const std::size_t comma = std::min(text.find(','), text.size());
    const auto entry = read_number(text.substr(0, comma));
    if (!entry || *entry > std::numeric_limits<std::uint32_t>::max() || table.size() == kListMax)
      return std::nullopt;
    table.push_back(static_cast<std::uint32_t>(*entry));
    text.remove_prefix(std::min(comma + 1, text.size()));
  }
  return table;
}

std::string rule_text(const Rule& rule) {
  return hex_of({reinterpret_cast<const std::uint8_t*>(&rule.spec), sizeof rule.spec}) + "." +
         std::to_string(rule.rss_context);
}

std::optional<Rule> rule_of(std::string_view text) {
  const std::size_t dot = text.find('.');
  if (dot == text.npos) return std::nullopt;
  const auto spec = bytes_of(text.substr(0, dot));
  const auto context = read_number(text.substr(dot + 1));
  Rule rule;
  if (!spec || spec->size() != sizeof rule.spec || !context) return std::nullopt;
  std::memcpy(&rule.spec, spec->data(), sizeof rule.spec);
  rule.rss_context = static_cast<std::uint32_t>(*context);
  return rule;
}

template <class T>
void add_known(Record& record, const char* name, const std::optional<T>& value) {
  if (value) record.add(name, std::uint64_t{*value});
}
std::optional<std::uint32_t> known(const Record& record, std::string_view name) {
  if (!record.has(name)) return std::nullopt;
  return static_cast<std::uint32_t>(record.number(name));
}

}  // namespace

Record& Record::add(std::string name, std::string value) {
  fields.emplace_back(std::move(name), std::move(value));
  return *this;
}
Record& Record::add(std::string name, std::uint64_t value) {
  return add(std::move(name), std::to_string(value));
}
std::string_view Record::text(std::string_view name) const noexcept {
  for (const auto& [key, value] : fields)
    if (key == name) return value;
  return {};
}
std::uint64_t Record::number(std::string_view name) const noexcept {
  return read_number(text(name)).value_or(0);
}
bool Record::has(std::string_view name) const noexcept {
  return std::ranges::any_of(fields, [&](const auto& field) { return field.first == name; });
}

std::string sum_of_line(std::string_view rest) {
  const std::uint32_t sum = detail::crc32c(std::as_bytes(std::span{rest}));
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < bytes.size(); ++i)
    bytes[i] = static_cast<std::uint8_t>(sum >> (24 - 8 * i));
  return hex_of(bytes);
}

std::string encode(const Record& record) {
  std::string line = record.type;
  for (const auto& [name, value] : record.fields) line += " " + name + "=" + escaped(value);
  return sum_of_line(line) + " " + line + "\n";
}

std::optional<Record> decode(const std::string_view whole) {
  std::string_view line = whole;
  if (line.size() < kSumChars + 2 || line[kSumChars] != ' ') return std::nullopt;
  const std::string_view sum = line.substr(0, kSumChars);
  line.remove_prefix(kSumChars + 1);
  if (sum_of_line(line) != sum) return std::nullopt;
  Record record;
  for (bool first = true; !line.empty(); first = false) {
    const std::size_t end = std::min(line.find(' '), line.size());
    const std::string_view word = line.substr(0, end);
    line.remove_prefix(std::min(end + 1, line.size()));
    if (first) {
      record.type = word;
      continue;
    }
    const std::size_t equals = word.find('=');
    if (equals == word.npos) return std::nullopt;
    auto value = unescaped(word.substr(equals + 1));
    if (!value) return std::nullopt;
    record.add(std::string{word.substr(0, equals)}, std::move(*value));
  }
  // Where a journal goes on is counted from what encode() makes of its records.
  const std::string again = encode(record);
  if (std::string_view{again}.substr(0, again.size() - 1) != whole) return std::nullopt;
  return record;
}

std::vector<Record> decode_all(std::string_view text, bool& ret_damaged) {
  std::vector<Record> records;
  bool bad = false;
  ret_damaged = false;
  while (!text.empty()) {
    const std::size_t end = text.find('\n');
    auto record = end == text.npos ? std::nullopt : decode(text.substr(0, end));
    if (record && bad) ret_damaged = true;
    if (!record) bad = true;
    if (record && !bad) records.push_back(std::move(*record));
    text.remove_prefix(end == text.npos ? text.size() : end + 1);
  }
  return records;
}

Record record_of(std::string type, const Step& step) {
  Record record{std::move(type), {}};
  record.add("what", name_of(step.what))
      .add("index", std::uint64_t{step.interface_index})
      .add("interface", step.interface);
  if (!step.why.empty()) record.add("why", step.why);
  if (step.removes) record.add("removes", std::uint64_t{1});
  if (!step.context.empty()) record.add("context", step.context);
  switch (step.what) {
    case Step::What::rss_table:
      record.add("from", table_text(step.from_table)).add("to", table_text(step.to_table));
      break;
    case Step::What::rss_context:
      record.add("id", std::uint64_t{step.id}).add("to", table_text(step.to_table));
      break;
    case Step::What::rule:
      record.add("rule", rule_text(step.rule));
      break;
    default:
      record.add("from", step.from).add("to", step.to);
  }
  return record;
}

std::optional<Step> step_of(const Record& record) {
  Step step;
  bool found = false;
  for (int what = 0; what <= static_cast<int>(Step::What::rule) && !found; ++what) {
    step.what = static_cast<Step::What>(what);
    found = record.text("what") == name_of(step.what);
  }
  if (!found) return std::nullopt;
  step.interface_index = static_cast<std::uint32_t>(record.number("index"));
  step.interface = record.text("interface");
  step.why = record.text("why");
  step.removes = record.number("removes") != 0;
  step.context = record.text("context");
  step.id = static_cast<std::uint32_t>(record.number("id"));
  if (step.what == Step::What::rule) {
    const auto rule = rule_of(record.text("rule"));
    if (!rule) return std::nullopt;
    step.rule = *rule;
  } else if (step.what >= Step::What::rss_table) {
    auto from = table_of(record.text("from")), to = table_of(record.text("to"));
    if (!from || !to) return std::nullopt;
    step.from_table = std::move(*from);
    step.to_table = std::move(*to);
  } else {
    step.from = record.number("from");
    step.to = record.number("to");
  }
  return step;
}

Record record_of(std::string type, const Settings& settings) {
  Record record{std::move(type), {}};
  record.add("index", std::uint64_t{settings.index})
      .add("name", settings.name)
      .add("driver", settings.driver)
      .add("bus", settings.bus)
      .add("split", static_cast<std::uint64_t>(settings.header_split));
  add_known(record, "ntuple", settings.ntuple);
  add_known(record, "channels", settings.channels);
  add_known(record, "ring", settings.rx_ring);
  add_known(record, "threshold", settings.hds_threshold_bytes);
  for (const RssContext& context : settings.rss)
    record.add("rss", std::to_string(context.id) + ":" + table_text(context.table) + ":" +
                          hex_of(context.key));
  for (const Rule& rule : settings.rules) record.add("rule", rule_text(rule));
  return record;
}

std::optional<Settings> settings_of(const Record& record) {
  Settings settings;
  settings.index = static_cast<std::uint32_t>(record.number("index"));
  settings.name = record.text("name");
  settings.driver = record.text("driver");
  settings.bus = record.text("bus");
  const std::uint64_t split = record.number("split");
  if (split > static_cast<std::uint64_t>(HeaderSplit::on)) return std::nullopt;
  settings.header_split = static_cast<HeaderSplit>(split);
  if (record.has("ntuple")) settings.ntuple = record.number("ntuple") != 0;
  settings.channels = known(record, "channels");
  settings.rx_ring = known(record, "ring");
  settings.hds_threshold_bytes = known(record, "threshold");
  for (const auto& [name, value] : record.fields) {
    if (name == "rule") {
      const auto rule = rule_of(value);
      if (!rule) return std::nullopt;
      settings.rules.push_back(*rule);
    }
    if (name != "rss") continue;
    const std::string_view text = value;
    const std::size_t first = text.find(':'), second = text.find(':', first + 1);
    if (first == text.npos || second == text.npos) return std::nullopt;
    const auto id = read_number(text.substr(0, first));
    auto table = table_of(text.substr(first + 1, second - first - 1));
    auto key = bytes_of(text.substr(second + 1));
    if (!id || !table || !key) return std::nullopt;
    settings.rss.push_back({static_cast<std::uint32_t>(*id), std::move(*table), std::move(*key)});
  }
  return settings;
}

}  // namespace landfall::nic
