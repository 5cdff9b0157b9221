// SPDX-License-Identifier: Apache-2.0
// The kernel and its NICs as the tests see them, in memory.
#pragma once
#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "nic/nic.hpp"

namespace landfall::nic {

/// A memory as the kernel would meet it when it is bound.
struct SimMemory {
  bool is_dmabuf = true;
  bool attaches = true, maps = true;  // for this NIC
  bool whole_pages = true;
  std::uint32_t piece_align_bytes = 1u << 21;  // each piece begins and ends at a multiple of this
};

/// One interface: what can be read of it, and how its driver answers.
struct SimInterface {
  NicState state;
  std::vector<Rule> rules;
  bool restarts_queues = true;  // the driver has queue management
  bool does_dma = true;
  bool takes_page_sizes = true;   // rx-page-size
  bool sends_from_memory = true;  // netmem TX
  std::uint32_t page_bytes_max = 1u << 16;
  bool matches_tcp = true;          // the NIC can steer by TCP ports
  bool table_is_users = false;      // somebody has set the RSS table (IFF_RXFH_CONFIGURED)
  std::uint32_t split_after = ~0u;  // queues from here on are another PCI function's

  /// The driver's own table, as long as nobody sets one.
  void use_default_table();
};

/// Answers as Linux 7.3 does, in its order, its numbers and its words, and the n-th call as it is
/// told to.
class SimNic final : public Nic {
 public:
  bool privileged = true;  // CAP_NET_ADMIN
  bool kernel_binds_rx = true, kernel_binds_tx = true;

  /// An interface that is ready for device memory: header split on, the last of its queues outside
  /// the RSS table. The reference is good as long as the SimNic.
  SimInterface& add(std::uint32_t index, const std::string& name, std::uint32_t queues);
  /// It goes, and who watches it is told.
  void remove(std::uint32_t index);
  SimInterface& at(std::uint32_t index) { return interfaces_.at(index); }
  /// How the kernel takes the memory behind this descriptor.
  void describe_memory(int dmabuf_fd, SimMemory memory);

  /// Call number `call` (from 0) from now on fails with this errno, if it ever could.
  void fail(std::uint32_t call, int number);
  /// Something that happens to the NIC when the next call has been answered, once.
  void after_next_call(std::function<void()> event) { event_ = std::move(event); }
  std::uint32_t calls() const noexcept { return calls_; }
  /// Bindings whose lifelines are open.
  std::size_t bindings();

  Result<std::vector<InterfaceName>> interfaces() override;
  Result<NicState> read(std::uint32_t interface_index) override;
  Result<void> try_queue(std::uint32_t interface_index, std::uint32_t queue_id) override;
  Result<Fd> claim_queue(std::uint32_t interface_index, std::uint32_t queue_id) override;
  Result<Bound> bind_rx(const BindRequest& request) override;
  Result<Bound> bind_tx(const SendBindRequest& request) override;
  Result<std::unique_ptr<LinkWatch>> watch(std::uint32_t interface_index) override;
  Result<RuleTable> rule_table(std::uint32_t interface_index) override;
  Result<std::vector<Rule>> rules(std::uint32_t interface_index) override;
  Result<std::optional<Rule>> rule_at(std::uint32_t interface_index,
                                      std::uint32_t location) override;
  Result<std::uint32_t> insert_rule(std::uint32_t interface_index, const Rule& rule) override;
  Result<void> remove_rule(std::uint32_t interface_index, std::uint32_t location) override;
  Result<void> set_channels(std::uint32_t interface_index, std::uint32_t receiving) override;
  Result<void> set_rings(std::uint32_t interface_index, const RingsRequest& request) override;
  Result<void> set_ntuple(std::uint32_t interface_index, bool on) override;
  Result<void> set_rss_table(std::uint32_t interface_index,
                             std::span<const std::uint32_t> table) override;
  Result<void> set_rss_key(std::uint32_t interface_index,
                           std::span<const std::uint8_t> key) override;
  Result<std::uint32_t> add_rss_context(std::uint32_t interface_index,
                                        std::span<const std::uint32_t> table) override;
  Result<void> remove_rss_context(std::uint32_t interface_index, std::uint32_t id) override;
  int rule_socket() const noexcept override { return -1; }

 private:
  struct Binding {
    std::uint32_t id, interface_index;
    std::vector<std::uint32_t> queue_ids;  // none: for sending
    Fd other_end;                          // of the lifeline
  };
  struct No {
    int number = 0;
    std::string text;
    std::uint16_t attribute = 0;
  };
  /// The interface that a setting is made on, if nothing speaks against asking.
  Result<SimInterface*> settable(const char* what, std::uint32_t interface_index);
  No channels_refusal(const SimInterface& at, std::uint32_t receiving) const;
  No rings_refusal(const SimInterface& at, const RingsRequest& request) const;
  /// errno that this call was told to fail with; 0: go on.
  int injected();
  /// Ends the bindings whose lifelines have been closed.
  void sweep();
  No bind_refusal(const BindRequest& request);
  No queue_refusal(const SimInterface& at, std::uint32_t queue_id, std::uint32_t page_bytes) const;
  No memory_refusal(int dmabuf_fd, std::uint32_t page_bytes) const;
  No send_refusal(const SendBindRequest& request) const;
  const SimMemory& memory_of(int dmabuf_fd) const;
  Result<Bound> bound(std::uint32_t interface_index, std::span<const std::uint32_t> queue_ids);

  std::map<std::uint32_t, SimInterface> interfaces_;
  std::map<std::uint64_t, SimMemory> memories_;  // by inode
  std::vector<Binding> bindings_;
  std::uint32_t next_id_ = 1, calls_ = 0;
  std::uint32_t fail_at_ = ~0u;
  int fail_number_ = 0;
  std::map<std::uint32_t, std::vector<Fd>> watched_;  // the other ends of their watches
  std::function<void()> event_;
  bool event_due_ = false;
};

}  // namespace landfall::nic
