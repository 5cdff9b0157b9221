// SPDX-License-Identifier: Apache-2.0
// A Group over each way of receiving from real sockets, and what came of its flows.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <ostream>
#include <string>
#include <vector>

#include "landfall/landfall.hpp"

namespace landfall::test {

/// One way of receiving from sockets.
struct Way {
  const char* name;  // as GoogleTest prints it
  const char* transport;
  const char* option;                         // "key=value", "": none
  const landfall_backend* backend = nullptr;  // registered first; nullptr: built in
};

inline void PrintTo(const Way& way, std::ostream* out) {
  *out << way.name;
}

/// Every way there is: tcp with both engines, and the model of devmem TCP.
std::vector<Way> all_ways();
/// Only the transport `tcp`.
std::vector<Way> tcp_ways();

/// Prints a Way's name; for INSTANTIATE_TEST_SUITE_P.
inline std::string way_name(const testing::TestParamInfo<Way>& info) {
  return info.param.name;
}

struct RigOptions {
  std::uint64_t region_bytes = 8u << 20;
  GroupOptions group{};
  ContextOptions context{};
};

/// A Context and a Group of one way.
struct Rig {
  Context context;
  Group group;
  Receiver& receiver(std::size_t index = 0) { return group[index]; }
};

/// Opens it. A failure has its reason; is_missing() tells those that are the machine's.
Result<Rig> open_rig(const Way& way, RigOptions options = {});
/// This machine or build lacks what the way needs: a skip, not a failure.
bool is_missing(const Error& error);

/// Opens a Rig into `rig`, or skips or fails the test that runs. Use in a void function.
#define LANDFALL_OPEN_RIG(rig, way, ...)                          \
  auto rig = ::landfall::test::open_rig((way), __VA_ARGS__);      \
  if (!rig && ::landfall::test::is_missing(rig.error()))          \
    GTEST_SKIP() << (way).name << ": " << rig.error().describe(); \
  ASSERT_TRUE(rig) << rig.error().describe()

/// What came of one flow whose bytes follow pattern.hpp.
struct Stream {
  std::uint64_t seed = 0;
  std::uint64_t received = 0;
  bool ended = false, failed = false, closed = false;
  Error error{Errc::ok, ""};
  std::vector<Buffer> held;
};

/// Polls a Receiver and checks every byte where it lands.
///
/// Each Buffer must carry on where the one before it ended; what becomes of it is up to `keep`.
class Collector {
 public:
  explicit Collector(Receiver& receiver) : receiver_{receiver} {}

  /// The seed of flows that are opened: by their number (from 0), unless set.
  std::function<std::uint64_t(std::size_t)> seed_of = [](std::size_t index) { return index; };
  /// Called with each data Buffer after its check; what it leaves is dropped. Empty: all dropped.
  std::function<void(Flow&, Stream&, Buffer&)> on_data{};
  /// Called with each Completion but data, after it was noted.
  std::function<void(const Completion&)> on_event{};

  /// Polls until `done` or until nothing has happened for `patience`, which fails the test.
  void run_until(const std::function<bool()>& done,
                 std::chrono::seconds patience = std::chrono::seconds{30});
  /// One wait of at most `timeout`; answers how many completions came.
  std::size_t step(std::chrono::nanoseconds timeout);

  /// By flow id; kept after the flow is closed.
  std::map<std::uint64_t, Stream>& streams() { return streams_; }
  Stream& stream(Flow& flow) { return streams_[flow.id()]; }
  /// Flows that are not closed, by id.
  std::map<std::uint64_t, Flow*>& flows() { return flows_; }
  void adopt(Flow& flow, std::uint64_t seed);
  std::uint64_t total_received() const { return total_; }
  std::size_t count(bool Stream::*what) const;

 private:
  void take(Completion& completion);
  void check(Stream& stream, const Buffer& buffer);

  Receiver& receiver_;
  std::vector<Completion> batch_ = std::vector<Completion>(64);
  std::map<std::uint64_t, Stream> streams_;
  std::map<std::uint64_t, Flow*> flows_;
  std::size_t opened_ = 0;
  std::uint64_t total_ = 0;
};

/// Does every byte of the Buffer still follow the stream?
bool unchanged(const Buffer& buffer, std::uint64_t seed);

}  // namespace landfall::test
