// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/context_core.hpp"
#include "landfall/base/fd.hpp"
#include "landfall/transport/flow.hpp"

namespace landfall::detail {

struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;
  const sockaddr* get() const noexcept { return reinterpret_cast<const sockaddr*>(&storage); }
  int family() const noexcept { return storage.ss_family; }
};

/// All addresses of a name, in the resolver's order. `passive`: to listen on; "" is then all
/// addresses. Errors: not_found - LF1314.
Result<std::vector<SocketAddress>> resolve(const ContextCore& context, const Address& address,
                                           bool passive);
/// Numeric host and port.
Address to_address(const SocketAddress& address);
Result<Address> local_address(int fd);
Result<Address> peer_address(int fd);

/// A listening TCP socket, non-blocking. `shared`: one of several on the same port (SO_REUSEPORT).
/// Errors: busy - LF1315; permission_denied; not_supported - the address family.
Result<Fd> listen_socket(const ContextCore& context, const SocketAddress& at, bool shared);

/// Of the listeners on one port (listen_socket(), shared), in the order in which they were made,
/// each gets the connections that come by its hardware queue. Errors: those of setsockopt(2).
Result<void> spread_by_queue(const ContextCore& context, int listener_fd,
                             std::span<const std::uint32_t> queue_ids);

/// Is this a connected TCP socket that a flow can be made of? Answers the bytes that are queued in
/// it. Errors: invalid_argument - LF1302, LF1303.
Result<std::uint64_t> check_connected(const ContextCore& context, int fd);
/// Is this a connected TCP socket that can send? Errors: invalid_argument - LF1302, LF1303;
/// flow_reset - LF1312.
Result<void> check_sendable(const ContextCore& context, int fd, const char* op);

}  // namespace landfall::detail
