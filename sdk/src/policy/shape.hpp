// SPDX-License-Identifier: Apache-2.0
// The form of a policy as a table: by it a text is checked, and of it the JSON Schema is made.
#pragma once
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

#include "policy/findings.hpp"
#include "policy/yaml_node.hpp"

namespace landfall::policy {

struct Shape;

struct Field {
  std::string_view name;
  const Shape* shape;
  std::string_view text;  // what an editor shows of it
  bool required = false;
};

struct Shape {
  enum class Kind : std::uint8_t { integer, boolean, word, text, list, map, object, either };
  Kind kind;
  std::string_view expected;                   // what belongs there: "a size, as 64KiB or 4GiB"
  std::uint64_t least = 0, most = 0;           // integer: of the value; list, map: of its entries
  std::span<const std::string_view> words{};   // word
  std::string_view pattern{};                  // text: as ECMA-262, for the schema
  bool (*fits)(std::string_view) = nullptr;    // text: the same, for us
  std::span<const Field> fields{};             // object
  std::span<const std::string_view> one_of{};  // object: of these keys exactly one
  const Shape* key = nullptr;                  // map
  const Shape* item = nullptr;                 // list (entries differ), map
  std::span<const Shape* const> choices{};     // either: at most one for each kind of value
};

/// The whole document.
const Shape& policy_shape() noexcept;

/// Finds all in `node` that has not this form; `path` is that of the node.
void check(const YamlNode& node, const Shape& shape, const std::string& path, Finder& finder);

/// `root` as a JSON Schema of draft 7.
std::string json_schema(const Shape& root, std::string_view title);

/// "receivers" and "ingest" -> "receivers.ingest".
std::string path_of(const std::string& parent, std::string_view key);

}  // namespace landfall::policy
