// SPDX-License-Identifier: Apache-2.0
// Network namespaces of the test's own, each with one TUN device.
#pragma once
#include <cstdint>
#include <string>

#include "landfall/base/fd.hpp"

namespace landfall::test {

/// A network namespace with a TUN device that has an IPv4 and an IPv6 address. It and all in it are
/// gone with its last descriptor and socket.
class TunNamespace {
 public:
  /// `host`: the last part of its addresses, 10.77.0.<host> and fd77::<host>.
  /// Errors: permission_denied, not_found - the process may not make namespaces, or there is no
  /// /dev/net/tun: the text names it.
  static Result<TunNamespace> make(std::uint8_t host, std::uint32_t mtu);

  /// Packets in and out, without a header: IFF_NO_PI. Non-blocking.
  int tun() const { return tun_.get(); }
  const std::string& ipv4() const { return ipv4_; }
  const std::string& ipv6() const { return ipv6_; }

  /// Moves the calling thread into it, and back when destroyed. Sockets stay where they were made.
  class Visit {
   public:
    explicit Visit(const TunNamespace& where);
    Visit(const Visit&) = delete;
    Visit& operator=(const Visit&) = delete;
    ~Visit();

   private:
    Fd home_;
  };

  /// A number of /proc/net/snmp in it: "Tcp", "InCsumErrors".
  std::uint64_t counter(const std::string& protocol, const std::string& name) const;

 private:
  Fd space_, tun_;
  std::string ipv4_, ipv6_;
};

}  // namespace landfall::test
