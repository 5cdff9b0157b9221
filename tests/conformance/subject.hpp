// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <ostream>
#include <string>
#include <vector>

#include "conformance/capabilities.hpp"
#include "conformance/peer.hpp"
#include "landfall/landfall.hpp"
#include "landfall_test/loopback.hpp"

namespace landfall::test {

/// One end of a subject's connections.
struct Place {
  std::string network_namespace{};  // ip-netns(8)'s name; "": this one
  std::string ipv4 = "127.0.0.1", ipv6 = "::1";
  const std::string& host(bool want_ipv6) const { return want_ipv6 ? ipv6 : ipv4; }
};

/// One transport as the suite runs it.
struct Subject {
  std::string label;      // its row in capabilities.hpp and its name in the tests
  std::string transport;  // as registered
  std::vector<std::string> options{};
  std::string memory = "host";
  std::vector<const landfall_backend*> linked{};  // added to each Context
  std::string plugin{};                           // loaded into each Context; "": none
  std::string interface {};                       // whose queues it binds; "": none
  std::uint64_t region_least_bytes = 0;           // smaller Regions are made as large
  Place here{}, there{};                          // the Receivers, and the senders
  bool senders_are_landfall = false;              // by the same transport
  int many_senders = 100;                         // each with a Group of its own
  std::size_t outside_calls = 400;                // that may fail, from the first on

  const Expected& expected() const { return expected_of(label); }
  bool can(Cap cap) const { return expected().has(cap); }
  Result<Context> context(ContextOptions with = {}) const;
  /// Two ends of a connection, `ours` here and `theirs` there.
  SocketPair pair() const;
  /// A sender there that is connected, or connects, to a Group's listener here.
  std::unique_ptr<Peer> peer_to(const Address& address) const;
  /// A sender there that a Receiver can connect to.
  ListeningPeer listening_peer(bool ipv6) const;
  /// From there to an address here. Empty: errno says why.
  Fd connect_to(const Address& address) const;
  ListeningSocket listen_there(bool ipv6) const;
};
std::ostream& operator<<(std::ostream& out, const Subject& subject);

/// One memory source.
struct MemorySubject {
  std::string source;
  std::vector<const landfall_backend*> linked{};
  std::string plugin{};

  const ExpectedMemory& expected() const { return expected_of_memory(source); }
  Result<Context> context(ContextOptions with = {}) const;
};
std::ostream& operator<<(std::ostream& out, const MemorySubject& subject);

/// What this run is about: all that is built in, the plug-ins of `--backend PATH`, the mutant of
/// `--mutant NAME`, or devmem-tcp on a port of the software NIC, `--nic IFACE`, as
/// tests/lab/nic/lib.sh sets it up. Takes its arguments out of argv.
void choose_subjects(int& argc, char** argv);
const std::vector<Subject>& subjects();
const std::vector<MemorySubject>& memory_subjects();

}  // namespace landfall::test
