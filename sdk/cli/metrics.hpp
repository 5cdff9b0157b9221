// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <memory>
#include <string>

#include "landfall/landfall.hpp"
#include "receive.hpp"

namespace landfall::cli {

/// Metrics in Prometheus' text format (0.0.4) about what is being received.
/// On the thread that polls the group.
std::string metrics_text(const Progress& progress, Group& group);

/// Answers GET /metrics with what was published last. Serves one request at a time, each for two
/// seconds at most.
///
/// Threads: publish() from one; a thread of its own serves.
class MetricsServer {
 public:
  /// Errors: LF1314, LF1315, io.
  static Result<std::unique_ptr<MetricsServer>> open(const Address& at);
  virtual ~MetricsServer() = default;
  virtual const Address& address() const noexcept = 0;
  virtual void publish(std::string text) = 0;
};

}  // namespace landfall::cli
