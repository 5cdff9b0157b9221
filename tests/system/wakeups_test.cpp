// SPDX-License-Identifier: Apache-2.0
#include <poll.h>

#include <array>
#include <atomic>
#include <condition_variable>
#include <deque>
#include <mutex>

#include "landfall_test/loopback.hpp"
#include "landfall_test/quota.hpp"
#include "rig.hpp"
#include "sender.hpp"

namespace landfall::test {
namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeed = 3;
constexpr std::uint64_t kPage = 4096;
// So few extents that the Receiver runs dry, and sleeps until one comes back, again and again.
constexpr std::uint64_t kRegionBytes = 16 * kPage;
constexpr std::uint64_t kBytes = 3000 * kRegionBytes;
// A wake-up that is lost shows as a sleep of this length: nothing else would end it.
constexpr auto kLost = 20s;

/// Threads that drop Buffers once the Receiver has run dry, each after a moment of its own.
class Droppers {
 public:
  explicit Droppers(std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) threads_.emplace_back([this, i] { run(i); });
  }
  ~Droppers() {
    {
      const std::lock_guard lock{mutex_};
      done_ = true;
    }
    changed_.notify_all();
    for (std::thread& thread : threads_) thread.join();
  }
  void give(Buffer buffer) {
    const std::lock_guard lock{mutex_};
    queue_.push_back(std::move(buffer));
  }
  /// The Receiver has nothing and is about to arm: all that was given goes back now.
  void let_go() {
    {
      const std::lock_guard lock{mutex_};
      dry_ = !queue_.empty();
    }
    changed_.notify_all();
  }

 private:
  void run(std::size_t index) {
    std::uint64_t random = index + 1;
    for (;;) {
      Buffer buffer;
      {
        std::unique_lock lock{mutex_};
        changed_.wait(lock, [this] { return done_ || dry_; });
        if (queue_.empty()) return;
        buffer = std::move(queue_.front());
        queue_.pop_front();
        dry_ = !queue_.empty();
      }
      EXPECT_TRUE(unchanged(buffer, kSeed));
      // Varies by some microseconds, so that drops fall before, into and after the arming.
      random = random * 6364136223846793005u + 1442695040888963407u;
      for (std::uint64_t i = random >> 50; i > 0; --i) __asm__ volatile("" ::: "memory");
    }
  }

  std::mutex mutex_;
  std::condition_variable changed_;
  std::deque<Buffer> queue_;
  bool dry_ = false, done_ = false;
  std::vector<std::thread> threads_;
};

class WakeUps : public testing::TestWithParam<Way> {
 protected:
  RigOptions options() {
    RigOptions options;
    options.region_bytes = kRegionBytes;
    options.group.slot_bytes = kPage;
    return options;
  }
};

// Goal: a Receiver that sleeps on its descriptor in an event loop of the application's is woken by
// each Buffer that lets it go on, whichever thread drops it.
TEST_P(WakeUps, NoneIsLostInOnesOwnEventLoop) {
  LANDFALL_OPEN_RIG(rig, GetParam(), options());
  const auto at = rig->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();
  Receiver& receiver = rig->receiver();
  std::uint64_t received = 0, arms = 0, sleeps = 0;
  bool ended = false;
  {
    Droppers droppers{4};
    StreamSender sender{*at, kSeed, kBytes};
    std::array<Completion, 8> batch;
    while (!ended) {
      const Result<std::size_t> count = receiver.poll(batch);
      ASSERT_TRUE(count) << count.error().describe();
      for (Completion& completion : std::span{batch}.first(*count)) {
        if (completion.kind == Completion::Kind::data) {
          received += completion.buffer.length();
          droppers.give(std::move(completion.buffer));
        }
        ended |= completion.kind == Completion::Kind::end_of_stream;
      }
      if (*count != 0) continue;
      droppers.let_go();
      const Result<bool> may_sleep = receiver.arm();
      ASSERT_TRUE(may_sleep) << may_sleep.error().describe();
      ++arms;
      if (!*may_sleep) continue;
      ++sleeps;
      pollfd wait{receiver.wait_fd(), POLLIN, 0};
      const int ready =
          ::poll(&wait, 1, std::chrono::duration_cast<std::chrono::milliseconds>(kLost).count());
      ASSERT_EQ(ready, 1) << "lost a wake-up at byte " << received << ", sleep " << sleeps << ", "
                          << receiver.buffers_out() << " Buffers out as of the last poll";
    }
  }
  EXPECT_EQ(received, kBytes);
  std::printf("%llu times armed, %llu asleep\n", static_cast<unsigned long long>(arms),
              static_cast<unsigned long long>(sleeps));
  EXPECT_GT(arms, 2000u) << "it hardly ever ran dry: the test shows nothing";
  EXPECT_GT(sleeps, 50u);
}

// Goal: the same where landfall does the sleeping.
TEST_P(WakeUps, NoneIsLostInWait) {
  LANDFALL_OPEN_RIG(rig, GetParam(), options());
  const auto at = rig->group.listen({"127.0.0.1", 0});
  ASSERT_TRUE(at) << at.error().describe();
  Receiver& receiver = rig->receiver();
  std::uint64_t received = 0;
  bool ended = false;
  {
    Droppers droppers{4};
    StreamSender sender{*at, kSeed, kBytes};
    std::array<Completion, 8> batch;
    while (!ended) {
      droppers.let_go();
      const Result<std::size_t> count = receiver.wait(batch, kLost);
      ASSERT_TRUE(count) << count.error().describe();
      ASSERT_NE(*count, 0u) << "lost a wake-up at byte " << received;
      for (Completion& completion : std::span{batch}.first(*count)) {
        if (completion.kind == Completion::Kind::data) {
          received += completion.buffer.length();
          droppers.give(std::move(completion.buffer));
        }
        ended |= completion.kind == Completion::Kind::end_of_stream;
      }
    }
  }
  EXPECT_EQ(received, kBytes);
}

// Goal: a hand-over from another thread wakes a Receiver that sleeps without any flow.
TEST_P(WakeUps, AHandOverWakesASleeper) {
  const int rounds = quota_or_soak(300, 20'000);
  LANDFALL_OPEN_RIG(rig, GetParam(), options());
  const ListeningSocket listener;
  ASSERT_TRUE(listener.socket);
  Receiver& receiver = rig->receiver();
  std::atomic<int> opened{0};
  std::thread giver{[&] {
    for (int i = 0; i < rounds; ++i) {
      const Fd peer = connect_to(listener.address);
      Fd accepted = listener.accept();
      ASSERT_TRUE(accepted);
      const Result<void> given = receiver.hand_over(accepted);
      ASSERT_TRUE(given) << given.error().describe();
      while (opened.load() <= i) std::this_thread::yield();
    }
  }};
  std::array<Completion, 8> batch;
  int closed = 0;
  while (closed < rounds) {
    const Result<std::size_t> count = receiver.wait(batch, kLost);
    if (!count || *count == 0) {
      opened = rounds + 1;
      giver.join();
      FAIL() << "lost a wake-up after " << closed << " rounds";
    }
    for (Completion& completion : std::span{batch}.first(*count)) {
      if (completion.kind == Completion::Kind::opened) ++opened;
      if (completion.kind == Completion::Kind::end_of_stream) completion.flow->close();
      if (completion.kind == Completion::Kind::closed) ++closed;
    }
  }
  giver.join();
}

INSTANTIATE_TEST_SUITE_P(Ways, WakeUps, testing::ValuesIn(all_ways()), way_name);

}  // namespace
}  // namespace landfall::test
