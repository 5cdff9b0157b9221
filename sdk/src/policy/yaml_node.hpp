// SPDX-License-Identifier: Apache-2.0
// What a YAML text holds, with the place of each part in it.
#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace landfall::policy {

/// A place in the text: line from 0, bytes since the line's begin.
struct Place {
  std::uint32_t line = 0, column = 0;
};

/// Owner: its parent; a value. Of `items`, a list has one for each entry; a map has one for each
/// key, whose name stands in `keys` at the same index.
struct YamlNode {
  // What JSON and YAML 1.2 (core schema) make of a scalar, so that an editor and landfall agree.
  enum class Kind : std::uint8_t { null, boolean, integer, number, string, list, map };
  struct Key {
    std::string name;
    Place place;
  };
  Kind kind = Kind::null;
  Place place;
  std::string text;  // of scalars
  std::vector<Key> keys;
  std::vector<YamlNode> items;

  bool is_scalar() const noexcept { return kind < Kind::list; }
  /// The value under a key of a map; nullptr: none.
  const YamlNode* find(std::string_view key) const noexcept {
    for (std::size_t i = 0; i < keys.size(); ++i) {
      if (keys[i].name == key) return &items[i];
    }
    return nullptr;
  }
};

}  // namespace landfall::policy
