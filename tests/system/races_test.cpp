// SPDX-License-Identifier: Apache-2.0
#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>
#include <set>

#include "landfall_test/census.hpp"
#include "landfall_test/loopback.hpp"
#include "landfall_test/quota.hpp"
#include "models/devmem_model.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeed = 9;
constexpr int kPollers = 2, kDroppers = 4, kGivers = 4, kSenders = 5;  // and one that watches: 16
constexpr std::uint64_t kStreamBytes = 200'000;
constexpr int kStreamsEach = 6;

/// Buffers on their way from pollers to droppers.
class Shelf {
 public:
  void put(Buffer buffer) {
    {
      const std::lock_guard lock{mutex_};
      buffers_.push_back(std::move(buffer));
    }
    changed_.notify_one();
  }
  /// An empty Buffer: nothing more comes.
  Buffer take() {
    std::unique_lock lock{mutex_};
    changed_.wait(lock, [this] { return done_ || !buffers_.empty(); });
    if (buffers_.empty()) return {};
    // From either end: returns come in no order.
    Buffer taken = std::move(++turn_ % 2 == 0 ? buffers_.front() : buffers_.back());
    turn_ % 2 == 0 ? buffers_.pop_front() : buffers_.pop_back();
    return taken;
  }
  void finish() {
    {
      const std::lock_guard lock{mutex_};
      done_ = true;
    }
    changed_.notify_all();
  }

 private:
  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Buffer> buffers_;
  std::uint32_t turn_ = 0;
  bool done_ = false;
};

/// Polls until `stop`; closes flows in every way, some in the middle, and all that there are and
/// come when the binding was revoked: nothing would end them.
void poll_until(Receiver& receiver, Shelf& shelf, const std::atomic<bool>& stop,
                std::atomic<int>& closed, std::atomic<int>& revocations) {
  std::array<Completion, 16> batch;
  std::uint64_t random = 1;
  std::set<Flow*> flows;
  bool revoked = false;
  while (!stop.load(std::memory_order_relaxed)) {
    const Result<std::size_t> count = receiver.wait(batch, 20ms);
    ASSERT_TRUE(count) << count.error().describe();
    for (Completion& completion : std::span{batch}.first(*count)) {
      switch (completion.kind) {
        case Completion::Kind::opened:
          flows.insert(completion.flow);
          if (revoked) completion.flow->close(true);
          break;
        case Completion::Kind::revoked:
          revoked = true;
          ++revocations;
          for (Flow* flow : flows) flow->close(true);
          break;
        case Completion::Kind::data:
          shelf.put(std::move(completion.buffer));
          random = random * 6364136223846793005u + 1442695040888963407u;
          if (random >> 57 == 0) completion.flow->close((random & 1) != 0);
          break;
        case Completion::Kind::end_of_stream:
        case Completion::Kind::failed:
          if (completion.flow != nullptr) completion.flow->close(false);
          break;
        case Completion::Kind::closed:
          flows.erase(completion.flow);
          ++closed;
          break;
        default:
          break;
      }
    }
  }
}

/// As StreamSender, but the other end may go away at any time.
void send_a_stream(Fd peer) {
  if (peer && send_pattern(peer.get(), kSeed, 0, kStreamBytes, 3000)) finish(peer.get());
}

class Races : public testing::TestWithParam<Way> {};

// Goal: 16 threads receive, drop, hand over, close and look on at once; the binding is revoked, the
// Group goes while Buffers are out. Nothing is changed under a Buffer, nothing is left. (For TSan
// above all.)
TEST_P(Races, EverythingAtOnce) {
  const FdCensus fds;
  const MapCensus maps;
  const DevmemFaults faults = devmem_faults();
  for (int round = 0; round < quota_or_soak(4, 2000); ++round) {
    RigOptions options;
    options.region_bytes = 2u << 20;
    options.group.queues = kPollers;
    LANDFALL_OPEN_RIG(rig, GetParam(), options);
    const auto at = rig->group.listen({"127.0.0.1", 0});
    ASSERT_TRUE(at) << at.error().describe();
    const ListeningSocket listener;
    ASSERT_TRUE(listener.socket);

    constexpr int kStreams = (kGivers + kSenders) * kStreamsEach;
    const bool revokes = GetParam().backend == &kDevmemModel && round % 4 == 3;
    Shelf shelf;
    std::atomic<bool> stop{false}, changed{false};
    std::atomic<int> closed{0}, revocations{0};
    std::vector<std::thread> pollers, droppers, peers;
    for (int i = 0; i < kPollers; ++i) {
      Receiver& receiver = rig->receiver(static_cast<std::size_t>(i));
      pollers.emplace_back([&] { poll_until(receiver, shelf, stop, closed, revocations); });
    }
    for (int i = 0; i < kDroppers; ++i) {
      droppers.emplace_back([&] {
        while (const Buffer buffer = shelf.take())
          if (!unchanged(buffer, kSeed)) changed = true;
      });
    }
    for (int i = 0; i < kGivers; ++i) {
      peers.emplace_back([&, i] {
        for (int n = 0; n < kStreamsEach; ++n) {
          Fd peer = connect_to(listener.address);
          Fd accepted = listener.accept();
          if (!accepted) continue;
          const auto given =
              rig->receiver(static_cast<std::size_t>(i + n) % kPollers).hand_over(accepted);
          EXPECT_TRUE(given) << given.error().describe();
          send_a_stream(std::move(peer));
        }
      });
    }
    for (int i = 0; i < kSenders; ++i) {
      peers.emplace_back([&] {
        for (int n = 0; n < kStreamsEach; ++n) send_a_stream(connect_to(*at));
      });
    }
    std::uint64_t looks = 0;
    std::thread watcher{[&] {
      bool revoke = revokes;
      for (; !stop.load(std::memory_order_relaxed); ++looks) {
        if (revoke && closed.load() >= kStreams / 3) {
          devmem_revoke();
          revoke = false;
        }
        for (std::size_t i = 0; i < kPollers; ++i) {
          const Receiver& receiver = rig->receiver(i);
          EXPECT_LE(receiver.held_bytes(), receiver.slice_bytes());
          looks += receiver.buffers_out() + receiver.flows() + receiver.verdict().total();
        }
        std::this_thread::yield();
      }
    }};
    for (std::thread& peer : peers) peer.join();
    // In the first rounds the end comes when all is done, then in the middle.
    const auto deadline = std::chrono::steady_clock::now() + 60s;
    const int least_closed = round < 2 ? kStreams : 0, least_revocations = revokes ? kPollers : 0;
    while ((closed.load() < least_closed || revocations.load() < least_revocations) &&
           std::chrono::steady_clock::now() < deadline) {
      std::this_thread::yield();
    }
    EXPECT_GE(closed.load(), least_closed);
    EXPECT_GE(revocations.load(), least_revocations);
    stop = true;
    watcher.join();
    for (std::thread& poller : pollers) poller.join();
    { const Group gone = std::move(rig->group); }  // with Buffers on the shelf
    shelf.finish();
    for (std::thread& dropper : droppers) dropper.join();
    EXPECT_FALSE(changed.load());
  }
  EXPECT_EQ(fds.leaked(), 0);
  EXPECT_EQ(maps.leaked(), 0);
  EXPECT_EQ(devmem_faults().bad_returns, faults.bad_returns);
  EXPECT_EQ(devmem_faults().closed_with_extents, faults.closed_with_extents);
}

INSTANTIATE_TEST_SUITE_P(Ways, Races, testing::ValuesIn(all_ways()), way_name);

}  // namespace
}  // namespace landfall::test
