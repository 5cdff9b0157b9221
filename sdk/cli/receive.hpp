// SPDX-License-Identifier: Apache-2.0
// The receiving loop of `recv`: from a listening Group to files, until there is no more to do.
#pragma once
#include <chrono>
#include <cstdint>
#include <functional>
#include <optional>

#include "destination.hpp"
#include "landfall/landfall.hpp"

namespace landfall::cli {

/// What has been received so far.
struct Progress {
  std::uint64_t bytes = 0;        // of payload, heads included
  std::uint64_t data_bytes = 0;   // of files
  std::uint64_t total_bytes = 0;  // data that the senders announced; 0: not known
  std::uint64_t files = 0, streams = 0, streams_open = 0, streams_failed = 0;
  double seconds = 0;        // since the first connection
  double cpu_receiving = 0;  // CPU seconds of this thread in poll and wait
  double cpu_storing = 0;    // ... in checking, writing, and giving back
};

struct ReceiveOptions {
  bool once = false;
  std::uint64_t raw_streams = 1;  // with once: so many streams without a head are one transfer
  int stop_fd = -1;               // readable: end now
  std::chrono::microseconds busy_poll{0};              // look for so long before sleeping
  std::function<void(const Progress&)> on_progress{};  // some times per second
  std::function<void(const Error&)> on_stream_error{};
};

struct ReceiveOutcome {
  Progress progress;
  bool stopped = false;                // by stop_fd
  std::optional<Error> first_error{};  // of a stream, or of the Receiver
};

/// Receives on all Receivers of `group` into `destination`. Binds them to this thread.
ReceiveOutcome receive(Group& group, Destination& destination, const ReceiveOptions& options);

}  // namespace landfall::cli
