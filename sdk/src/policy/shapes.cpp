// SPDX-License-Identifier: Apache-2.0
// The form of a policy. sdk/docs/policy.md tells the same to people.
#include "landfall/base/limits.hpp"
#include "policy/scalars.hpp"
#include "policy/shape.hpp"

namespace landfall::policy {
namespace {

using Kind = Shape::Kind;
using Words = std::string_view;

constexpr Shape integer(std::string_view expected, std::uint64_t least, std::uint64_t most) {
  return {.kind = Kind::integer, .expected = expected, .least = least, .most = most};
}
constexpr Shape text(std::string_view expected, std::string_view pattern,
                     bool (*fits)(std::string_view)) {
  return {.kind = Kind::text, .expected = expected, .pattern = pattern, .fits = fits};
}
constexpr Shape word(std::string_view expected, std::span<const Words> words) {
  return {.kind = Kind::word, .expected = expected, .words = words};
}
constexpr Shape list(std::string_view expected, const Shape& item, std::uint64_t least,
                     std::uint64_t most) {
  return {.kind = Kind::list, .expected = expected, .least = least, .most = most, .item = &item};
}
constexpr Shape map(std::string_view expected, const Shape& key, const Shape& item,
                    std::uint64_t most) {
  return {.kind = Kind::map,
          .expected = expected,
          .least = 1,
          .most = most,
          .key = &key,
          .item = &item};
}
constexpr Shape object(std::string_view expected, std::span<const Field> fields,
                       std::span<const Words> one_of = {}) {
  return {.kind = Kind::object, .expected = expected, .fields = fields, .one_of = one_of};
}
constexpr Shape either(std::string_view expected, std::span<const Shape* const> choices) {
  return {.kind = Kind::either, .expected = expected, .choices = choices};
}

constexpr std::uint64_t kIntegerMax = (std::uint64_t{1} << 53) - 1;  // what JSON keeps exactly

// --- single values
constexpr Shape kBoolean{.kind = Kind::boolean, .expected = "true or false"};
constexpr Shape kName = text("a name: small letters, digits, - and _, a letter first, at most 63",
                             "^[a-z][a-z0-9_-]{0,62}$", is_name);
constexpr Shape kInterface = text("the name of a network interface, as 'ip link' shows it",
                                  "^[A-Za-z0-9][A-Za-z0-9._@-]{0,14}$", is_interface);
constexpr Shape kAccount = text("the name of a user or group, at most 32 characters",
                                "^[a-z_][a-z0-9_-]{0,31}$", is_account);
constexpr Shape kHeap =
    text("the name of a heap, as in /dev/dma_heap", "^[A-Za-z0-9][A-Za-z0-9._,-]{0,62}$", is_heap);

constexpr Shape kSizeText = text("a size, as 64KiB or 4GiB", "^[1-9][0-9]{0,5}(KiB|MiB|GiB|TiB)$",
                                 [](std::string_view t) { return read_size(t).has_value(); });
constexpr Shape kBytes = integer("a number of bytes from 1 on", 1, kIntegerMax);
constexpr const Shape* kSizeChoices[] = {&kBytes, &kSizeText};
constexpr Shape kSize = either("a size, as 64KiB or 4GiB", kSizeChoices);

constexpr Shape kDuration = text("a duration, as 50us, 2ms or 1s", "^[1-9][0-9]{0,5}(us|ms|s)$",
                                 [](std::string_view t) { return read_duration(t).has_value(); });
constexpr Shape kShare = text("a share from 0% to 100%, as 1% or 0.25%",
                              "^(100(\\.0{1,4})?|(0|[1-9][0-9]?)(\\.[0-9]{1,4})?)%$",
                              [](std::string_view t) { return read_share(t).has_value(); });

#define LANDFALL_V4_BYTE "(25[0-5]|2[0-4][0-9]|1[0-9][0-9]|[1-9]?[0-9])"
#define LANDFALL_V4 "(" LANDFALL_V4_BYTE "\\.){3}" LANDFALL_V4_BYTE "(/([12]?[0-9]|3[0-2]))?"
#define LANDFALL_H "[0-9A-Fa-f]{1,4}"
#define LANDFALL_V6                                                                              \
  "((" LANDFALL_H ":){7}(" LANDFALL_H "|:)|(" LANDFALL_H ":){6}(:" LANDFALL_H "|:)|(" LANDFALL_H \
  ":){5}((:" LANDFALL_H "){1,2}|:)|(" LANDFALL_H ":){4}((:" LANDFALL_H "){1,3}|:)|(" LANDFALL_H  \
  ":){3}((:" LANDFALL_H "){1,4}|:)|(" LANDFALL_H ":){2}((:" LANDFALL_H "){1,5}|:)|" LANDFALL_H   \
  ":((:" LANDFALL_H "){1,6}|:)|:((:" LANDFALL_H "){1,7}|:))(/(1[01][0-9]|12[0-8]|[1-9]?[0-9]))?"
constexpr Shape kPrefix = text("an address or a prefix, as 192.0.2.7 or 2001:db8::/32",
                               "^(" LANDFALL_V4 "|" LANDFALL_V6 ")$",
                               [](std::string_view t) { return read_prefix(t).has_value(); });
#undef LANDFALL_V4_BYTE
#undef LANDFALL_V4
#undef LANDFALL_H
#undef LANDFALL_V6

#define LANDFALL_PORT \
  "([1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5])"
constexpr Shape kPortRange = text(
    "a port or a range of ports, as 5201 or 5201-5210", "^" LANDFALL_PORT "-" LANDFALL_PORT "$",
    [](std::string_view t) { return read_port_range(t).has_value(); });
#undef LANDFALL_PORT
constexpr Shape kPort = integer("a port from 1 to 65535", 1, 65535);
constexpr const Shape* kPortsChoices[] = {&kPort, &kPortRange};
constexpr Shape kPorts = either("a port or a range of ports, as 5201 or 5201-5210", kPortsChoices);

// --- memory
constexpr Shape kNode = integer("the number of a NUMA node", 0, 1023);
constexpr Shape kDevice = integer("the number of a device", 0, 255);
constexpr Field kMemoryFields[] = {
    {"source", &kName, "The memory source: host, hugepage, udmabuf, dma-heap, cuda or a plug-in's",
     true},
    {"size", &kSize, "How much of it", true},
    {"page_size", &kSize, "The size of its pages, where the source has a choice"},
    {"device", &kDevice, "The device that has the memory, for sources of device memory"},
    {"heap", &kHeap, "The heap of the source dma-heap"},
    {"numa_node", &kNode, "The NUMA node that its pages are to be on"},
    {"locked", &kBoolean, "Whether it is kept from being swapped out"}};
constexpr Shape kMemory = object("a memory: {source: ..., size: ...}", kMemoryFields);
constexpr Shape kMemories = map("memories by their names", kName, kMemory, 64);

// --- receivers
constexpr Shape kQueueCount = integer("a number of queues from 1 to 256", 1, kQueuesMax);
constexpr Shape kQueueId = integer("the number of a queue", 0, 65535);
constexpr Shape kQueueIds =
    list("a list of 1 to 256 different queues, as [8, 9]", kQueueId, 1, kQueuesMax);
constexpr const Shape* kQueuesChoices[] = {&kQueueCount, &kQueueIds};
constexpr Shape kQueues =
    either("a number of queues, or a list of them, as 4 or [8, 9]", kQueuesChoices);
constexpr Shape kBackends =
    list("a list of different transports, as [devmem-tcp, tcp]", kName, 1, 16);

constexpr Words kContractWords[] = {"require_direct", "prefer_direct", "allow_copy"};
constexpr Shape kContractWord = word("require_direct, prefer_direct or allow_copy", kContractWords);
constexpr Field kRequireFields[] = {
    {"max_linear", &kShare, "The share of bytes that the NIC may leave in packet heads"}};
constexpr Shape kRequire = object("{max_linear: 1%}", kRequireFields);
constexpr Field kPreferFields[] = {
    {"max_copied", &kShare, "The share of bytes that may be copied"}};
constexpr Shape kPrefer = object("{max_copied: 10%}", kPreferFields);
constexpr Field kContractFields[] = {
    {"require_direct", &kRequire, "The NIC places every byte; else the flow fails"},
    {"prefer_direct", &kPrefer, "The best that works, within this share of copying"}};
constexpr Words kContractOne[] = {"require_direct", "prefer_direct"};
constexpr Shape kContractObject =
    object("{require_direct: {max_linear: 1%}} or {prefer_direct: {max_copied: 10%}}",
           kContractFields, kContractOne);
constexpr const Shape* kContractChoices[] = {&kContractWord, &kContractObject};
constexpr Shape kContract =
    either("require_direct, prefer_direct or allow_copy, or {require_direct: {max_linear: 1%}}",
           kContractChoices);

constexpr Words kSplitWords[] = {"required", "keep", "none"};
constexpr Shape kSplit = word("required, keep or none", kSplitWords);
constexpr Shape kThreshold = integer("a number of bytes from 0 to 65535", 0, 65535);
constexpr Shape kRing = integer("a number of ring entries from 1 to 1048576", 1, 1 << 20);
constexpr Shape kCpu = integer("the number of a processor", 0, 65535);
constexpr Shape kCpus = list("a list of different processors, as [2, 3]", kCpu, 1, kQueuesMax);
constexpr Field kReceiverFields[] = {
    {"interface", &kInterface, "The network interface", true},
    {"queues", &kQueues, "How many receive queues, or which", true},
    {"memory", &kName, "Where the bytes land: a name under 'memory'", true},
    {"transports", &kBackends, "For TCP sockets, in order of preference; by default the best"},
    {"also", &kBackends, "Transports that serve their own senders beside it"},
    {"placement", &kContract, "How much copying is tolerated; by default prefer_direct"},
    {"header_split", &kSplit, "Whether the NIC puts headers and payload into separate buffers"},
    {"header_split_threshold", &kThreshold, "Packets up to this many bytes are not split"},
    {"ring", &kRing, "Entries of each receive ring"},
    {"rx_page_size", &kSize, "The size of the NIC's receive buffers"},
    {"cpus", &kCpus, "The processors that receive, one for each queue in turn"},
    {"numa_node", &kNode, "The NUMA node whose processors receive"},
    {"busy_poll", &kDuration, "How long to look for packets before sleeping"}};
constexpr Shape kReceiver =
    object("a receiver: {interface: ..., queues: ..., memory: ...}", kReceiverFields);
constexpr Shape kReceivers = map("receivers by their names", kName, kReceiver, 256);

// --- flows
constexpr Words kProtocolWords[] = {"tcp", "udp"};
constexpr Shape kProtocol = word("tcp or udp", kProtocolWords);
constexpr Words kFamilyWords[] = {"ipv4", "ipv6"};
constexpr Shape kFamily = word("ipv4 or ipv6", kFamilyWords);
constexpr Field kMatchFields[] = {
    {"proto", &kProtocol, "tcp (the default) or udp"},
    {"family", &kFamily, "Only this one; by default what the addresses say, or both"},
    {"src_ip", &kPrefix, "Where the packets come from"},
    {"dst_ip", &kPrefix, "Where they go to"},
    {"src_port", &kPorts, "The sender's ports"},
    {"dst_port", &kPorts, "The receiver's ports"}};
constexpr Shape kMatch = object("what packets to match: {dst_port: 5201}", kMatchFields);
constexpr Field kFlowFields[] = {
    {"match", &kMatch, "Which packets; the first flow that fits has them", true},
    {"to", &kName, "Their receiver: a name under 'receivers'", true},
    {"queue", &kQueueId, "Its queue; by default they are spread over all of them"}};
constexpr Shape kFlow = object("a flow: {match: {dst_port: 5201}, to: ingest}", kFlowFields);
constexpr Shape kFlows = list("a list of flows", kFlow, 0, kPolicyFlowsMax);

// --- the rest
constexpr Words kRssWords[] = {"exclude", "keep"};
constexpr Shape kRss = word("exclude or keep", kRssWords);
constexpr Words kConflictWords[] = {"refuse", "precede"};
constexpr Shape kConflict = word("refuse or precede", kConflictWords);
constexpr Field kSteeringFields[] = {
    {"rss", &kRss, "exclude (the default): ordinary traffic is kept off the receivers' queues"},
    {"on_conflict", &kConflict,
     "What happens where a rule that is not ours wants the same packets: refuse (the default), or "
     "ours comes first"}};
constexpr Shape kSteering = object("{rss: exclude, on_conflict: refuse}", kSteeringFields);

constexpr Shape kReceiverNames = list("a list of different receivers, as [ingest]", kName, 1, 256);
constexpr Shape kCount = integer("a number from 0 to 1048576", 0, kFlowsMax);
constexpr Field kAccessFields[] = {
    {"user", &kAccount, "Who: a user"},
    {"group", &kAccount, "Who: everyone in a group"},
    {"receivers", &kReceiverNames, "Which receivers", true},
    {"max_memory", &kSize, "How much memory they may bind"},
    {"max_flows", &kCount, "How many flows they may have"},
    {"max_rules", &kCount, "How many rules they may have made at run time"}};
constexpr Words kAccessOne[] = {"user", "group"};
constexpr Shape kAccessEntry =
    object("who may use what: {user: ..., receivers: [...]}", kAccessFields, kAccessOne);
constexpr Shape kAccess = list("a list of who may use what", kAccessEntry, 0, 256);

constexpr Shape kVersion = integer("1, the only version of the format", 1, 1);
constexpr Field kPolicyFields[] = {
    {"version", &kVersion, "The version of the format", true},
    {"memory", &kMemories, "The memories that bytes land in", true},
    {"receivers", &kReceivers, "The queues that receive, and into which memory", true},
    {"flows", &kFlows, "Which packets go to which receiver"},
    {"steering", &kSteering, "How ordinary traffic and other rules are treated"},
    {"access", &kAccess, "Who may use the receivers"}};
constexpr Shape kPolicy =
    object("a policy: version, memory, receivers, flows, steering, access", kPolicyFields);

}  // namespace

const Shape& policy_shape() noexcept {
  return kPolicy;
}

}  // namespace landfall::policy
