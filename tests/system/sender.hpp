// SPDX-License-Identifier: Apache-2.0
// Plain sockets that send pattern.hpp's bytes: the peers of the system tests.
#pragma once
#include <cstdint>
#include <string>
#include <thread>

#include "landfall/base/fd.hpp"
#include "landfall/transport/flow.hpp"

namespace landfall::test {

/// A TCP connection to `to`; fails the test that runs and answers an empty Fd if there is none.
Fd connect_to(const Address& to);
/// Sends [offset, offset + bytes) of the stream in calls of `chunk` bytes. False: the peer is gone.
bool send_pattern(int fd, std::uint64_t seed, std::uint64_t offset, std::uint64_t bytes,
                  std::size_t chunk = 64 * 1024);
void set_no_delay(int fd);
/// RST instead of FIN, also for what is still queued.
void close_with_reset(Fd& fd);
/// Sends FIN and keeps the other direction.
void finish(int fd);

/// A thread that sends one stream and then FIN.
class StreamSender {
 public:
  StreamSender(const Address& to, std::uint64_t seed, std::uint64_t bytes,
               std::size_t chunk = 64 * 1024);
  ~StreamSender() { join(); }
  void join();

 private:
  std::thread thread_;
};

}  // namespace landfall::test
