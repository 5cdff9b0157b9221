// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <atomic>
#include <cstdint>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "landfall/transport/group.hpp"
#include "memory/region_core.hpp"
#include "transport/grant.hpp"
#include "transport/queue_core.hpp"

namespace landfall::detail {

/// A Group's parts: the Region, the transport's domain, the queues. Lives until its last queue has
/// closed, on whichever thread that is: the Group's handle abandons it rather than deleting it.
class GroupCore {
 public:
  static Result<std::shared_ptr<GroupCore>> open(const std::shared_ptr<ContextCore>& context,
                                                 const GroupOptions& options,
                                                 const std::shared_ptr<RegionCore>& region,
                                                 Decision& decision);

  std::size_t size() const noexcept { return receivers_.size(); }
  Receiver& receiver(std::size_t index) noexcept { return *receivers_[index]; }
  const RegionCore& region() const noexcept { return *region_; }
  const Decision& decision() const noexcept { return decision_; }
  Verdict verdict() const noexcept;
  Result<Address> listen(const Address& at, const FlowOptions& options);
  /// Buffers still out: 0 - everything is closed, the region may be taken.
  Result<std::uint32_t> close();
  const std::shared_ptr<RegionCore>& shared_region() const noexcept { return region_; }
  std::shared_ptr<RegionCore> take_region() noexcept { return std::move(region_); }

  /// For queues: the NIC sends what belongs to this socket to one of the Group's queues, until the
  /// rule is dropped. Nothing where the Group has no grant, or is told not to.
  Result<nic::Steered> steer(int socket_fd, std::size_t index, const sockaddr* remote = nullptr) {
    return grant_ && steers_ ? grant_->steer(socket_fd, index, remote) : nic::Steered{};
  }
  /// Readable when the interface may have gone; -1: nobody would say so.
  int interface_fd() const noexcept { return grant_ ? grant_->watch_fd() : -1; }
  void look_at_interface() const noexcept {
    if (grant_) grant_->look();
  }
  bool steers() const noexcept { return grant_ && steers_; }

  /// For queues: whose hardware queue the socket's last packet came by, where a flow must be on the
  /// Receiver of that queue; nullptr: anybody may have it, or nobody knows.
  QueueCore* owner_of(int socket_fd) noexcept;
  /// For queues: who gets the next flow of a transport's own listener.
  QueueCore& next_queue() noexcept;
  /// Adds to what all queues hold (two's complement: may take away) and answers the sum.
  std::uint64_t change_held(std::uint64_t difference) noexcept {
    return held_.fetch_add(difference, std::memory_order_relaxed) + difference;
  }
  /// A queue has closed for good.
  void queue_finished(std::uint32_t index) noexcept;

 private:
  GroupCore() = default;
  ~GroupCore();
  /// The handle is gone: stops everything; the last queue to finish deletes this.
  void abandon() noexcept;
  Result<void> bind(const std::shared_ptr<ContextCore>& context, const GroupOptions& options,
                    const landfall_backend& backend, const landfall_needs& needs);
  Result<void> open_queue(const GroupOptions& options, std::uint32_t index,
                          std::uint64_t slice_offset, std::uint64_t slice_bytes);
  Result<Address> listen_on_sockets(const Address& at, const FlowOptions& options);
  Result<Address> listen_by_transport(const Address& at, const FlowOptions& options);
  void close_domain() noexcept;
  bool pins_flows() const noexcept {
    return grant_ && (needs_.flags & LANDFALL_FLOW_ON_ANY_QUEUE) == 0;
  }

  std::shared_ptr<ContextCore> context_;
  std::shared_ptr<RegionCore> region_;
  Decision decision_;
  const landfall_transport_ops* ops_ = nullptr;
  landfall_needs needs_{};
  std::optional<Grant> grant_;  // from before domain_ to after it
  landfall_domain* domain_ = nullptr;
  std::vector<std::unique_ptr<QueueCore>> queues_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<landfall_listener*> listeners_;
  std::vector<nic::Steered> listening_rules_;
  bool steers_ = true;
  std::uint32_t next_queue_ = 0;
  std::atomic<std::uint32_t> open_queues_{0};
  std::atomic<std::uint64_t> held_{0};  // charge, over all queues
  bool closed_ = false;
};

/// What a transport answers to a spec, and what the core itself has to say about it.
struct Probed {
  Decision::Candidate candidate;
  const landfall_backend* backend = nullptr;
  landfall_needs needs{};
};
/// `options` nullptr: only what does not depend on a Group. `memory` nullptr: not chosen yet.
Probed probe(const ContextCore& context, const landfall_backend& backend,
             const std::string& interface, const GroupOptions* options, const Memory* memory);

/// The lines of "transport.key=value" that are for this transport, as "key=value\n...".
std::string options_for(const std::vector<std::string>& options, std::string_view transport);

}  // namespace landfall::detail
