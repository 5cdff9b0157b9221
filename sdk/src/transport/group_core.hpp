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

struct Probed;

/// One transport of a Group, with its part of the queues.
struct Service {
  const landfall_transport_ops* ops = nullptr;
  landfall_needs needs{};
  std::string options;  // of this transport
  Decision decision{};
  landfall_domain* domain = nullptr;
  std::vector<landfall_listener*> listeners{};
  std::uint32_t first_queue = 0, queues = 0;
  std::uint32_t next_queue = 0;  // who gets the next flow of its listeners

  bool has(std::uint32_t flag) const noexcept { return (needs.flags & flag) != 0; }
  void stop_listening() noexcept;
};

/// A Group's parts: the Region, the transports' domains, the queues. Lives until its last queue has
/// closed, on whichever thread that is: the Group's handle abandons it rather than deleting it.
///
/// The first service is the chosen transport, which has the Receivers that were asked for. Others
/// (`also`) have one more each, and a slice of the Region of the same size.
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
  /// For queues: who gets the next flow of the listeners of this one's transport.
  QueueCore& next_queue(Service& service) noexcept;
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
  /// Opens the transports of `also` that can serve beside, and says of each in `decision`.
  void bind_beside(const GroupOptions& options, Decision& decision);
  Result<void> open_beside(const GroupOptions& options, const std::string& beside,
                           Decision::Candidate& candidate);
  Result<void> open_domain(const GroupOptions& options, Service& service, bool chosen);
  Result<void> open_queues(const GroupOptions& options, Service& service);
  Result<void> open_queue(const GroupOptions& options, Service& service, std::uint32_t index,
                          std::uint64_t slice_offset, std::uint64_t slice_bytes);
  Result<Address> listen_on_sockets(const Address& at, const FlowOptions& options);
  Result<Address> listen_by_transport(Service& service, const Address& at,
                                      const FlowOptions& options);
  Result<Address> listen_by(Service& service, const Address& at, const FlowOptions& options);
  void close_domains() noexcept;
  Service& chosen() noexcept { return *services_.front(); }
  const Service& chosen() const noexcept { return *services_.front(); }
  bool pins_flows() const noexcept { return grant_ && !chosen().has(LANDFALL_FLOW_ON_ANY_QUEUE); }

  std::shared_ptr<ContextCore> context_;
  std::shared_ptr<RegionCore> region_;
  Decision decision_;
  std::uint64_t slice_bytes_ = 0;  // of each queue, where they do not share the Region
  std::optional<Grant> grant_;     // of the chosen transport: from before its domain to after it
  std::vector<std::unique_ptr<Service>> services_;
  std::vector<std::unique_ptr<QueueCore>> queues_;
  std::vector<std::unique_ptr<Receiver>> receivers_;
  std::vector<nic::Steered> listening_rules_;
  bool steers_ = true;
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
