// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/base/context.hpp"
#include "landfall/base/limits.hpp"
#include "landfall/memory/region.hpp"
#include "landfall/transport/decision.hpp"
#include "landfall/transport/receiver.hpp"

namespace landfall {

struct GroupOptions {
  std::string interface {};  // "": none asked
  /// Where one was wanted and cannot be had: why. The Decision tells it of each transport that
  /// misses an interface.
  std::optional<Reason> without_interface{};
  std::vector<std::uint32_t> queue_ids{};  // hardware queues; empty: `queues` Receivers
  std::uint32_t queues = 1;
  /// Where the transport binds hardware queues: who gets a rule of the NIC that steers to them,
  /// which is removed with its flow or listener.
  enum class Steer : std::uint8_t {
    each,
    rest,    // those that no rule takes there already. Who made that one keeps it, as a policy does
    nothing  // rules are there already, or the NIC needs none
  };
  Steer steer = Steer::each;
  std::uint32_t rules_max = kRulesMax;  // of its own, at a time. Further ones: LF1616
  /// Of the pages that the NIC is to fill the Region by, where the transport has a choice; 0: the
  /// transport's own. An option of the transport has the last word.
  std::uint32_t rx_page_bytes = 0;
  std::vector<std::string>
      transports{};  // in order of preference; empty: every registered one, best first
  /// Transports with connections of their own ("verbs", "ofi") that are to serve senders beside the
  /// chosen one: each has one Receiver more, behind those of `queues`, with a slice of the Region
  /// of the same size, and listens where the chosen one does. The Decision says of each that it
  /// does (LF1255), or why not (LF1254 and others). None is chosen that only stands here.
  std::vector<std::string> also{};
  std::vector<std::string>
      options{};  // "tcp.engine=recv": transport.key=value, checked by the transport
  CopyContract contract{};
  std::uint32_t slot_bytes = 0;      // extents that the transport picks; 0: its choice
  std::uint32_t ring_slots = 0;      // per queue; 0: the transport's choice
  std::uint32_t buffers_max = 8192;  // Buffers out, per queue: 64 bytes of slot table each
  std::uint32_t flows_max = 16384;   // per queue
  /// Charge at which a Receiver reports pressure, and relief, in percent of its slice.
  std::uint32_t pressure_percent = 90, relief_percent = 70;
};

struct Policy;

/// How a Group is opened by a policy.
struct PolicyUse {
  /// Where what is set up is journaled; each network namespace has its own.
  std::string state_folder = "/var/lib/landfall";
  /// Set the NICs up as the policy says, if they are not yet and this process may. It stays after
  /// the Group's end, as after `landfall apply`, until `landfall restore`.
  bool prepare = true;
};

/// A Region bound to a transport on one or more queues: one binding, whatever their number; one
/// Receiver per queue.
///
/// Owner: the caller. It owns the Region and the Receivers. Destroyed with Buffers out it keeps
/// memory, binding and sockets until the last one is back, on whichever thread that is. Threads:
/// open, listen and close from any, one at a time.
class LANDFALL_API Group {
 public:
  /// Takes `region` only on success.
  /// Errors: not_supported - no transport fits: `decision`, if given, says for each one why.
  /// invalid_argument - limits.
  static Result<Group> open(const Context& context, const GroupOptions& options, Region& region,
                            Decision* decision = nullptr);
  /// As `policy` (landfall/policy/policy.hpp) says of its receiver of this name: the memory is
  /// made, the NIC prepared, its queues bound. The policy's flows to the receiver come by rules
  /// that stand beforehand; a flow or listener that none of them takes there gets its own, as by
  /// open() above. Whom `access` of the policy names has its limits, and nobody else may (but root,
  /// without a limit); a policy without `access` is for all.
  ///
  /// Where to receive (`cpus`, `numa_node`) and `busy_poll` are left to the caller, whose threads
  /// poll.
  ///
  /// Where the interface is not there, or may not be set up, it is opened without, if the placement
  /// allows copying: `decision` says what came of it.
  ///
  /// Errors: not_found - policy_name_unknown; permission_denied - access_denied; limit_reached -
  /// access_limit; those of open() above, of Region::allocate and, where
  /// the placement is require_direct, of setting the NIC up: interface_unknown, not_permitted,
  /// LF1601 to LF1614.
  static Result<Group> open(const Context& context, const Policy& policy, std::string_view receiver,
                            const PolicyUse& use = {}, Decision* decision = nullptr);
  Group(Group&&) noexcept;
  Group& operator=(Group&&) noexcept;
  ~Group();

  std::size_t size() const noexcept;  // Receivers
  Receiver& operator[](std::size_t index) noexcept;
  const Memory& memory() const noexcept;  // the Region's
  const Decision& decision() const noexcept;
  Verdict verdict() const noexcept;  // over all Receivers, as of their last polls

  /// Accepts connections; each belongs to one Receiver, which reports `opened`. Port 0: the kernel
  /// picks one. Answers the address that it listens on. Transports of `also` listen at the same
  /// port; where one cannot, that is the error, and those before it go on listening. Errors:
  /// LF1314, LF1315, LF1006.
  Result<Address> listen(const Address& at, const FlowOptions& options = {});

  /// A point in a stream of device work on the Region's memory, for Buffer::release_after: what was
  /// put on `native_stream` (the device's own, a CUstream) before this call. Threads: any. Errors:
  /// not_supported - LF1121, the memory source knows no streams; no_memory; the source's.
  Result<Fence> fence(void* native_stream) const;

  /// Ends all flows and gives the Region back. Errors: busy - LF1325, Buffers are out: nothing is
  /// changed then but that the flows end; drop them and try again.
  Result<Region> close();

 private:
  explicit Group(std::shared_ptr<detail::GroupCore> core) noexcept;
  std::shared_ptr<detail::GroupCore> core_;
};

}  // namespace landfall
