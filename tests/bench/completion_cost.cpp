// SPDX-License-Identifier: Apache-2.0
// What the SDK itself costs per completion: poll and release over a transport that moves no bytes.
// Goals: <= 15 ns on one thread, <= 40 ns with release on another. `ns_each` is the median over the
// batches of what the polling thread spends on one completion, the transport's own part included:
// a batch in which another process took the processor away says nothing about the SDK. Waiting for
// the other thread, when all memory is out, is not counted.
#include <benchmark/benchmark.h>

#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <thread>
#include <utility>
#include <vector>

#include "landfall/base/limits.hpp"
#include "landfall/landfall.hpp"
#include "models/null_transport.hpp"

namespace landfall {
namespace {

constexpr std::size_t kBatch = kPollBatch;  // what one call into a transport brings at most

template <class T>
T must(Result<T> result) {
  if (!result) std::abort();
  return std::move(*result);
}

/// A Receiver with one flow that always has data, while there is room for it.
struct Source {
  Source(std::uint64_t slots, std::uint64_t flows) {
    ContextOptions options;
    context.emplace(must(Context::create(std::move(options))));
    if (!context->add(&test::kNullTransport)) std::abort();
    Region region = must(Region::allocate(*context, {.size_bytes = slots * 4096}));
    GroupOptions group_options;
    group_options.transports = {"null"};
    group_options.options = {"null.flows=" + std::to_string(flows)};
    // Pressure is told when it is reached; here it would be reached once per poll.
    group_options.pressure_percent = 100;
    group_options.buffers_max = static_cast<std::uint32_t>(2 * slots);
    group.emplace(must(Group::open(*context, group_options, region)));
    must(group->listen({.host = "127.0.0.1", .port = 0}));
  }
  Receiver& receiver() { return (*group)[0]; }

  std::optional<Context> context;
  std::optional<Group> group;
};

using Clock = std::chrono::steady_clock;

/// What one completion cost, batch by batch.
class Costs {
 public:
  Costs() { each_.reserve(kMost); }
  void add(benchmark::State& state, Clock::duration spent, std::size_t completions) {
    state.SetIterationTime(std::chrono::duration<double>{spent}.count());
    const double ns = std::chrono::duration<double, std::nano>{spent}.count();
    if (each_.size() < kMost) each_.push_back(static_cast<float>(ns / double(completions)));
    completions_ += completions;
  }
  void report(benchmark::State& state) {
    if (each_.empty()) return state.SkipWithError("no completion came");
    const auto middle = each_.begin() + static_cast<std::ptrdiff_t>(each_.size() / 2);
    std::nth_element(each_.begin(), middle, each_.end());
    state.counters["ns_each"] = double{*middle};
    state.SetItemsProcessed(static_cast<std::int64_t>(completions_));
  }

 private:
  static constexpr std::size_t kMost = 1 << 20;
  std::vector<float> each_;
  std::uint64_t completions_ = 0;
};

/// Polls until something comes, and answers how long that poll and `use` of what came took.
template <class Use>
void one_batch(benchmark::State& state, Receiver& receiver, Costs& costs, Use&& use) {
  std::array<Completion, kBatch>& batch = use.batch;
  for (;;) {
    const Clock::time_point begin = Clock::now();
    const std::size_t count = must(receiver.poll(batch));
    if (count == 0) continue;
    use(std::span{batch}.first(count));
    return costs.add(state, Clock::now() - begin, count);
  }
}

struct ReleaseHere {
  std::array<Completion, kBatch> batch;
  void operator()(std::span<Completion> completions) {
    for (Completion& completion : completions) {
      benchmark::DoNotOptimize(completion.bytes);
      completion.buffer.reset();
    }
  }
};

void BM_PollAndRelease(benchmark::State& state) {
  Source source{256, static_cast<std::uint64_t>(state.range(0))};
  Costs costs;
  ReleaseHere release;
  for (auto _ : state) one_batch(state, source.receiver(), costs, release);
  costs.report(state);
}
BENCHMARK(BM_PollAndRelease)->ArgName("flows")->Arg(1)->Arg(16)->UseManualTime();

/// What is left in the span goes back with the poll that overwrites it.
struct LeaveToPoll {
  std::array<Completion, kBatch> batch;
  void operator()(std::span<Completion> completions) {
    for (Completion& completion : completions) benchmark::DoNotOptimize(completion.bytes);
  }
};

void BM_PollAlone(benchmark::State& state) {
  Source source{256, static_cast<std::uint64_t>(state.range(0))};
  Costs costs;
  LeaveToPoll leave;
  for (auto _ : state) one_batch(state, source.receiver(), costs, leave);
  costs.report(state);
}
BENCHMARK(BM_PollAlone)->ArgName("flows")->Arg(1)->Arg(16)->UseManualTime();

/// Buffers on their way to another thread: a ring of batches, one writer, one reader.
class Handover {
 public:
  using Batch = std::array<Buffer, kBatch>;

  /// Null: the reader is behind.
  Batch* claim() noexcept {
    const std::uint32_t written = written_.load(std::memory_order_relaxed);
    return written - read_.load(std::memory_order_acquire) == kDepth ? nullptr
                                                                     : &ring_[written % kDepth];
  }
  void publish() noexcept {
    written_.store(written_.load(std::memory_order_relaxed) + 1, std::memory_order_release);
  }
  bool drop_one_batch() noexcept {
    const std::uint32_t read = read_.load(std::memory_order_relaxed);
    if (written_.load(std::memory_order_acquire) == read) return false;
    for (Buffer& buffer : ring_[read % kDepth]) buffer.reset();
    read_.store(read + 1, std::memory_order_release);
    return true;
  }

 private:
  static constexpr std::uint32_t kDepth = 16;
  std::array<Batch, kDepth> ring_;
  alignas(64) std::atomic<std::uint32_t> written_{0};
  alignas(64) std::atomic<std::uint32_t> read_{0};
};

struct ReleaseThere {
  std::array<Completion, kBatch> batch;
  Handover& handover;
  void operator()(std::span<Completion> completions) {
    Handover::Batch& next = *handover.claim();
    for (std::size_t i = 0; i < completions.size(); ++i) next[i] = std::move(completions[i].buffer);
    handover.publish();
  }
};

void pin(pthread_t thread, unsigned cpu) {
  cpu_set_t set;
  CPU_ZERO(&set);
  CPU_SET(cpu % std::thread::hardware_concurrency(), &set);
  ::pthread_setaffinity_np(thread, sizeof set, &set);
}

void BM_ReleaseOnAnotherThread(benchmark::State& state) {
  Source source{4096, 1};
  auto handover = std::make_unique<Handover>();
  std::atomic<bool> stop{false};
  std::thread dropper{[&] {
    while (!stop.load(std::memory_order_relaxed)) handover->drop_one_batch();
    while (handover->drop_one_batch()) {
    }
  }};
  pin(::pthread_self(), 0);
  pin(dropper.native_handle(), 1);
  Costs costs;
  ReleaseThere release{{}, *handover};
  for (auto _ : state) {
    while (handover->claim() == nullptr) {
    }
    one_batch(state, source.receiver(), costs, release);
  }
  stop = true;
  dropper.join();
  costs.report(state);
}
BENCHMARK(BM_ReleaseOnAnotherThread)->UseManualTime();

}  // namespace
}  // namespace landfall

BENCHMARK_MAIN();
