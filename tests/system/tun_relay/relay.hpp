// SPDX-License-Identifier: Apache-2.0
// Two network namespaces and a bad network between them: what netem does, for kernels without it.
#pragma once
#include <atomic>
#include <chrono>
#include <cstdint>
#include <memory>
#include <thread>

#include "namespace.hpp"

namespace landfall::test {

/// What happens to packets, the same in both directions; parts per thousand.
struct Weather {
  std::uint32_t loss = 0;
  std::uint32_t duplicate = 0;
  std::uint32_t reorder = 0;  // held back until up to eight later ones have passed
  std::uint32_t corrupt = 0;  // one bit flipped behind the IP header: the checksum is wrong then
  std::chrono::microseconds delay{0};
  std::uint32_t mtu = 1500;
  std::uint64_t seed = 1;
};

/// What the relay did.
struct RelayCounts {
  std::uint64_t passed = 0, lost = 0, duplicated = 0, reordered = 0, corrupted = 0;
};

/// The two namespaces, and a thread that carries packets between them.
///
/// Threads: counts from any; the rest is the owner's.
class TunRelay {
 public:
  /// Errors: those of TunNamespace::make.
  static Result<std::unique_ptr<TunRelay>> make(const Weather& weather);
  ~TunRelay();
  TunRelay(const TunRelay&) = delete;
  TunRelay& operator=(const TunRelay&) = delete;

  const TunNamespace& receiver() const { return receiver_; }
  const TunNamespace& sender() const { return sender_; }
  RelayCounts counts() const;

 private:
  TunRelay(const Weather& weather, TunNamespace receiver, TunNamespace sender);
  void run();

  Weather weather_;
  TunNamespace receiver_, sender_;
  Fd stop_;
  std::atomic<std::uint64_t> passed_{0}, lost_{0}, duplicated_{0}, reordered_{0}, corrupted_{0};
  std::thread thread_;
};

}  // namespace landfall::test
