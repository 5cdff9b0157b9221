// SPDX-License-Identifier: Apache-2.0
#include "policy/reader.hpp"

#include <gtest/gtest.h>
#include <pthread.h>

#include <functional>

#include "landfall/base/limits.hpp"

namespace landfall::policy {
namespace {

struct Read {
  std::optional<YamlNode> root;
  PolicyFindings findings;
};
Read read(std::string_view text) {
  Read result;
  Finder finder{text, result.findings};
  result.root = read_yaml(text, finder);
  return result;
}

/// "3:5 LF1512" of the first finding.
std::string refusal(std::string_view text) {
  const Read result = read(text);
  if (result.findings.empty()) return result.root ? "taken" : "refused without a word";
  const PolicyFinding& first = result.findings.front();
  return std::to_string(first.line) + ":" + std::to_string(first.column) + " LF" +
         std::to_string(static_cast<std::uint32_t>(first.code));
}

std::string repeated(std::string_view text, std::size_t times) {
  std::string all;
  for (std::size_t i = 0; i < times; ++i) all += text;
  return all;
}

// Goal: what a text holds, and where.
TEST(PolicyReader, KeepsPlacesAndKinds) {
  const Read result = read("version: 1\nlist:\n  - 'true'\n  - true\n  - {a: 0x10, b: }\n");
  ASSERT_TRUE(result.root);
  EXPECT_TRUE(result.findings.empty());
  const YamlNode* list = result.root->find("list");
  ASSERT_NE(list, nullptr);
  ASSERT_EQ(list->items.size(), 3u);
  EXPECT_EQ(list->items[0].kind, YamlNode::Kind::string);
  EXPECT_EQ(list->items[1].kind, YamlNode::Kind::boolean);
  EXPECT_EQ(list->items[1].place.line, 3u);
  EXPECT_EQ(list->items[1].place.column, 4u);
  EXPECT_EQ(list->items[2].find("a")->text, "0x10");
  EXPECT_EQ(list->items[2].find("b")->kind, YamlNode::Kind::null);
  EXPECT_EQ(list->items[2].keys[1].place.column, 14u);
}

// Goal: each part of YAML that is not taken is refused where it stands.
TEST(PolicyReader, RefusesWhatIsNotTaken) {
  EXPECT_EQ(refusal(""), "0:0 LF1511");
  EXPECT_EQ(refusal("# nothing\n"), "0:0 LF1511");
  EXPECT_EQ(refusal("a: &x 1\n"), "1:4 LF1512");
  EXPECT_EQ(refusal("a: 1\nb: *x\n"), "2:4 LF1511");  // yaml-cpp knows no such anchor
  EXPECT_EQ(refusal("a: !!int 1\n"), "1:4 LF1512");
  EXPECT_EQ(refusal("a: !mine 1\n"), "1:4 LF1512");
  EXPECT_EQ(refusal("a:\n  <<: {b: 1}\n"), "2:3 LF1512");
  EXPECT_EQ(refusal("? [a]\n: 1\n"), "1:3 LF1512");
  EXPECT_EQ(refusal("a: 1\n---\nb: 2\n"), "0:0 LF1512");
  EXPECT_EQ(refusal(",O"), "0:0 LF1512");
  EXPECT_EQ(refusal("a: [1, 2\n"), "2:1 LF1511");
  EXPECT_EQ(refusal("a:\n\tb: 1\n"), "2:1 LF1511");
  EXPECT_EQ(refusal("a: 1\nb: \xFF\n"), "2:4 LF1512");
  EXPECT_EQ(refusal(std::string_view{"a: \0\n", 5}), "1:4 LF1512");
  EXPECT_EQ(refusal("a: \x1B[31m\n"), "1:4 LF1512");
  EXPECT_EQ(refusal("a: 010\n"), "1:4 LF1516");
  EXPECT_EQ(refusal("a: 0o7\n"), "1:4 LF1516");
  EXPECT_EQ(refusal("a: True\n"), "1:4 LF1516");
}

// Goal: of a key that stands twice every further place is named, and the rest is read.
TEST(PolicyReader, NamesKeysThatStandTwice) {
  const Read result = read("a: 1\nb: {c: 1, c: 2}\na: 3\n");
  ASSERT_EQ(result.findings.size(), 2u);
  EXPECT_EQ(result.findings[0].code, ReasonCode::policy_key_twice);
  EXPECT_EQ(result.findings[0].line, 2u);
  EXPECT_EQ(result.findings[1].line, 3u);
  ASSERT_TRUE(result.root);
  EXPECT_EQ(result.root->find("a")->text, "1");
}

void* run(void* call) {
  (*static_cast<std::function<void()>*>(call))();
  return nullptr;
}

// Goal: hostile texts end at a limit, on a thread with little stack.
TEST(PolicyReader, BoundsHostileText) {
  std::function<void()> hostile = [] {
    // In a flow yaml-cpp tells of more levels than one sees: of a map for each possible key.
    EXPECT_EQ(refusal(repeated("[", 400)), "1:33 LF1512");
    EXPECT_EQ(refusal(repeated("[", kPolicyBytesMax)), "1:33 LF1512");
    EXPECT_EQ(refusal(repeated("{a: ", 400)), "1:253 LF1512");
    EXPECT_EQ(refusal(repeated("- ", 400)), "1:129 LF1512");
    EXPECT_EQ(refusal(repeated("? ", 400)), "1:129 LF1512");
    EXPECT_EQ(refusal(repeated("a\n", kPolicyBytesMax / 2)), "taken");  // one long scalar
    EXPECT_EQ(refusal("[" + repeated(",", kPolicyBytesMax - 1)),
              "1:" + std::to_string(kPolicyNodesMax) + " LF1512");
    EXPECT_EQ(refusal(std::string(kPolicyBytesMax + 1, 'a')), "0:0 LF1512");
    EXPECT_EQ(refusal("a: &a [*a]"), "1:4 LF1512");
  };
  pthread_attr_t attributes;
  ASSERT_EQ(pthread_attr_init(&attributes), 0);
  ASSERT_EQ(pthread_attr_setstacksize(&attributes, 128 << 10), 0);
  pthread_t thread{};
  ASSERT_EQ(pthread_create(&thread, &attributes, run, &hostile), 0);
  ASSERT_EQ(pthread_join(thread, nullptr), 0);
  pthread_attr_destroy(&attributes);
}

}  // namespace
}  // namespace landfall::policy
