// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <vector>

#include "landfall/abi/backend.h"

namespace landfall::test {

/// The transport `null`: data records as fast as they can be written, no sockets, no bytes moved.
/// listen() and connect() open flows that exist at once. Options:
///   flows=1      flows that one listen() reports
///   slot=4096    bytes of one slot, which is also the charge of an extent
///   length=slot  bytes of one extent
///   records=0    data records of one flow before its end of stream; 0: no end
///   generate=1   0: nothing comes but what the test pushes
extern const landfall_backend kNullTransport;

/// One open queue of `null`, for tests that script what it reports.
class NullQueue {
 public:
  virtual ~NullQueue() = default;
  /// The open queues, oldest first; nullptr past the end. Valid until its Group is gone.
  static NullQueue* at(std::size_t index) noexcept;

  /// Reports `record` next, as of flow number `flow` (in the order of opening); wakes a sleeper.
  /// A scripted extent takes a token >= kScripted, so that its slot is the test's. Threads: any.
  virtual void push(std::size_t flow, landfall_record record) = 0;
  static constexpr std::uint64_t kScripted = std::uint64_t{1} << 32;

  /// Scripted extents that came back, in order. Threads: any.
  virtual std::vector<landfall_return> scripted_returns() const = 0;
  /// Extents out now, scripted ones included. Threads: any.
  virtual std::uint64_t extents_out() const noexcept = 0;
};

}  // namespace landfall::test
