// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/socket.h>

#include <array>
#include <cstdint>
#include <string>
#include <vector>

#include "nic/nic.hpp"

namespace landfall::nic {

/// The packets of one TCP connection as its receiver's NIC sees them, or of all connections to one
/// listening address.
struct FlowKey {
  struct End {
    std::array<std::uint8_t, 16> address{};  // IPv4: the first four
    std::uint16_t port = 0;                  // in the host's order
    bool any_address = false;
  };
  sa_family_t family = AF_INET;  // or AF_INET6
  End local, remote;
  bool any_remote = true;  // of a listening address

  /// "tcp 192.0.2.7:5201 from 192.0.2.9:40000"
  std::string describe() const;
};

/// The keys of a TCP socket: of its connection; of the one that it will make to `remote`, for which
/// it must be bound; or of its listening address. A socket that listens to all addresses of both
/// families has two.
/// Errors: invalid_argument - not_a_tcp_socket, not_connected (neither bound nor connected).
Result<std::vector<FlowKey>> keys_of(int socket_fd, const sockaddr* remote = nullptr);

/// The rule that sends these packets to a queue, with RX_CLS_LOC_ANY for its place.
Rule rule_of(const FlowKey& key, std::uint32_t queue_id);

/// Does this rule take every packet of the key? Only rules of TCP and IP over the key's family are
/// understood; of any other the answer is no.
bool takes_all(const Rule& rule, const FlowKey& key);

}  // namespace landfall::nic
