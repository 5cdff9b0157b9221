// SPDX-License-Identifier: Apache-2.0
#include "policy/shape.hpp"

namespace landfall::policy {
namespace {

using Kind = Shape::Kind;

std::string string_of(std::string_view text) {
  std::string json = "\"";
  for (const char c : text) {
    if (c == '"' || c == '\\') json += '\\';
    json += c;
  }
  return json + "\"";
}

std::string strings_of(std::span<const std::string_view> words) {
  std::string json;
  for (const std::string_view word : words) json += (json.empty() ? "" : ", ") + string_of(word);
  return "[" + json + "]";
}

/// Writes the members of objects on lines of their own, indented.
class Writer {
 public:
  std::string take() { return std::move(json_); }

  void open() {
    json_ += "{";
    ++depth_;
    first_ = true;
  }
  void close() {
    --depth_;
    json_ += first_ ? "}" : "\n" + std::string(2 * depth_, ' ') + "}";
    first_ = false;
  }
  void key(std::string_view name) {
    json_ += first_ ? "\n" : ",\n";
    json_ += std::string(2 * depth_, ' ') + string_of(name) + ": ";
    first_ = false;
  }
  void member(std::string_view name, std::string_view json) {
    key(name);
    json_ += json;
  }
  void raw(std::string_view json) { json_ += json; }

  void shape(const Shape& shape, std::string_view description) {
    open();
    if (!description.empty()) member("description", string_of(description));
    body(shape);
    close();
  }

  void body(const Shape& shape) {
    switch (shape.kind) {
      case Kind::integer:
        member("type", "\"integer\"");
        member("minimum", std::to_string(shape.least));
        member("maximum", std::to_string(shape.most));
        break;
      case Kind::boolean:
        member("type", "\"boolean\"");
        break;
      case Kind::word:
        member("enum", strings_of(shape.words));
        break;
      case Kind::text:
        member("type", "\"string\"");
        member("pattern", string_of(shape.pattern));
        break;
      case Kind::list:
        member("type", "\"array\"");
        member("minItems", std::to_string(shape.least));
        member("maxItems", std::to_string(shape.most));
        if (shape.item->kind != Kind::object) member("uniqueItems", "true");
        key("items");
        this->shape(*shape.item, "");
        break;
      case Kind::map:
        member("type", "\"object\"");
        member("minProperties", std::to_string(shape.least));
        member("maxProperties", std::to_string(shape.most));
        key("propertyNames");
        open();
        member("pattern", string_of(shape.key->pattern));
        close();
        key("additionalProperties");
        this->shape(*shape.item, "");
        break;
      case Kind::object:
        object(shape);
        break;
      case Kind::either:
        key("anyOf");
        raw("[");
        for (const Shape* choice : shape.choices) {
          if (choice != shape.choices.front()) raw(", ");
          this->shape(*choice, "");
        }
        raw("]");
        break;
    }
  }

 private:
  void object(const Shape& shape) {
    member("type", "\"object\"");
    member("additionalProperties", "false");
    std::vector<std::string_view> required;
    for (const Field& field : shape.fields) {
      if (field.required) required.push_back(field.name);
    }
    if (!required.empty()) member("required", strings_of(required));
    if (!shape.one_of.empty()) {
      std::string choices;
      for (const std::string_view& name : shape.one_of) {
        choices += (choices.empty() ? "" : ", ") + std::string{"{\"required\": "} +
                   strings_of({&name, 1}) + "}";
      }
      member("oneOf", "[" + choices + "]");
    }
    key("properties");
    open();
    for (const Field& field : shape.fields) {
      key(field.name);
      this->shape(*field.shape, field.text);
    }
    close();
  }

  std::string json_;
  std::size_t depth_ = 0;
  bool first_ = true;
};

}  // namespace

std::string json_schema(const Shape& root, std::string_view title) {
  Writer writer;
  writer.open();
  writer.member("$schema", string_of("http://json-schema.org/draft-07/schema#"));
  writer.member("title", string_of(title));
  writer.body(root);
  writer.close();
  return writer.take() + "\n";
}

}  // namespace landfall::policy
