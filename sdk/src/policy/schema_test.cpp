// SPDX-License-Identifier: Apache-2.0
// The JSON Schema says the same of the form of a policy as the check that landfall makes.
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>
#include <sstream>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validator.hpp>

#include "landfall/policy/policy.hpp"
#include "landfall_test/sanitizers.hpp"
#include "policy/generated.hpp"
#include "policy/reader.hpp"
#include "policy/shape.hpp"

namespace landfall::policy {
namespace {

using nlohmann::json;

// valijson compiles each pattern anew for each value: sanitizers make that too slow for all.
constexpr int kPolicies = landfall::test::kSanitized ? 50 : 1000;

/// As an editor sees it: YAML 1.2 as JSON.
json json_of(const YamlNode& node) {
  switch (node.kind) {
    case YamlNode::Kind::null:
      return nullptr;
    case YamlNode::Kind::string:
      return node.text;
    case YamlNode::Kind::boolean:
    case YamlNode::Kind::integer:
    case YamlNode::Kind::number:
      return json::parse(node.text);
    case YamlNode::Kind::list: {
      json list = json::array();
      for (const YamlNode& item : node.items) list.push_back(json_of(item));
      return list;
    }
    case YamlNode::Kind::map: {
      json map = json::object();
      for (std::size_t i = 0; i < node.items.size(); ++i)
        map[node.keys[i].name] = json_of(node.items[i]);
      return map;
    }
  }
  return nullptr;
}

class PolicySchema : public ::testing::Test {
 protected:
  PolicySchema() {
    const json document = json::parse(policy_json_schema());
    valijson::SchemaParser parser;
    parser.populateSchema(valijson::adapters::NlohmannJsonAdapter{document}, schema_);
  }
  bool takes(const YamlNode& node) {
    const json document = json_of(node);
    valijson::Validator validator;
    return validator.validate(schema_, valijson::adapters::NlohmannJsonAdapter{document}, nullptr);
  }

 private:
  valijson::Schema schema_;
};

/// Whether the check finds nothing, and the first finding if it does.
std::pair<bool, std::string> form(const YamlNode& node) {
  PolicyFindings findings;
  Finder finder{"", findings};
  check(node, policy_shape(), "", finder);
  return {findings.empty(), findings.empty() ? "" : findings[0].path + ": " + findings[0].message};
}

// Goal: 1,000 valid policies are taken by parser and schema.
TEST_F(PolicySchema, TakesValidPolicies) {
  test::Random random{1};
  for (int i = 0; i < kPolicies; ++i) {
    const YamlNode policy = test::valid_policy(random);
    const std::string yaml = test::yaml_of(policy, random);
    PolicyFindings findings;
    const auto parsed = Policy::parse(yaml, findings);
    ASSERT_TRUE(parsed) << describe(findings.at(0), "generated") << yaml;
    ASSERT_TRUE(takes(policy)) << yaml;
  }
}

// Goal: of 1,000 mutants, and more, schema and check say the same; what one would refuse by itself
// is a hole in the other.
TEST_F(PolicySchema, SaysTheSameOfMutants) {
  test::Random random{2};
  int refused = 0;
  for (int i = 0; refused < kPolicies; ++i) {
    ASSERT_LT(i, 10 * kPolicies) << "only " << refused << " mutants are refused";
    YamlNode policy = test::valid_policy(random);
    for (std::uint64_t n = 1 + random() % 2; n > 0; --n) test::mutate(policy, random);
    const auto [good, why] = form(policy);
    const std::string yaml = test::yaml_of(policy, random);
    ASSERT_EQ(good, takes(policy)) << yaml << why;
    refused += good ? 0 : 1;
    PolicyFindings findings;
    const auto parsed = Policy::parse(yaml, findings);
    ASSERT_TRUE(good || !parsed) << yaml << why;
    ASSERT_NE(parsed.has_value(), !findings.empty()) << yaml;
    for (const PolicyFinding& finding : findings) ASSERT_GT(finding.line, 0u) << yaml;
  }
}

// Goal: the schema that is shipped is the one of this landfall.
TEST(PolicySchemaFile, IsThatOfTheTable) {
  std::ifstream file{LANDFALL_CONFIG "/policy.schema.json"};
  ASSERT_TRUE(file) << LANDFALL_CONFIG;
  std::ostringstream text;
  text << file.rdbuf();
  EXPECT_EQ(text.str(), policy_json_schema()) << "landfall schema >config/policy.schema.json";
}

}  // namespace
}  // namespace landfall::policy
