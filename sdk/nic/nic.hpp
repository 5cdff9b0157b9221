// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <linux/ethtool.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "landfall/abi/backend.h"
#include "landfall/base/fd.hpp"
#include "nic/link_watch.hpp"
#include "nic/state.hpp"

namespace landfall::nic {

struct InterfaceName {
  std::uint32_t index = 0;
  std::string name;
};

/// One n-tuple rule, in the kernel's own form: `spec.location` is where it stands,
/// `spec.ring_cookie` where it leads.
struct Rule {
  ethtool_rx_flow_spec spec{};
  std::uint32_t rss_context = 0;  // with FLOW_RSS in spec.flow_type
};

struct BindRequest {
  std::uint32_t interface_index = 0;
  std::span<const std::uint32_t> queue_ids;
  int dmabuf_fd = -1;
  std::uint32_t rx_page_bytes = 0;  // 0: the page size; else a power of two
};

struct SendBindRequest {
  std::uint32_t interface_index = 0;
  int dmabuf_fd = -1;
};

/// What a NIC's rings are to become; what is left out stays as it is.
struct RingsRequest {
  std::optional<std::uint32_t> rx;  // descriptors
  HeaderSplit header_split = HeaderSplit::unknown;
  std::optional<std::uint32_t> hds_threshold_bytes;
};

/// Memory bound to queues, or for sending. Closing the lifeline ends it.
struct Bound {
  std::uint32_t dmabuf_id = 0;
  Fd lifeline;
};

/// What the kernel can be asked about network interfaces; the seam behind which SimNic stands in
/// for it. Refusals are Errors with a reason code, the kernel's own words and errno.
///
/// Threads: one at a time. Whatever a call needs beyond the rules it asks in the network namespace
/// of the calling thread; rules are in that of the thread that made the Nic, so that they can be
/// removed from any.
class Nic {
 public:
  Nic() = default;
  Nic(const Nic&) = delete;
  Nic& operator=(const Nic&) = delete;
  virtual ~Nic() = default;

  virtual Result<std::vector<InterfaceName>> interfaces() = 0;

  /// Needs no privilege. Errors: not_found - interface_unknown; io.
  virtual Result<NicState> read(std::uint32_t interface_index) = 0;

  /// Asks for a binding of memory that is none: what speaks against the queue before memory is
  /// looked at turns up, and nothing is bound or restarted. (Linux 6.12 looks at the memory first,
  /// and this is always ok.) Errors: as bind_rx.
  virtual Result<void> try_queue(std::uint32_t interface_index, std::uint32_t queue_id) = 0;

  /// The right to choose this queue for a Group, which one at a time has among all that use
  /// landfall in this network namespace, until the descriptor closes. What it keeps apart are those
  /// who look for a free queue at the same moment; whether a queue can be bound says the kernel
  /// alone. Errors: busy - queue_busy; limit_reached, io.
  virtual Result<Fd> claim_queue(std::uint32_t interface_index, std::uint32_t queue_id) = 0;

  /// All queues or none. Errors: not_supported, permission_denied, busy, invalid_argument,
  /// no_memory, each with its reason: see refusals.cpp.
  virtual Result<Bound> bind_rx(const BindRequest& request) = 0;

  /// The interface may send from the memory: connections that leave by it, in the process that
  /// knows the id. Needs no privilege; a memory may be bound any number of times, for receiving as
  /// well. What has been handed to the kernel keeps the memory until it is sent, also after the end
  /// of the binding. Errors: not_supported - kernel_too_old (Linux 6.16), no_netmem_tx,
  /// dmabuf_unreachable; not_found - interface_unknown; invalid_argument - not_a_dmabuf,
  /// dmabuf_not_aligned; no_memory.
  virtual Result<Bound> bind_tx(const SendBindRequest& request) = 0;

  /// Tells when the interface goes. Errors: limit_reached, io.
  virtual Result<std::unique_ptr<LinkWatch>> watch(std::uint32_t interface_index) = 0;

  virtual Result<RuleTable> rule_table(std::uint32_t interface_index) = 0;
  virtual Result<std::vector<Rule>> rules(std::uint32_t interface_index) = 0;
  /// What stands at this place; nullopt: nothing.
  virtual Result<std::optional<Rule>> rule_at(std::uint32_t interface_index,
                                              std::uint32_t location) = 0;
  /// At rule.spec.location, which may be RX_CLS_LOC_ANY; answers where it stands.
  /// Errors: limit_reached - rules_full; not_supported - rule_refused, ntuple_off;
  /// permission_denied.
  virtual Result<std::uint32_t> insert_rule(std::uint32_t interface_index, const Rule& rule) = 0;
  virtual Result<void> remove_rule(std::uint32_t interface_index, std::uint32_t location) = 0;

  /// The writing half. Some drivers stop and start the interface for each of these, and what is in
  /// the queues is lost. Errors of all: permission_denied; not_found - interface_unknown;
  /// not_supported, invalid_argument, busy - setting_refused, with the kernel's words where it has
  /// any; limit_reached, no_memory.
  ///
  /// `receiving`: how many channels are to receive: combined ones, where the NIC has such.
  virtual Result<void> set_channels(std::uint32_t interface_index, std::uint32_t receiving) = 0;
  virtual Result<void> set_rings(std::uint32_t interface_index, const RingsRequest& request) = 0;
  virtual Result<void> set_ntuple(std::uint32_t interface_index, bool on) = 0;
  /// The table of context 0. Empty: the driver's own, which follows the number of channels again.
  virtual Result<void> set_rss_table(std::uint32_t interface_index,
                                     std::span<const std::uint32_t> table) = 0;
  /// The key of context 0.
  virtual Result<void> set_rss_key(std::uint32_t interface_index,
                                   std::span<const std::uint8_t> key) = 0;
  /// Answers its number.
  virtual Result<std::uint32_t> add_rss_context(std::uint32_t interface_index,
                                                std::span<const std::uint32_t> table) = 0;
  /// Not while a rule leads to it.
  virtual Result<void> remove_rss_context(std::uint32_t interface_index, std::uint32_t id) = 0;

  /// The socket through which rules are set, for the process that removes them when this one dies.
  /// -1: none.
  virtual int rule_socket() const noexcept = 0;
};

/// The kernel itself. `host`: its fault seam is asked before each outside call; may be nullptr.
/// Errors: not_supported - nic_support_missing, this landfall was built without libnl-3; io;
/// limit_reached.
Result<std::unique_ptr<Nic>> open_kernel_nic(const landfall_host* host = nullptr);

}  // namespace landfall::nic
