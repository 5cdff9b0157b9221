// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "base/context_core.hpp"
#include "landfall/base/limits.hpp"
#include "nic/binding.hpp"
#include "nic/steering.hpp"

namespace landfall::detail {

/// What a transport with LANDFALL_NEED_GRANT gets: the Region bound to receive queues of an
/// interface, and flows steered to them. One for each Group; its end unbinds. With NEED_QUEUES only
/// the queues: such a transport binds them itself.
///
/// Threads: const calls from any.
class Grant {
 public:
  struct Request {
    std::uint32_t interface_index = 0;
    std::vector<std::uint32_t> queue_ids;  // empty: `queues` that can be bound, the last ones first
    std::uint32_t queues = 1;
    int dmabuf_fd = -1;  // -1: nothing is bound
    std::uint32_t rx_page_bytes = 0;
    bool rules_stand = false;  // what a rule takes to these queues already gets none of its own
    std::uint32_t rules_max = kRulesMax;
    nic::Backing backing{};  // of the dma-buf, as far as it is known
  };
  /// Errors: not_supported - LF1240, no interface is named; those of nic::Binding and nic::assess.
  static Result<Grant> make(const ContextCore& context, const Request& request);

  /// The part of a domain's spec that comes from the grant.
  void describe(landfall_domain_spec& spec) const noexcept;
  /// To the queue of this Receiver; or to another one of the binding, where a rule that is there
  /// already takes the packets there. Errors: those of nic::Steering.
  Result<nic::Steered> steer(int socket_fd, std::size_t index,
                             const sockaddr* remote = nullptr) const;

  std::span<const std::uint32_t> queue_ids() const noexcept { return queue_ids_; }
  /// Whose queue it is, by the number that sockets tell (SO_INCOMING_NAPI_ID); nullopt: nobody's,
  /// or not known.
  std::optional<std::size_t> index_of(std::uint32_t napi_id) const noexcept;

  /// For those who sleep: readable when look() may have something new.
  int watch_fd() const noexcept { return watch_->fd(); }
  /// Has the interface gone? Then the lifeline hangs up, which transports tell as `revoked`.
  void look() const noexcept;

  /// Tests put another one in its place.
  using OpenNic = Result<std::shared_ptr<nic::Nic>> (*)(const landfall_host*);
  static OpenNic open_nic;

 private:
  Grant(std::vector<Fd> claims, std::optional<nic::Binding> binding,
        std::unique_ptr<nic::Steering> steering, std::unique_ptr<nic::LinkWatch> watch,
        std::vector<std::uint32_t> queue_ids, std::uint32_t rx_page_bytes)
      : claims_{std::move(claims)},
        binding_{std::move(binding)},
        steering_{std::move(steering)},
        watch_{std::move(watch)},
        queue_ids_{std::move(queue_ids)},
        rx_page_bytes_{rx_page_bytes} {}

  std::vector<Fd> claims_;  // of queues
  std::optional<nic::Binding> binding_;
  std::unique_ptr<nic::Steering> steering_;
  std::unique_ptr<nic::LinkWatch> watch_;
  // The transports' lifeline, and our end of it: the binding's own never hangs up.
  Fd lifeline_, lifeline_end_;
  std::vector<std::uint32_t> queue_ids_, napi_ids_;  // napi_ids_ empty: not known
  std::uint32_t rx_page_bytes_;
};

}  // namespace landfall::detail
