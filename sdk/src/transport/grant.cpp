// SPDX-License-Identifier: Apache-2.0
#include "transport/grant.hpp"

#include <sys/socket.h>

#include <algorithm>
#include <string>

#include "nic/usable.hpp"

namespace landfall::detail {
namespace {

constexpr auto kOp = "bind the Region to receive queues";

/// So that nobody chooses them at this moment. Who has named them himself may have them claimed by
/// another Group; then the kernel says whose they are.
void claim_named(nic::Nic& nic, const Grant::Request& request, std::vector<Fd>& claims) {
  for (const std::uint32_t id : request.queue_ids)
    if (Result<Fd> claim = nic.claim_queue(request.interface_index, id))
      claims.push_back(std::move(*claim));
}

/// RSS tables begin with queue 0, so that the last queues are the likeliest to carry nothing else.
/// Those that are named are looked at where nobody else says what speaks against them.
Result<std::vector<std::uint32_t>> choose_queues(nic::Nic& nic, const Grant::Request& request,
                                                 std::vector<Fd>& claims) {
  LANDFALL_TRY(const nic::InterfaceUse use, nic::assess(nic, request.interface_index));
  std::vector<std::uint32_t> chosen;
  std::optional<Error> claimed;
  const std::vector<std::uint32_t>& named = request.queue_ids;
  for (auto queue = use.queues.rbegin(); queue != use.queues.rend(); ++queue) {
    const bool wanted = named.empty()
                            ? chosen.size() < request.queues
                            : std::count(named.begin(), named.end(), queue->queue_id) != 0;
    if (!wanted || !use.usable(*queue)) continue;
    if (named.empty()) {
      Result<Fd> claim = nic.claim_queue(request.interface_index, queue->queue_id);
      if (!claim && claim.error().code() != Errc::busy) return claim.error();
      if (!claim) {
        claimed = claim.error();
        continue;
      }
      claims.push_back(std::move(*claim));
    }
    chosen.push_back(queue->queue_id);
  }
  if (!named.empty() && chosen.size() == named.size()) return named;
  if (chosen.size() == request.queues) return chosen;
  if (claimed) return *claimed;
  const Reason* why = nullptr;
  if (!use.reasons.empty()) why = &use.reasons.front();
  for (const nic::QueueUse& queue : use.queues) {
    const bool concerned =
        named.empty() || std::count(named.begin(), named.end(), queue.queue_id) != 0;
    if (why == nullptr && concerned && !queue.reasons.empty()) why = &queue.reasons.front();
  }
  return Error{Errc::not_supported, kOp, why == nullptr ? ReasonCode::queue_unknown : why->code}
      .with("of " + std::to_string(request.queues) + " queues asked for, " +
            std::to_string(chosen.size()) + " of " + use.state.name + " can be bound" +
            (why == nullptr ? "" : ": " + why->text));
}

}  // namespace

constinit Grant::OpenNic Grant::open_nic =
    [](const landfall_host* host) -> Result<std::shared_ptr<nic::Nic>> {
  LANDFALL_TRY(std::unique_ptr<nic::Nic> nic, nic::open_kernel_nic(host));
  return std::shared_ptr<nic::Nic>{std::move(nic)};
};

Result<Grant> Grant::make(const ContextCore& context, const Request& request) {
  if (request.interface_index == 0)
    return Error{Errc::not_supported, kOp, ReasonCode::interface_not_named};
  LANDFALL_TRY(const std::shared_ptr<nic::Nic> nic, open_nic(context.host()));
  std::vector<std::uint32_t> queue_ids = request.queue_ids;
  std::vector<Fd> claims;
  claim_named(*nic, request, claims);
  if (queue_ids.empty() || request.dmabuf_fd < 0) {
    LANDFALL_TRY(queue_ids, choose_queues(*nic, request, claims));
  }
  std::optional<nic::Binding> binding;
  if (request.dmabuf_fd >= 0) {
    LANDFALL_TRY(binding, nic::Binding::open(*nic,
                                             {.interface_index = request.interface_index,
                                              .queue_ids = queue_ids,
                                              .dmabuf_fd = request.dmabuf_fd,
                                              .rx_page_bytes = request.rx_page_bytes},
                                             request.backing));
  }
  LANDFALL_TRY(std::unique_ptr<nic::LinkWatch> watch, nic->watch(request.interface_index));
  nic::SteeringOptions steering{.rules_max = request.rules_max};
  if (request.rules_stand) steering.served_queues = queue_ids;
  Grant grant{std::move(claims),
              std::move(binding),
              nic::Steering::open(nic, request.interface_index, std::move(steering)),
              std::move(watch),
              std::move(queue_ids),
              request.rx_page_bytes};
  if (const int number = context.fault("socketpair"); number != 0)
    return os_error("socketpair", ReasonCode::event_fd_failed, number);
  int ends[2];
  if (::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends) != 0)
    return os_error("socketpair", ReasonCode::event_fd_failed);
  grant.lifeline_.reset(ends[0]);
  grant.lifeline_end_.reset(ends[1]);
  // Without their numbers a transport learns them from what comes.
  if (Result<nic::NicState> state = nic->read(request.interface_index); state) {
    for (const std::uint32_t id : grant.queue_ids_) {
      const auto queue = std::find_if(state->queues.begin(), state->queues.end(),
                                      [id](const nic::QueueState& one) { return one.id == id; });
      if (queue != state->queues.end()) grant.napi_ids_.push_back(queue->napi_id);
    }
    if (grant.napi_ids_.size() != grant.queue_ids_.size()) grant.napi_ids_.clear();
  }
  return grant;
}

Result<nic::Steered> Grant::steer(int socket_fd, std::size_t index, const sockaddr* remote) const {
  LANDFALL_TRY(const std::vector<nic::FlowKey> keys, nic::keys_of(socket_fd, remote));
  Result<nic::Steered> steered = steering_->steer(keys, queue_ids_[index]);
  for (const std::uint32_t id : queue_ids_) {
    if (steered || steered.error().reason() != ReasonCode::rule_conflict) break;
    steered = steering_->steer(keys, id);
  }
  return steered;
}

std::optional<std::size_t> Grant::index_of(std::uint32_t napi_id) const noexcept {
  const auto found = std::find(napi_ids_.begin(), napi_ids_.end(), napi_id);
  if (napi_id == 0 || found == napi_ids_.end()) return std::nullopt;
  return static_cast<std::size_t>(found - napi_ids_.begin());
}

void Grant::look() const noexcept {
  if (watch_->gone()) ::shutdown(lifeline_end_.get(), SHUT_RDWR);
}

void Grant::describe(landfall_domain_spec& spec) const noexcept {
  spec.queue_ids = queue_ids_.data();
  spec.queue_count = static_cast<std::uint32_t>(queue_ids_.size());
  spec.grant_fd = lifeline_.get();
  spec.grant_dmabuf_id = binding_ ? binding_->dmabuf_id() : 0;
  spec.rx_page_bytes = rx_page_bytes_;
  spec.queue_napi_ids = napi_ids_.empty() ? nullptr : napi_ids_.data();
}

}  // namespace landfall::detail
