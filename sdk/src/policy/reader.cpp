// SPDX-License-Identifier: Apache-2.0
// The only file that knows yaml-cpp. Its events are taken, not its trees: a tree of yaml-cpp 0.7
// cannot say where an anchor, a tag or a second key of the same name stood, grows with aliases
// without bound, and is complete only when the depth that overflows the stack is reached.
#include "policy/reader.hpp"

#include <yaml-cpp/eventhandler.h>
#include <yaml-cpp/exceptions.h>
#include <yaml-cpp/parser.h>

#include <set>
#include <sstream>

#include "landfall/base/limits.hpp"

namespace landfall::policy {
namespace {

constexpr auto kRefused = ReasonCode::policy_refused;

/// Thrown through yaml-cpp to end the reading; the finding is made.
struct Stop {};

Place place_of(const YAML::Mark& mark) {
  return {static_cast<std::uint32_t>(std::max(mark.line, 0)),
          static_cast<std::uint32_t>(std::max(mark.column, 0))};
}

class TreeBuilder : public YAML::EventHandler {
 public:
  explicit TreeBuilder(Finder& finder) : finder_{finder} {}

  YamlNode take_root() { return std::move(root_); }

  void OnDocumentStart(const YAML::Mark&) override {}
  void OnDocumentEnd() override {}

  void OnNull(const YAML::Mark& mark, YAML::anchor_t anchor) override {
    check(mark, "", anchor);
    add({YamlNode::Kind::null, place_of(mark), {}, {}, {}});
  }
  void OnAlias(const YAML::Mark& mark, YAML::anchor_t) override {
    stop(place_of(mark), "an alias (*name)", "write the value out");
  }
  void OnScalar(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                const std::string& value) override {
    check(mark, tag, anchor);
    YamlNode node{
        tag == "!" ? YamlNode::Kind::string : kind_of_plain(value), place_of(mark), value, {}, {}};
    check_spelling(node);
    add(std::move(node));
  }
  void OnSequenceStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                       YAML::EmitterStyle::value) override {
    check(mark, tag, anchor);
    open({YamlNode::Kind::list, place_of(mark), {}, {}, {}});
  }
  void OnSequenceEnd() override { close(); }
  void OnMapStart(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor,
                  YAML::EmitterStyle::value) override {
    check(mark, tag, anchor);
    open({YamlNode::Kind::map, place_of(mark), {}, {}, {}});
  }
  void OnMapEnd() override { close(); }

 private:
  /// A list or map that is not complete, and of a map the key whose value is next.
  struct Open {
    YamlNode node;
    bool has_key = false;
    bool twice = false;  // the key stood before: its value is dropped
    YamlNode::Key key;
    std::set<std::string> names;  // of all keys
  };

  [[noreturn]] void stop(Place place, const std::string& what, const char* hint) {
    finder_.add(kRefused, place, "", what + " is not taken in a policy", hint);
    throw Stop{};
  }

  void check(const YAML::Mark& mark, const std::string& tag, YAML::anchor_t anchor) {
    if (anchor != YAML::NullAnchor)
      stop(place_of(mark), "an anchor (&name)", "write the value out");
    // "?" is a plain scalar or nothing said, "!" a quoted one.
    if (!tag.empty() && tag != "?" && tag != "!")
      stop(place_of(mark), "a tag (!name)", "write the value without it");
    if (++nodes_ > kPolicyNodesMax)
      stop(place_of(mark), "more than " + std::to_string(kPolicyNodesMax) + " values", "");
  }

  // Of what readers of YAML take for different things, one way to write each is taken.
  void check_spelling(const YamlNode& node) {
    std::string_view text = node.text;
    if (node.kind == YamlNode::Kind::boolean && text != "true" && text != "false")
      misspelt(node, "a boolean is true or false, in small letters");
    if (node.kind != YamlNode::Kind::integer) return;
    if (text.starts_with('-')) text.remove_prefix(1);
    const bool decimal = text.size() < 2 || text[0] != '0';
    if ((!decimal && !node.text.starts_with("0x")) || text.starts_with('+'))
      misspelt(node, "an integer is decimal without a leading zero, or 0x and hexadecimal digits");
  }
  void misspelt(const YamlNode& node, const char* hint) {
    finder_.add(ReasonCode::policy_value, node.place, "",
                quoted(node.text) + " means different things to different readers", hint);
  }

  void add(YamlNode node) {
    if (open_.empty()) {
      root_ = std::move(node);
      return;
    }
    Open& parent = open_.back();
    if (parent.node.kind == YamlNode::Kind::list) {
      parent.node.items.push_back(std::move(node));
    } else if (!parent.has_key) {
      take_key(parent, std::move(node));
    } else {
      parent.has_key = false;
      if (parent.twice) return;
      parent.node.keys.push_back(std::move(parent.key));
      parent.node.items.push_back(std::move(node));
    }
  }

  void take_key(Open& map, YamlNode node) {
    if (!node.is_scalar()) stop(node.place, "a list or map as a key", "keys are words");
    if (node.text == "<<") stop(node.place, "a merge key (<<)", "write the values out");
    map.has_key = true;
    map.twice = !map.names.insert(node.text).second;
    if (map.twice) {
      finder_.add(ReasonCode::policy_key_twice, node.place, "",
                  "the key " + quoted(node.text) + " stands here for the second time",
                  "remove one of the two");
    }
    map.key = {std::move(node.text), node.place};
  }

  void open(YamlNode node) {
    if (open_.size() >= kPolicyDepthMax)
      stop(node.place, "more than " + std::to_string(kPolicyDepthMax) + " levels of nesting", "");
    open_.push_back({std::move(node), false, false, {}, {}});
  }
  void close() {
    YamlNode node = std::move(open_.back().node);
    open_.pop_back();
    add(std::move(node));
  }

  Finder& finder_;
  std::vector<Open> open_;
  YamlNode root_;
  std::size_t nodes_ = 0;
};

/// Where a tab stands in the indentation of a line.
std::optional<Place> tab_in_indentation(std::string_view text, std::uint32_t line) {
  std::size_t begin = 0;
  for (std::uint32_t before = 0; before < line; ++before) {
    begin = text.find('\n', begin);
    if (begin == std::string_view::npos) return std::nullopt;
    ++begin;
  }
  const std::size_t first = text.find_first_not_of(' ', begin);
  if (first == std::string_view::npos || text[first] != '\t') return std::nullopt;
  return Place{line, static_cast<std::uint32_t>(first - begin)};
}

}  // namespace

bool reads_yaml() noexcept {
  return true;
}

std::optional<YamlNode> read_yaml(std::string_view text, Finder& finder) {
  if (!check_text(text, finder)) return std::nullopt;
  TreeBuilder builder{finder};
  try {
    std::istringstream stream{std::string{text}};
    YAML::Parser parser{stream};
    if (!parser.HandleNextDocument(builder)) {
      finder.add_whole(ReasonCode::policy_syntax, "the file is empty", "begin with 'version: 1'");
      return std::nullopt;
    }
    // Never a second one: for some texts yaml-cpp 0.7 finds documents without end.
    if (parser) {
      finder.add_whole(kRefused, "something follows the first document",
                       "a policy is one document: no second '---', no stray comma");
      return std::nullopt;
    }
  } catch (const Stop&) {
    return std::nullopt;
  } catch (const YAML::Exception& error) {
    const Place place = place_of(error.mark);
    if (const auto tab = tab_in_indentation(text, place.line)) {
      finder.add(ReasonCode::policy_syntax, *tab, "", "a tab in the indentation",
                 "YAML is indented by spaces");
    } else {
      finder.add(ReasonCode::policy_syntax, place, "", "not YAML: " + error.msg);
    }
    return std::nullopt;
  }
  return builder.take_root();
}

}  // namespace landfall::policy
