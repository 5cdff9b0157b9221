// SPDX-License-Identifier: Apache-2.0
// Flows that are connected from here: one address after the other, without waiting for any.
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "transport/group_core.hpp"
#include "transport/queue_core.hpp"

namespace landfall::detail {

Result<Flow*> QueueCore::connect(const Address& to, const FlowOptions& options) {
  constexpr auto kOp = "Receiver::connect";
  if (const Errc code = enter(); code != Errc::ok) return wrong_caller(kOp, code);
  LANDFALL_TRY(std::vector<SocketAddress> addresses, resolve(context_, to, false));
  LANDFALL_TRY(FlowImpl * flow, make_flow(options));
  flow->state = FlowImpl::State::connecting;
  if ((setup_.needs.flags & LANDFALL_TAKES_SOCKETS) == 0) {
    const landfall_flow_spec spec = spec_of(*flow);
    landfall_why why{};
    why.struct_size = sizeof why;
    landfall_errc code = LANDFALL_ERRC_not_supported;
    if (LANDFALL_HAS(&ops_, landfall_transport_ops, connect)) {
      code = ops_.connect(queue_, addresses[0].get(), addresses[0].length, &spec, &flow->backend,
                          &why);
    }
    if (code != LANDFALL_ERRC_ok) {
      forget(*flow);
      return backend_error(kOp, code, why);
    }
    return static_cast<Flow*>(flow);
  }
  flow->connecting = std::make_unique<Connecting>();
  flow->connecting->flow = flow;
  flow->connecting->left.assign(addresses.rbegin(), addresses.rend());
  ++connecting_;
  try_connect(*flow);
  publish();
  return static_cast<Flow*>(flow);
}

/// Starts on the next address; when none is left the flow has failed with the last one's error.
void QueueCore::try_connect(FlowImpl& flow) {
  Connecting& connecting = *flow.connecting;
  Error last{Errc::not_found, "connect", ReasonCode::address_not_found};
  while (!connecting.left.empty()) {
    const SocketAddress address = connecting.left.back();
    connecting.left.pop_back();
    int number = context_.fault("connect");
    if (number == 0) {
      connecting.socket.reset(
          ::socket(address.family(), SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, IPPROTO_TCP));
      if (!connecting.socket) {
        number = errno;
      } else if (Result<void> ready = steer_connection(connecting, address); !ready) {
        last = ready.error();
        connecting.socket.reset();
        continue;
      } else if (::connect(connecting.socket.get(), address.get(), address.length) == 0 ||
                 errno == EINPROGRESS) {
        if (Result<void> watched = watch_fd(connecting.socket.get(), EPOLLOUT, connecting)) return;
        number = ENOMEM;
      } else {
        number = errno;
      }
    }
    const Address text = to_address(address);
    last =
        os_error("connect",
                 number == EMFILE ? ReasonCode::nofile_limit : ReasonCode::peer_unreachable, number)
            .with(text.host + " port " + std::to_string(text.port) + ": " + std::strerror(number));
    connecting.socket.reset();
  }
  flow.connecting.reset();
  --connecting_;
  fail(flow, last);
}

/// Steered before its first packet: for that its local port must be known already.
Result<void> QueueCore::steer_connection(Connecting& connecting, const SocketAddress& to) {
  if (!setup_.group->steers()) return {};
  SocketAddress anywhere;
  anywhere.storage.ss_family = static_cast<sa_family_t>(to.family());
  if (::bind(connecting.socket.get(), anywhere.get(), to.length) != 0) return os_error("bind");
  connecting.rule = nic::Steered{};  // of the address before
  LANDFALL_TRY(connecting.rule,
               setup_.group->steer(connecting.socket.get(), setup_.index, to.get()));
  return {};
}

void QueueCore::finish_connect(FlowImpl& flow) {
  Connecting& connecting = *flow.connecting;
  const int fd = connecting.socket.get();
  int number = 0;
  socklen_t length = sizeof number;
  if (::getsockopt(fd, SOL_SOCKET, SO_ERROR, &number, &length) != 0) number = errno;
  ::epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
  if (number != 0) {
    const bool more = !connecting.left.empty();
    if (more) return try_connect(flow);
    flow.connecting.reset();
    --connecting_;
    return fail(flow, os_error("connect", ReasonCode::peer_unreachable, number)
                          .with(std::string{"the peer refused or did not answer: "} +
                                std::strerror(number)));
  }
  Fd socket = std::move(connecting.socket);
  flow.rule = std::move(connecting.rule);
  flow.connecting.reset();
  --connecting_;
  if (Result<void> bound = bind_socket(flow, socket.get(), 0); !bound) {
    return fail(flow, bound.error());
  }
  socket.release();
  emit(Completion::Kind::opened, &flow);
}

}  // namespace landfall::detail
