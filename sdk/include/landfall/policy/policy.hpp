// SPDX-License-Identifier: Apache-2.0
// What a deployment wants, as one YAML file says it: sdk/docs/policy.md, config/.
#pragma once
#include <array>
#include <chrono>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/base/result.hpp"
#include "landfall/policy/finding.hpp"
#include "landfall/transport/placement.hpp"

namespace landfall {

/// A policy that was read and checked: all that one can know without looking at the machine. Names
/// that it refers to exist, values lie in their ranges, no two flows claim the same packets.
///
/// Owner: the caller; a plain value. Threads: const from any.
struct LANDFALL_API Policy {
  /// Memory for received bytes, made anew for each Group that lands in it.
  struct Memory {
    std::string name, source;  // source: host, hugepage, udmabuf, cuda, ...; a plug-in's
    std::uint64_t size_bytes = 0;
    std::uint64_t page_bytes = 0;  // 0: the source's choice
    std::optional<std::uint32_t> device, numa_node;
    std::string heap;  // dma-heap
    bool locked = false;
  };

  /// Queues of one interface that receive into one memory.
  struct Receiver {
    enum class HeaderSplit : std::uint8_t { required, keep, none };
    std::string name, interface, memory;
    std::uint32_t queues = 0;  // how many, where queue_ids is empty
    std::vector<std::uint32_t> queue_ids;
    std::vector<std::string> transports;  // in order of preference; empty: the best that works
    std::vector<std::string> also;        // serve their own senders beside it
    CopyContract contract{};
    HeaderSplit header_split = HeaderSplit::keep;
    std::optional<std::uint32_t> header_split_threshold_bytes;
    std::optional<std::uint32_t> ring_entries;
    std::uint64_t rx_page_bytes = 0;  // 0: the driver's choice
    std::vector<std::uint32_t> cpus;  // one for each queue, in turn; empty: anywhere
    std::optional<std::uint32_t> numa_node;
    std::chrono::microseconds busy_poll{0};  // 0: none
  };

  /// Addresses that share their first bits.
  struct Prefix {
    std::array<std::uint8_t, 16> address{};  // network order; IPv4 in the first four bytes
    std::uint8_t bits = 0;
    bool is_ipv6 = false;
    bool operator==(const Prefix&) const = default;
  };
  struct Ports {
    std::uint16_t first = 0, last = 0;
    bool operator==(const Ports&) const = default;
  };

  /// Packets, and the Receiver that gets them.
  struct Flow {
    enum class Protocol : std::uint8_t { tcp, udp };
    Protocol protocol = Protocol::tcp;
    bool ipv4 = true, ipv6 = true;
    std::optional<Prefix> source, destination;
    std::optional<Ports> source_ports, destination_ports;
    std::string to;
    std::optional<std::uint32_t> queue;  // pinned to it; else spread over the Receiver's queues
  };

  struct Steering {
    enum class Rss : std::uint8_t { exclude, keep };
    enum class OnConflict : std::uint8_t { refuse, precede };
    Rss rss = Rss::exclude;
    OnConflict on_conflict = OnConflict::refuse;
  };

  /// Who may use which Receivers, and how much.
  struct Access {
    std::string user, group;  // exactly one of them
    std::vector<std::string> receivers;
    std::optional<std::uint64_t> max_memory_bytes;
    std::optional<std::uint32_t> max_flows, max_rules;
  };

  std::vector<Memory> memories;  // in the order of the file, as all of these
  std::vector<Receiver> receivers;
  std::vector<Flow> flows;
  Steering steering;
  std::vector<Access> access;

  /// nullptr: there is none of this name.
  const Memory* find_memory(std::string_view name) const noexcept;
  const Receiver* find_receiver(std::string_view name) const noexcept;

  /// Reads `text`. Whatever it holds, this takes bounded time, stack and memory (kPolicyBytesMax
  /// and the limits beside it).
  /// Errors: invalid_argument - `findings` has all that is wrong, not only the first; not_supported
  /// - LF1519, built without yaml-cpp.
  static Result<Policy> parse(std::string_view text, PolicyFindings& findings);
  /// Reads the file at `path`. Errors: as parse(); the origin os - it cannot be read.
  static Result<Policy> load(const std::string& path, PolicyFindings& findings);
};

/// The JSON Schema (draft 7) of the form of a policy, for editors: made from the table by which
/// parse() checks, but for what refers from one place to another.
LANDFALL_API std::string policy_json_schema();

}  // namespace landfall
