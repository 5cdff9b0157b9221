// SPDX-License-Identifier: Apache-2.0
#include <algorithm>
#include <vector>

#include "base/nearest.hpp"
#include "policy/scalars.hpp"
#include "policy/shape.hpp"

namespace landfall::policy {
namespace {

using Kind = Shape::Kind;

/// Whether a value of this kind may be of this shape at all.
bool takes(const Shape& shape, YamlNode::Kind kind) {
  switch (shape.kind) {
    case Kind::integer:
      return kind == YamlNode::Kind::integer;
    case Kind::boolean:
      return kind == YamlNode::Kind::boolean;
    case Kind::word:
    case Kind::text:
      return kind == YamlNode::Kind::string;
    case Kind::list:
      return kind == YamlNode::Kind::list;
    case Kind::map:
    case Kind::object:
      return kind == YamlNode::Kind::map;
    case Kind::either:
      return std::ranges::any_of(shape.choices,
                                 [&](const Shape* choice) { return takes(*choice, kind); });
  }
  return false;
}

std::string what_it_is(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return "nothing";
    case YamlNode::Kind::list:
      return "a list";
    case YamlNode::Kind::map:
      return "keys and values";
    default:
      return quoted(node.text);
  }
}

class Checker {
 public:
  explicit Checker(Finder& finder) : finder_{finder} {}

  void value(const YamlNode& node, const Shape& shape, const std::string& path) {
    if (finder_.full()) return;
    if (shape.kind == Kind::either) {
      for (const Shape* choice : shape.choices) {
        if (takes(*choice, node.kind)) return value(node, *choice, path);
      }
    }
    if (!takes(shape, node.kind)) return wrong(node, shape, path);
    switch (shape.kind) {
      case Kind::integer: {
        const auto number = read_integer(node.text);
        if (!number || *number < shape.least || *number > shape.most) wrong(node, shape, path);
        break;
      }
      case Kind::word:
        word(node, shape, path);
        break;
      case Kind::text:
        if (!shape.fits(node.text)) wrong(node, shape, path);
        break;
      case Kind::list:
        list(node, shape, path);
        break;
      case Kind::map:
        map(node, shape, path);
        break;
      case Kind::object:
        object(node, shape, path);
        break;
      case Kind::boolean:
      case Kind::either:
        break;
    }
  }

 private:
  void wrong(const YamlNode& node, const Shape& shape, const std::string& path,
             std::string hint = {}) {
    finder_.add(ReasonCode::policy_value, node.place, path,
                what_it_is(node) + " is not " + std::string{shape.expected}, std::move(hint));
  }

  void word(const YamlNode& node, const Shape& shape, const std::string& path) {
    if (std::ranges::find(shape.words, node.text) != shape.words.end()) return;
    wrong(node, shape, path, did_you_mean(detail::nearest(node.text, shape.words)));
  }

  void list(const YamlNode& node, const Shape& shape, const std::string& path) {
    if (node.items.size() < shape.least || node.items.size() > shape.most) {
      finder_.add(ReasonCode::policy_value, node.place, path,
                  "a list of " + std::to_string(node.items.size()) + " is not " +
                      std::string{shape.expected});
    }
    const std::size_t checked = std::min<std::size_t>(node.items.size(), shape.most);
    for (std::size_t i = 0; i < checked; ++i)
      value(node.items[i], *shape.item, path + "[" + std::to_string(i) + "]");
    if (shape.item->kind == Kind::object) return;
    // By what they mean, so that 16 and 0x10 are the same.
    std::vector<std::pair<std::string, std::size_t>> seen;
    for (std::size_t i = 0; i < checked; ++i) {
      const YamlNode& item = node.items[i];
      const auto number =
          item.kind == YamlNode::Kind::integer ? read_integer(item.text) : std::nullopt;
      seen.emplace_back(number ? std::to_string(*number) : item.text, i);
    }
    std::ranges::sort(seen);
    for (std::size_t i = 1; i < seen.size(); ++i) {
      if (seen[i].first != seen[i - 1].first) continue;
      const std::size_t at = seen[i].second;
      finder_.add(ReasonCode::policy_value, node.items[at].place,
                  path + "[" + std::to_string(at) + "]",
                  what_it_is(node.items[at]) + " stands twice in the list", "remove one of them");
    }
  }

  void map(const YamlNode& node, const Shape& shape, const std::string& path) {
    if (node.items.size() < shape.least || node.items.size() > shape.most) {
      finder_.add(ReasonCode::policy_value, node.place, path,
                  std::to_string(node.items.size()) + " entries; there may be from " +
                      std::to_string(shape.least) + " to " + std::to_string(shape.most));
    }
    for (std::size_t i = 0; i < std::min<std::size_t>(node.items.size(), shape.most); ++i) {
      const YamlNode::Key& key = node.keys[i];
      const std::string below = path_of(path, key.name);
      if (!shape.key->fits(key.name)) {
        finder_.add(ReasonCode::policy_value, key.place, below,
                    quoted(key.name) + " is not " + std::string{shape.key->expected});
      }
      value(node.items[i], *shape.item, below);
    }
  }

  void object(const YamlNode& node, const Shape& shape, const std::string& path) {
    std::vector<std::string_view> names;
    for (const Field& field : shape.fields) names.push_back(field.name);
    for (std::size_t i = 0; i < node.items.size(); ++i) {
      const YamlNode::Key& key = node.keys[i];
      const auto field = std::ranges::find(shape.fields, key.name, &Field::name);
      if (field != shape.fields.end()) {
        value(node.items[i], *field->shape, path_of(path, key.name));
        continue;
      }
      const std::string_view near = detail::nearest(key.name, names);
      finder_.add(ReasonCode::policy_key_unknown, key.place, path_of(path, key.name),
                  quoted(key.name) + " is not known here",
                  near.empty() ? "known here: " + joined(names, ", ") : did_you_mean(near));
    }
    for (const Field& field : shape.fields) {
      if (field.required && node.find(field.name) == nullptr)
        missing(node, path, "'" + std::string{field.name} + "' is missing", field.text);
    }
    if (shape.one_of.empty()) return;
    const auto there = std::ranges::count_if(
        shape.one_of, [&](std::string_view name) { return node.find(name) != nullptr; });
    if (there != 1)
      missing(node, path, "exactly one of " + joined(shape.one_of, " and ") + " belongs here", "");
  }

  void missing(const YamlNode& node, const std::string& path, std::string message,
               std::string_view text) {
    finder_.add(ReasonCode::policy_key_missing, node.place, path, std::move(message),
                std::string{text});
  }

  static std::string did_you_mean(std::string_view near) {
    return near.empty() ? "" : "did you mean '" + std::string{near} + "'?";
  }
  static std::string joined(std::span<const std::string_view> words, std::string_view by) {
    std::string all;
    for (const std::string_view word : words)
      all += (all.empty() ? "" : std::string{by}) + std::string{word};
    return all;
  }

  Finder& finder_;
};

}  // namespace

std::string path_of(const std::string& parent, std::string_view key) {
  return parent.empty() ? std::string{key} : parent + "." + std::string{key};
}

void check(const YamlNode& node, const Shape& shape, const std::string& path, Finder& finder) {
  Checker{finder}.value(node, shape, path);
}

}  // namespace landfall::policy
