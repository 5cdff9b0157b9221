// SPDX-License-Identifier: Apache-2.0
// Where a Group's transports listen, and which of its queues gets what comes.
#include <sys/socket.h>

#include <utility>

#include "transport/group_core.hpp"
#include "transport/sockets.hpp"

namespace landfall::detail {

QueueCore& GroupCore::next_queue(Service& service) noexcept {
  return *queues_[service.first_queue + service.next_queue++ % service.queues];
}

QueueCore* GroupCore::owner_of(int socket_fd) noexcept {
  if (!pins_flows()) return nullptr;
  std::uint32_t napi_id = 0;
  socklen_t length = sizeof napi_id;
  if (::getsockopt(socket_fd, SOL_SOCKET, SO_INCOMING_NAPI_ID, &napi_id, &length) != 0)
    return nullptr;
  const std::optional<std::size_t> index = grant_->index_of(napi_id);
  return index ? queues_[*index].get() : nullptr;
}

Result<Address> GroupCore::listen(const Address& at, const FlowOptions& options) {
  if (closed_) return Error{Errc::closed, "Group::listen", ReasonCode::receiver_gone};
  LANDFALL_TRY(Address bound, listen_by(chosen(), at, options));
  // The same port for all: a sender need not know by which it will come.
  for (std::size_t i = 1; i < services_.size(); ++i)
    LANDFALL_CHECK(listen_by(*services_[i], {at.host, bound.port}, options));
  return bound;
}

Result<Address> GroupCore::listen_by(Service& service, const Address& at,
                                     const FlowOptions& options) {
  if (service.has(LANDFALL_TAKES_SOCKETS)) return listen_on_sockets(at, options);
  return listen_by_transport(service, at, options);
}

Result<Address> GroupCore::listen_on_sockets(const Address& at, const FlowOptions& options) {
  LANDFALL_TRY(std::vector<SocketAddress> addresses, resolve(*context_, at, true));
  SocketAddress address = addresses.front();
  const std::size_t count = chosen().queues;
  const bool shared = count > 1;
  // The first binds (the kernel picks the port if none was named), the others join it.
  Result<Fd> first = listen_socket(*context_, address, shared);
  for (std::size_t i = 1; !first && i < addresses.size(); ++i) {
    address = addresses[i];
    first = listen_socket(*context_, address, shared);
  }
  if (!first) return first.error();
  LANDFALL_TRY(const Address bound, local_address(first->get()));
  address.length = sizeof address.storage;
  if (::getsockname(first->get(), reinterpret_cast<sockaddr*>(&address.storage), &address.length) !=
      0) {
    return os_error("getsockname");
  }
  std::vector<Fd> sockets;
  sockets.push_back(std::move(*first));
  for (std::size_t i = 1; i < count; ++i) {
    LANDFALL_TRY(Fd next, listen_socket(*context_, address, true));
    sockets.push_back(std::move(next));
  }
  if (pins_flows() && sockets.size() > 1) {
    LANDFALL_CHECK(spread_by_queue(*context_, sockets[0].get(), grant_->queue_ids()));
  }
  // Accepted flows come by the listener's rule. Before the first of them can: no byte is copied.
  LANDFALL_TRY(nic::Steered rule, steer(sockets[0].get(), listening_rules_.size() % count));
  for (std::size_t i = 0; i < count; ++i) {
    LANDFALL_CHECK(queues_[i]->add_listener(std::move(sockets[i]), options));
  }
  if (steers()) listening_rules_.push_back(std::move(rule));
  return bound;
}

Result<Address> GroupCore::listen_by_transport(Service& service, const Address& at,
                                               const FlowOptions& options) {
  constexpr auto kOp = "Group::listen";
  if (!LANDFALL_HAS(service.ops, landfall_transport_ops, listen)) {
    return Error{Errc::not_supported, kOp, ReasonCode::not_capable};
  }
  LANDFALL_TRY(const std::vector<SocketAddress> addresses, resolve(*context_, at, true));
  QueueCore& reports_to = *queues_[service.first_queue];
  reports_to.set_listen_options(options);
  landfall_listener* listener = nullptr;
  SocketAddress bound;
  std::uint32_t length = sizeof bound.storage;
  landfall_why why{};
  why.struct_size = sizeof why;
  if (const landfall_errc code =
          service.ops->listen(service.domain, reports_to.backend_queue(), addresses[0].get(),
                              addresses[0].length, &listener, &bound.storage, &length, &why);
      code != LANDFALL_ERRC_ok) {
    return backend_error(kOp, code, why);
  }
  bound.length = length;
  service.listeners.push_back(listener);
  return to_address(bound);
}

void Service::stop_listening() noexcept {
  for (landfall_listener* listener : std::exchange(listeners, {})) ops->listener_close(listener);
}

}  // namespace landfall::detail
