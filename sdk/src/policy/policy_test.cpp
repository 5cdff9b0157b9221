// SPDX-License-Identifier: Apache-2.0
#include "landfall/policy/policy.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "landfall/base/units.hpp"

namespace landfall {
namespace {

using namespace std::chrono_literals;

constexpr std::string_view kWhole = R"(version: 1
memory:
  landing: {source: cuda, device: 0, size: 4GiB}
  host: {source: hugepage, size: 1GiB, page_size: 2MiB, numa_node: 1, locked: true}
receivers:
  ingest:
    interface: eth1
    queues: 4
    memory: landing
    transports: [devmem-tcp, zcrx, tcp]
    also: [verbs]
    placement: {require_direct: {max_linear: 1%}}
    header_split: required
    ring: 4096
  other:
    interface: eth1
    queues: [0x8, 9]
    memory: host
    placement: {prefer_direct: {max_copied: 0.5%}}
    rx_page_size: 16KiB
    cpus: [2, 3]
    busy_poll: 50us
flows:
  - {match: {proto: tcp, dst_ip: 192.0.2.7, dst_port: 5201}, to: ingest}
  - {match: {dst_ip: '2001:db8::/32', src_port: 1000-2000}, to: other, queue: 9}
  - {match: {family: ipv6, dst_port: 80}, to: other}
steering: {rss: exclude, on_conflict: precede}
access:
  - {user: ingest, receivers: [ingest], max_memory: 8GiB, max_flows: 64}
)";

// Goal: every key means what it says.
TEST(Policy, HoldsWhatTheTextSays) {
  PolicyFindings findings;
  const auto policy = Policy::parse(kWhole, findings);
  ASSERT_TRUE(policy) << describe(findings.at(0), "kWhole");
  ASSERT_EQ(policy->memories.size(), 2u);
  EXPECT_EQ(policy->memories[0].name, "landing");
  EXPECT_EQ(policy->memories[0].device, 0u);
  const Policy::Memory* host = policy->find_memory("host");
  ASSERT_NE(host, nullptr);
  EXPECT_EQ(host->size_bytes, 1_GiB);
  EXPECT_EQ(host->page_bytes, 2_MiB);
  EXPECT_EQ(host->numa_node, 1u);
  EXPECT_TRUE(host->locked);

  const Policy::Receiver* ingest = policy->find_receiver("ingest");
  ASSERT_NE(ingest, nullptr);
  EXPECT_EQ(ingest->queues, 4u);
  EXPECT_EQ(ingest->transports, (std::vector<std::string>{"devmem-tcp", "zcrx", "tcp"}));
  EXPECT_EQ(ingest->also, std::vector<std::string>{"verbs"});
  EXPECT_EQ(ingest->contract.kind, CopyContract::Kind::require_direct);
  EXPECT_EQ(ingest->contract.max_linear_ppm, 10'000u);
  EXPECT_EQ(ingest->header_split, Policy::Receiver::HeaderSplit::required);
  EXPECT_EQ(ingest->ring_entries, 4096u);
  const Policy::Receiver* other = policy->find_receiver("other");
  ASSERT_NE(other, nullptr);
  EXPECT_EQ(other->queue_ids, (std::vector<std::uint32_t>{8, 9}));
  EXPECT_EQ(other->contract.kind, CopyContract::Kind::prefer_direct);
  EXPECT_EQ(other->contract.max_copied_ppm, 5000u);
  EXPECT_EQ(other->rx_page_bytes, 16_KiB);
  EXPECT_EQ(other->busy_poll, 50us);
  EXPECT_EQ(policy->find_receiver("nobody"), nullptr);

  ASSERT_EQ(policy->flows.size(), 3u);
  EXPECT_TRUE(policy->flows[0].ipv4);
  EXPECT_FALSE(policy->flows[0].ipv6);
  EXPECT_EQ(policy->flows[0].destination_ports, (Policy::Ports{5201, 5201}));
  EXPECT_EQ(policy->flows[1].destination->bits, 32);
  EXPECT_EQ(policy->flows[1].source_ports, (Policy::Ports{1000, 2000}));
  EXPECT_EQ(policy->flows[1].queue, 9u);
  EXPECT_FALSE(policy->flows[2].ipv4);
  EXPECT_EQ(policy->steering.on_conflict, Policy::Steering::OnConflict::precede);
  EXPECT_EQ(policy->access[0].max_memory_bytes, 8_GiB);
  EXPECT_EQ(policy->access[0].max_flows, 64u);
  EXPECT_EQ(policy->access[0].max_rules, std::nullopt);
}

// Goal: all that is wrong is told at once, each with its place, code and hint.
TEST(Policy, TellsAllThatIsWrong) {
  PolicyFindings findings;
  const auto policy = Policy::parse(R"(version: 2
memory:
  landing: {source: host, size: 4 GB}
receivers:
  ingest:
    interface: eth1
    queus: 4
    memory: landing
    header_split: requird
    ring: [1]
)",
                                    findings);
  ASSERT_FALSE(policy);
  EXPECT_EQ(policy.error().code(), Errc::invalid_argument);
  std::string all;
  for (const PolicyFinding& finding : findings) all += describe(finding, "p.yaml");
  EXPECT_EQ(all, R"(p.yaml:1:10: error[LF1516]: '2' is not 1, the only version of the format
  version: 2
           ^
p.yaml:3:33: error[LF1516]: '4 GB' is not a size, as 64KiB or 4GiB
    landing: {source: host, size: 4 GB}
                                  ^
p.yaml:6:5: error[LF1514]: 'queues' is missing
      interface: eth1
      ^
hint: How many receive queues, or which
p.yaml:7:5: error[LF1513]: 'queus' is not known here
      queus: 4
      ^
hint: did you mean 'queues'?
p.yaml:9:19: error[LF1516]: 'requird' is not required, keep or none
      header_split: requird
                    ^
hint: did you mean 'required'?
p.yaml:10:11: error[LF1516]: a list is not a number of ring entries from 1 to 1048576
      ring: [1]
            ^
)");
}

/// Path and code of each finding of the whole policy with `from` replaced by `to`.
std::string wrong_with(std::string_view from, std::string_view to) {
  std::string text{kWhole};
  const std::size_t at = text.find(from);
  if (at == std::string::npos) return "no such text";
  text.replace(at, from.size(), to);
  PolicyFindings findings;
  if (Policy::parse(text, findings)) return "taken";
  std::string all;
  for (const PolicyFinding& finding : findings) {
    all += (all.empty() ? "" : ", ") + finding.path + " LF" +
           std::to_string(static_cast<std::uint32_t>(finding.code));
  }
  return all;
}

// Goal: what the form cannot tell: names that nothing has, values that contradict each other.
TEST(Policy, FindsContradictions) {
  EXPECT_EQ(wrong_with("memory: landing", "memory: landin"), "receivers.ingest.memory LF1517");
  EXPECT_EQ(wrong_with("to: ingest", "to: nobody"), "flows[0].to LF1517");
  EXPECT_EQ(wrong_with("receivers: [ingest]", "receivers: [ingest, x]"),
            "access[0].receivers[1] LF1517");
  EXPECT_EQ(wrong_with("queue: 9", "queue: 10"), "flows[1].queue LF1518");
  EXPECT_EQ(wrong_with("to: other, queue: 9", "to: ingest, queue: 9"), "flows[1].queue LF1518");
  EXPECT_EQ(wrong_with("queues: 4", "queues: [9, 10]"), "receivers.other.queues[1] LF1518");
  EXPECT_EQ(wrong_with("[0x8, 9]", "[0x8, 8]"), "receivers.other.queues[1] LF1516");
  EXPECT_EQ(wrong_with("header_split: required", "header_split: none"),
            "receivers.ingest.header_split LF1518");
  EXPECT_EQ(wrong_with("page_size: 2MiB", "page_size: 3MiB"),
            "memory.host.size LF1518, memory.host.page_size LF1518");
  EXPECT_EQ(wrong_with("size: 4GiB", "size: 4097"), "memory.landing.size LF1518");
  EXPECT_EQ(wrong_with("cpus: [2, 3]", "cpus: [2, 3]\n    numa_node: 0"),
            "receivers.other.cpus LF1518");
  EXPECT_EQ(wrong_with("1000-2000", "2000-1000"), "flows[1].match.src_port LF1518");
  EXPECT_EQ(wrong_with("192.0.2.7", "192.0.2.7/24"), "flows[0].match.dst_ip LF1518");
  EXPECT_EQ(wrong_with("dst_ip: 192.0.2.7", "dst_ip: 192.0.2.7, src_ip: '::1'"),
            "flows[0].match.dst_ip LF1518");
  EXPECT_EQ(wrong_with("family: ipv6, dst_port: 80", "family: ipv6, dst_ip: 192.0.2.7"),
            "flows[2].match.dst_ip LF1518");
  EXPECT_EQ(wrong_with("{family: ipv6, dst_port: 80}", "{family: ipv6}"), "flows[2].match LF1518");
  EXPECT_EQ(wrong_with("{family: ipv6, dst_port: 80}", "{dst_port: 5201, dst_ip: 192.0.2.7}"),
            "flows[2].match LF1518");
  EXPECT_EQ(wrong_with("user: ingest", "user: ingest, group: g"), "access[0] LF1514");
}

// Goal: what is shipped is valid, and has the line by which editors find the schema.
TEST(Policy, TakesThoseThatAreShipped) {
  int found = 0;
  for (const auto& entry : std::filesystem::directory_iterator{LANDFALL_CONFIG}) {
    if (entry.path().extension() != ".yaml") continue;
    ++found;
    PolicyFindings findings;
    const auto policy = Policy::load(entry.path(), findings);
    ASSERT_TRUE(policy) << (findings.empty() ? policy.error().describe()
                                             : describe(findings[0], entry.path().string()));
    std::ifstream file{entry.path()};
    std::string line;
    bool modeline = false;
    while (std::getline(file, line))
      modeline = modeline || line == "# yaml-language-server: $schema=policy.schema.json";
    EXPECT_TRUE(modeline) << entry.path();
  }
  EXPECT_GE(found, 4);
}

// Goal: a file that cannot be read says so; one that waits does not make this wait.
TEST(Policy, SaysWhyAFileCannotBeRead) {
  PolicyFindings findings;
  const auto missing = Policy::load("/nosuch/policy.yaml", findings);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().native(), ENOENT);
  EXPECT_TRUE(findings.empty());
  const auto folder = Policy::load("/", findings);
  ASSERT_FALSE(folder);
  EXPECT_EQ(folder.error().native(), EISDIR);
  char path[] = "/tmp/landfall-policy-XXXXXX";
  ASSERT_NE(::mkdtemp(path), nullptr);
  const std::string fifo = std::string{path} + "/fifo";
  ASSERT_EQ(::mkfifo(fifo.c_str(), 0600), 0);
  EXPECT_FALSE(Policy::load(fifo, findings));
  std::filesystem::remove_all(path);
  EXPECT_FALSE(Policy::load("/dev/zero", findings));
  ASSERT_EQ(findings.size(), 1u);
  EXPECT_EQ(findings[0].code, ReasonCode::policy_refused);
}

}  // namespace
}  // namespace landfall
