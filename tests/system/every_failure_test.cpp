// SPDX-License-Identifier: Apache-2.0
#include <array>

#include "failing_new.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/fault_plan.hpp"
#include "landfall_test/loopback.hpp"
#include "models/devmem_model.hpp"
#include "pattern.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeed = 13;
constexpr std::uint64_t kBytes = 20'000;  // fits in a socket's buffers
constexpr std::uint64_t kPosted = 1000;

/// How one life of a Receiver went.
struct Life {
  bool whole = false;   // everything came
  bool told = false;    // ... or a failure was reported
  bool wrong = false;   // bytes that were never sent, or out of order
  std::string where{};  // the last thing that was done
};

/// Open, listen, accept, connect, attach, receive in both deliveries, close.
///
/// Nothing in here may hang: each wait ends with something, or with `told` unset.
class Once {
 public:
  explicit Once(Life& life) : life_{life} {}

  void run(const Way& way, ContextOptions context_options) {
    life_.where = "open";
    RigOptions options;
    options.region_bytes = 1u << 20;
    options.group.buffers_max = 64;
    options.context = std::move(context_options);
    Result<Rig> rig = open_rig(way, std::move(options));
    if (!rig) return tell();
    receiver_ = &rig->receiver();
    life_.where = "listen";
    const auto at = rig->group.listen({"127.0.0.1", 0});
    if (!at) return tell();
    const Fd peer = connect_to(*at);
    if (!peer || !send_pattern(peer.get(), kSeed, 0, kBytes)) return tell();
    finish(peer.get());
    life_.where = "receive";
    std::uint64_t received = 0;
    if (!wait_for(Completion::Kind::end_of_stream, &received)) return;
    if (received != kBytes) life_.wrong = true;
    life_.where = "close the flow";
    flow_->close();
    if (!wait_for(Completion::Kind::closed)) return;

    life_.where = "attach";
    // A second one by hand-over and on demand.
    SocketPair pair = tcp_pair();
    send_pattern(pair.theirs.get(), kSeed, 0, kBytes);
    FlowOptions demand;
    demand.delivery = Delivery::demand;
    Result<Flow*> flow = receiver_->attach(pair.ours, demand);
    if (!flow) return tell();
    life_.where = "post";
    std::array<std::byte, kPosted> target;
    if (!(*flow)->post(target, 1)) return tell();
    if (!wait_for(Completion::Kind::posted)) return;
    if (matching_bytes(kSeed, 0, target) != kPosted) life_.wrong = true;
    life_.where = "land";
    if (!(*flow)->land(kPosted)) return tell();
    if (!wait_for(Completion::Kind::landed)) return;
    life_.where = "close";
    (*flow)->close(true);
    if (!wait_for(Completion::Kind::closed)) return;
    if (!rig->group.close()) return tell();
    life_.whole = true;
  }

 private:
  void tell() { life_.told = true; }

  bool wait_for(Completion::Kind wanted, std::uint64_t* ret_received = nullptr) {
    std::uint64_t received = 0;
    for (int errors = 0;;) {
      // What comes after a failure may be less than what was hoped for, and does not take long.
      const auto patience = std::chrono::milliseconds{life_.told ? 100 : 5000};
      const Result<std::size_t> count = receiver_->wait(batch_, patience);
      if (!count) {
        life_.told = true;
        if (++errors > 3) return false;
        continue;  // a moment's lack of memory is no end
      }
      if (*count == 0) return false;  // silence
      bool done = false;
      for (Completion& completion : std::span{batch_}.first(*count)) {
        if (completion.kind == Completion::Kind::opened) flow_ = completion.flow;
        if (completion.kind == Completion::Kind::data) {
          const auto bytes = completion.buffer.host_bytes();
          const std::uint64_t begin = completion.buffer.stream_offset();
          if (matching_bytes(kSeed, begin, *bytes) != bytes->size()) life_.wrong = true;
          received += bytes->size();
        }
        if (completion.kind == Completion::Kind::failed) {
          life_.told = true;
          return false;
        }
        done |= completion.kind == wanted;
      }
      if (done) break;
    }
    if (ret_received != nullptr) *ret_received = received;
    return true;
  }

  Life& life_;
  Receiver* receiver_ = nullptr;
  Flow* flow_ = nullptr;
  std::array<Completion, 8> batch_;
};

class EveryFailure : public testing::TestWithParam<Way> {
 protected:
  void SetUp() override {
    // Once without faults: what is made once per process is made now.
    Life life;
    const auto rig = open_rig(GetParam());
    if (!rig && is_missing(rig.error())) GTEST_SKIP() << rig.error().describe();
    Once{life}.run(GetParam(), {});
    ASSERT_TRUE(life.whole) << "in " << life.where;
    ASSERT_FALSE(life.wrong);
  }
  static constexpr std::size_t kMost = 20'000;
};

// Goal: memory that runs out at any one allocation is reported or got over; nothing crashes, leaks
// or is received wrongly.
// (The model is test code and takes its memory for granted.)
TEST_P(EveryFailure, OfAllocation) {
  if (GetParam().backend != nullptr) return;
  std::size_t call = 0;
  const DevmemFaults faults = devmem_faults();
  for (bool hit = true; hit && call < kMost; ++call) {
    const FdCensus fds;
    const MapCensus maps;
    Life life;
    {
      const FailingNew failing{call};
      try {
        Once{life}.run(GetParam(), {});
      } catch (const std::bad_alloc&) {
        life.told = true;
      }
      hit = failing.hit();
    }
    ASSERT_TRUE(life.whole || life.told) << "silence in " << life.where << ", call " << call;
    ASSERT_FALSE(life.wrong) << "in " << life.where << ", call " << call;
    ASSERT_EQ(fds.leaked(), 0) << "in " << life.where << ", call " << call;
    ASSERT_EQ(maps.leaked(), 0) << "in " << life.where << ", call " << call;
  }
  std::printf("%zu allocations\n", call - 1);
  EXPECT_GT(call, 20u);
  EXPECT_EQ(devmem_faults().bad_returns, faults.bad_returns);
  EXPECT_EQ(devmem_faults().closed_with_extents, faults.closed_with_extents);
}

// Goal: the same for every outside call of the core and the transport, in three ways of failing.
TEST_P(EveryFailure, OfOutsideCalls) {
  for (const int number : {EIO, ENOMEM, EMFILE}) {
    std::size_t call = 0;
    for (bool hit = true; hit && call < kMost; ++call) {
      const FdCensus fds;
      const MapCensus maps;
      Life life;
      FaultPlan plan;
      plan.fail(call, number);
      ContextOptions options;
      options.fault = plan.hook();
      Once{life}.run(GetParam(), std::move(options));
      hit = plan.hit();
      const auto seen = plan.seen();
      const std::string site = hit && call < seen.size() ? seen[call] : "";
      ASSERT_TRUE(life.whole || life.told) << "silence in " << life.where << ", " << site;
      ASSERT_FALSE(life.wrong) << "in " << life.where << ", " << site;
      ASSERT_EQ(fds.leaked(), 0) << "in " << life.where << ", " << site;
      ASSERT_EQ(maps.leaked(), 0) << "in " << life.where << ", " << site;
    }
    std::printf("%zu outside calls\n", call - 1);
    EXPECT_GT(call, 5u);
  }
}

INSTANTIATE_TEST_SUITE_P(Ways, EveryFailure, testing::ValuesIn(all_ways()), way_name);

}  // namespace
}  // namespace landfall::test
