// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <chrono>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "landfall/base/limits.hpp"
#include "nic/flow_key.hpp"
#include "nic/nic.hpp"

namespace landfall::nic {

class SteeringCore;

/// Flows that are steered to a queue, until this is dropped.
///
/// Owner: the flow, or the listener. Threads: any one; may outlive its Steering.
class Steered {
 public:
  Steered() = default;
  Steered(Steered&&) noexcept;
  Steered& operator=(Steered&&) noexcept;
  /// Removes the rules, if what stands there still is what was put there. What the NIC will not
  /// remove now the guard removes when the process ends.
  ~Steered();

  /// Places in the NIC's table; none where another's rule does the same already.
  std::span<const std::uint32_t> locations() const noexcept { return locations_; }

 private:
  friend class Steering;
  std::shared_ptr<SteeringCore> core_;
  std::vector<std::uint32_t> locations_, ids_;
};

struct SteeringOptions {
  std::string guard_program;  // "" for the one that was installed
  /// How long a rule for the same packets that is not ours is given to go away: it may be that of a
  /// process that has just been killed, and its guard is at work.
  std::chrono::milliseconds patience{1000};
  /// What a rule that is not made here takes to these queues already gets none of its own.
  std::vector<std::uint32_t> served_queues{};
  std::uint32_t rules_max = kRulesMax;  // at a time
};

/// Rules of one interface for single flows, each removed with its flow, and by a guard process if
/// this one is killed.
///
/// Only rules that were made here are ever removed or replaced. Where the driver picks no place for
/// a rule, the upper half of its table is ours by agreement, from the end downwards; a program that
/// writes to the same place at the same moment is not noticed (the kernel has no call for that).
///
/// Cost: a system call for each rule in the table. Threads: any. A child of fork(2) can neither
/// steer nor remove.
class Steering {
 public:
  /// The guard is started with the first rule.
  static std::unique_ptr<Steering> open(std::shared_ptr<Nic> nic, std::uint32_t interface_index,
                                        SteeringOptions options = {});
  ~Steering();
  Steering(const Steering&) = delete;
  Steering& operator=(const Steering&) = delete;

  /// All keys or none. Errors: limit_reached - rules_full, access_limit (rules_max); busy -
  /// rule_conflict: another rule takes these packets elsewhere; not_supported - rule_refused,
  /// ntuple_off, steering_guard_failed; permission_denied; not_found - interface_unknown;
  /// wrong_process.
  Result<Steered> steer(std::span<const FlowKey> keys, std::uint32_t queue_id);
  /// Of a socket: see keys_of.
  Result<Steered> steer(int socket_fd, std::uint32_t queue_id, const sockaddr* remote = nullptr);

 private:
  explicit Steering(std::shared_ptr<SteeringCore> core);
  std::shared_ptr<SteeringCore> core_;
};

}  // namespace landfall::nic
