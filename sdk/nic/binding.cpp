// SPDX-License-Identifier: Apache-2.0
#include "nic/binding.hpp"

#include "landfall/base/limits.hpp"

namespace landfall::nic {

Result<Binding> Binding::open(Nic& nic, const BindRequest& request, const Backing& backing) {
  if (request.queue_ids.empty() || request.queue_ids.size() > kQueuesMax)
    return Error{Errc::invalid_argument, "Binding::open"}.with(
        "a binding has 1 to " + std::to_string(kQueuesMax) + " queues");
  LANDFALL_TRY(Claim claim, Claim::take(request.dmabuf_fd, backing));
  LANDFALL_TRY(Bound bound, nic.bind_rx(request));
  return Binding{std::move(claim), std::move(bound)};
}

}  // namespace landfall::nic
