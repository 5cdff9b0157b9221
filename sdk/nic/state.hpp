// SPDX-License-Identifier: Apache-2.0
// What a network interface is like, as far as receiving without a copy is concerned.
#pragma once
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace landfall::nic {

/// Does the NIC put headers and payload into separate buffers?
enum class HeaderSplit : std::uint8_t { unknown, off, on };

/// Fields that a driver does not report stay nullopt throughout this file.
struct Channels {
  std::uint32_t rx = 0, rx_max = 0;              // that only receive
  std::uint32_t combined = 0, combined_max = 0;  // that do both
  /// All that receive.
  std::uint32_t receiving() const noexcept { return rx + combined; }
};

struct Rings {
  std::optional<std::uint32_t> rx, rx_max;  // descriptors
  std::optional<std::uint32_t> rx_buffer_bytes;
  HeaderSplit header_split = HeaderSplit::unknown;
  std::optional<std::uint32_t> hds_threshold_bytes, hds_threshold_max_bytes;
};

/// One table of the RSS hash; context 0 is the one for all traffic that no rule sends elsewhere.
struct RssContext {
  std::uint32_t id = 0;
  std::vector<std::uint32_t> table;  // entry -> queue
  std::vector<std::uint8_t> key;
};

/// A receive queue and what is bound to it.
struct QueueState {
  std::uint32_t id = 0;
  std::uint32_t napi_id = 0;               // 0: none, as while the interface is down
  std::optional<std::uint32_t> dmabuf_id;  // of the binding
  bool io_uring = false;
  bool af_xdp = false;
  std::optional<std::uint32_t> leased_to;  // a virtual interface's index
};

struct PagePool {
  std::uint64_t id = 0;
  std::uint64_t napi_id = 0;  // 0: none any more
  std::uint64_t inflight = 0, inflight_bytes = 0;
  std::optional<std::uint64_t> detach_time_s;  // its queue has another; since when, CLOCK_BOOTTIME
  std::optional<std::uint32_t> dmabuf_id;
  bool io_uring = false;
};

/// The table of n-tuple rules.
struct RuleTable {
  std::uint32_t rules = 0;      // in it now
  std::uint32_t size = 0;       // 0: the driver does not say
  bool picks_location = false;  // the driver finds a free place (RX_CLS_LOC_ANY)
};

struct NicState {
  std::uint32_t index = 0;
  std::string name;
  std::string driver, bus;  // "mlx5_core", "0000:3b:00.0": of the device; "" where there is none
  std::uint32_t mtu_bytes = 0;
  bool up = false;       // by the administrator
  bool carrier = false;  // the link is there
  bool loopback = false;
  bool xdp_attached = false;
  std::optional<Channels> channels;
  std::optional<Rings> rings;
  std::optional<bool> ntuple, gro_hw;  // features that are on
  std::vector<RssContext> rss;         // context 0 first; empty: the driver reports none
  std::optional<RuleTable> rule_table;

  /// What the kernel itself can do: Linux 6.8 lists queues, 6.12 binds memory to them.
  bool kernel_lists_queues = false;
  bool kernel_binds_rx = false;
  bool kernel_lends_queues = false;  // to virtual interfaces
  std::vector<QueueState> queues;    // receive queues, by number; empty while it is down
  std::vector<PagePool> pools;

  /// How many receive queues there are, also while it is down. 0: not known.
  std::uint32_t queue_count() const noexcept {
    if (!queues.empty()) return static_cast<std::uint32_t>(queues.size());
    return channels ? channels->receiving() : 0;
  }
};

}  // namespace landfall::nic
