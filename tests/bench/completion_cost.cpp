// SPDX-License-Identifier: Apache-2.0
// What the SDK itself costs per completion: poll and release over a transport that moves no bytes.
// Goals: <= 15 ns on one thread, <= 40 ns with release on another (CPU time of the polling thread).
// The transport's own part is in both; BM_NullTransportAlone says how much it is.
#include <benchmark/benchmark.h>

#include <array>
#include <atomic>
#include <cstdlib>
#include <memory>
#include <optional>
#include <span>
#include <thread>
#include <utility>
#include <vector>

#include "landfall/landfall.hpp"
#include "models/null_transport.hpp"

namespace landfall {
namespace {

constexpr std::size_t kBatch = 64;

template <class T>
T must(Result<T> result) {
  if (!result) std::abort();
  return std::move(*result);
}

/// A Receiver with one flow that always has data, while there is room for it.
struct Source {
  explicit Source(std::uint64_t slots) {
    ContextOptions options;
    context.emplace(must(Context::create(std::move(options))));
    if (!context->add(&test::kNullTransport)) std::abort();
    Region region = must(Region::allocate(*context, {.size_bytes = slots * 4096}));
    GroupOptions group_options;
    group_options.transports = {"null"};
    // Pressure is told when it is reached; here it would be reached once per poll.
    group_options.pressure_percent = 100;
    group_options.buffers_max = static_cast<std::uint32_t>(2 * slots);
    group.emplace(must(Group::open(*context, group_options, region)));
    must(group->listen({.host = "127.0.0.1", .port = 0}));
    std::array<Completion, 4> first;
    while (must((*group)[0].poll(first)) == 0) {
    }
  }
  Receiver& receiver() { return (*group)[0]; }

  std::optional<Context> context;
  std::optional<Group> group;
};

void BM_PollAndRelease(benchmark::State& state) {
  Source source{256};
  std::array<Completion, kBatch> batch;
  std::uint64_t completions = 0;
  for (auto _ : state) {
    const std::size_t count = must(source.receiver().poll(batch));
    for (Completion& completion : std::span{batch}.first(count)) {
      benchmark::DoNotOptimize(completion.bytes);
      completion.buffer.reset();
    }
    completions += count;
  }
  state.SetItemsProcessed(static_cast<std::int64_t>(completions));
  state.counters["ns_each"] = benchmark::Counter(
      static_cast<double>(completions) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_PollAndRelease);

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

void BM_ReleaseOnAnotherThread(benchmark::State& state) {
  Source source{4096};
  auto handover = std::make_unique<Handover>();
  std::atomic<bool> stop{false};
  std::thread dropper{[&] {
    while (!stop.load(std::memory_order_relaxed)) handover->drop_one_batch();
    while (handover->drop_one_batch()) {
    }
  }};
  std::array<Completion, kBatch> batch;
  std::uint64_t completions = 0;
  for (auto _ : state) {
    Handover::Batch* next = handover->claim();
    while (next == nullptr) next = handover->claim();
    const std::size_t count = must(source.receiver().poll(batch));
    for (std::size_t i = 0; i < count; ++i) (*next)[i] = std::move(batch[i].buffer);
    if (count != 0) handover->publish();
    completions += count;
  }
  stop = true;
  dropper.join();
  state.SetItemsProcessed(static_cast<std::int64_t>(completions));
  state.counters["ns_each"] = benchmark::Counter(
      static_cast<double>(completions) / 1e9, benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(BM_ReleaseOnAnotherThread);

}  // namespace
}  // namespace landfall

BENCHMARK_MAIN();
