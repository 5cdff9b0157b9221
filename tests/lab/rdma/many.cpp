// SPDX-License-Identifier: Apache-2.0
// Many connections by RDMA, most of them idle, some bursting at once.
//   rdma_many recv HOST FLOWS [--slot BYTES] [--region BYTES] [--stall MS] [--fault SITE[#N]]
//   rdma_many send HOST PORT FLOWS BURSTING ROUNDS BURST_BYTES [--fault SITE[#N]]
// recv prints where it listens and where its Region is; its memory at the 100th flow and at the
// last, each behind its first message; how flows failed; and what came. --stall: half way through a
// burst it takes nothing for so long. --fault: this call fails, each time or only the Nth (from 0).
// send says on each connection its number; BURSTING of them, spread over the list, send BURST_BYTES
// at once, ROUNDS times; then all end.
#include <malloc.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "landfall/landfall.hpp"

namespace {

using namespace landfall;
using namespace std::chrono_literals;

constexpr std::size_t kBatch = 256;
constexpr std::uint64_t kNumberBytes = 8;
constexpr std::size_t kFirstLook = 100;  // flows
constexpr std::byte kMark{0xee};         // what rdma_stranger would write into the Region

// ---- which byte is which

constexpr std::uint64_t kPatternBytes = 2u << 20, kBurstMost = 1u << 20;

/// Another word in each place.
std::uint64_t word(std::uint64_t at) {
  at = (at + 1) * 0x9E3779B97F4A7C15ull;
  return at ^ at >> 29;
}
void fill_pattern(std::span<std::byte> out) {
  for (std::uint64_t at = 0; at + 8 <= out.size(); at += 8) {
    const std::uint64_t value = word(at / 8);
    std::memcpy(&out[at], &value, sizeof value);
  }
}
/// Where in the pattern this burst of this flow begins.
std::uint64_t place(std::uint64_t flow, std::uint64_t round) {
  return (flow * 1009 + round * 40507) * 8 % kBurstMost;
}

// ---- memory of this process

struct Use {
  std::uint64_t ours = 0, device = 0, heap = 0;
};

/// ours: private memory, whatever of landfall, its libraries and this program it is; device: what
/// is mapped from the RDMA device, queues of the provider; heap: what malloc(3) has given.
Use look() {
  Use use;
  const auto heap = ::mallinfo2();
  use.heap = heap.uordblks + heap.hblkhd;
  std::ifstream maps{"/proc/self/smaps"};
  bool of_device = false;
  for (std::string line; std::getline(maps, line);) {
    if (line.find('-') < line.find(' ') && line.find(':') > line.find('-')) {
      of_device = line.find("/dev/infiniband/") != std::string::npos;
      continue;
    }
    std::uint64_t kib = 0;
    if (of_device && std::sscanf(line.c_str(), "Size: %lu", &kib) == 1) use.device += kib << 10;
    if (!of_device && std::sscanf(line.c_str(), "Private_Dirty: %lu", &kib) == 1)
      use.ours += kib << 10;
    if (!of_device && std::sscanf(line.c_str(), "Private_Clean: %lu", &kib) == 1)
      use.ours += kib << 10;
  }
  return use;
}

void print_memory(std::size_t flows, const Use& use) {
  std::printf("flows=%zu ours=%lu device=%lu heap=%lu\n", flows, use.ours, use.device, use.heap);
}
void print_per_flow(const Use& first, const Use& last, std::size_t flows) {
  const std::uint64_t more = flows - kFirstLook;
  if (flows <= kFirstLook) return;
  std::printf("per_flow=%lu per_flow_device=%lu per_flow_heap=%lu\n",
              (last.ours - first.ours) / more, (last.device - first.device) / more,
              (last.heap - first.heap) / more);
}

// ---- receive

struct Asked {
  std::string host;
  std::uint16_t port = 0;
  std::size_t flows = 0, bursting = 0, rounds = 0;
  std::uint64_t burst_bytes = 0;
  std::uint64_t slot_bytes = 2048, region_bytes = 12u << 20;
  std::chrono::milliseconds stall{0};
  std::string fault;  // "": none
  long fault_at = -1;
};

/// With the fault that was asked for.
Result<Context> make_context(const Asked& asked) {
  ContextOptions with;
  if (!asked.fault.empty())
    with.fault = [&asked, calls = std::make_shared<std::atomic<long>>(0)](std::string_view site) {
      if (site != asked.fault) return 0;
      const long call = (*calls)++;
      return asked.fault_at < 0 || call == asked.fault_at ? ENOSPC : 0;
    };
  return Context::create(std::move(with));
}

class Receiving {
 public:
  explicit Receiving(const Asked& asked) : asked_{asked}, pattern_(kPatternBytes) {
    fill_pattern(pattern_);
  }

  Result<void> run() {
    LANDFALL_TRY(Context context, make_context(asked_));
    LANDFALL_TRY(Region region,
                 Region::allocate(context, {.source = "host", .size_bytes = asked_.region_bytes}));
    GroupOptions options;
    options.transports = {"verbs"};
    options.options = {"verbs.slot=" + std::to_string(asked_.slot_bytes)};
    options.flows_max = static_cast<std::uint32_t>(asked_.flows);
    LANDFALL_TRY(Group group, Group::open(context, options, region));
    LANDFALL_TRY(const Address at, group.listen({asked_.host, 0}));
    LANDFALL_TRY(const std::span<std::byte> memory, group.memory().host_bytes());
    std::printf("region=%p port=%u\n", static_cast<void*>(memory.data()), unsigned{at.port});
    const Result<void> done = take(group[0]);
    const auto marks = std::search_n(memory.begin(), memory.end(), 8, kMark);
    std::printf("bytes=%lu wrong=%lu failed=%lu finished=%zu waited=%zu marks=%d\n", bytes_, wrong_,
                failed_, finished_, waited_, marks == memory.end() ? 0 : 1);
    return done;
  }

 private:
  Result<void> take(Receiver& receiver) {
    std::array<Completion, kBatch> batch;
    while (closed_ < asked_.flows) {
      LANDFALL_TRY(const std::size_t count, receiver.wait(batch, 60s));
      if (count == 0) return Error{Errc::timed_out, "nothing more comes"};
      for (Completion& one : std::span{batch}.first(count)) on(one);
      if (half_way_ && asked_.stall != 0ms && !std::exchange(stalled_, true))
        LANDFALL_CHECK(stall(receiver, batch));
    }
    return {};
  }

  /// What has come meanwhile is kept until all of it is counted, so that nothing more comes.
  Result<void> stall(Receiver& receiver, std::span<Completion> batch) {
    std::this_thread::sleep_for(asked_.stall);
    std::vector<Buffer> kept;
    for (std::size_t count = 1; count != 0;) {
      LANDFALL_TRY(const std::size_t got, receiver.poll(batch));
      count = got;
      for (Completion& one : batch.first(count)) {
        if (one.kind != Completion::Kind::data) {
          on(one);
        } else {
          check(one);
          kept.push_back(std::move(one.buffer));
        }
      }
    }
    waited_ = kept.size();
    return {};
  }

  void on(Completion& one) {
    switch (one.kind) {
      case Completion::Kind::data:
        check(one);
        one.buffer.reset();
        return;
      case Completion::Kind::failed:
        ++failed_;
        std::printf("failed: %s\n", one.error.describe().c_str());
        if (one.flow != nullptr) one.flow->close();
        return;
      case Completion::Kind::end_of_stream:
        ++finished_;
        one.flow->close();
        return;
      case Completion::Kind::closed:
        ++closed_;
        return;
      default:
        return;
    }
  }

  void check(const Completion& one) {
    const auto bytes = one.buffer.host_bytes();
    const std::uint64_t at = one.buffer.stream_offset();
    if (!bytes) return static_cast<void>(++wrong_);
    bytes_ += bytes->size();
    if (at == 0) return on_number(*one.flow, *bytes);
    // The user pointer is the number of the flow, and how long its bursts are.
    const std::uint64_t said = reinterpret_cast<std::uintptr_t>(one.flow->user());
    const std::uint64_t burst = said >> 20, in_burst = (at - kNumberBytes) % burst;
    half_way_ = half_way_ || in_burst >= burst / 2;
    const std::uint64_t begin = place(said & 0xfffff, (at - kNumberBytes) / burst) + in_burst;
    if (in_burst + bytes->size() > burst ||
        std::memcmp(bytes->data(), &pattern_[begin], bytes->size()) != 0)
      ++wrong_;
  }

  void on_number(Flow& flow, std::span<const std::byte> bytes) {
    std::uint64_t number = 0;
    if (bytes.size() != kNumberBytes) return static_cast<void>(++wrong_);
    std::memcpy(&number, bytes.data(), sizeof number);
    flow.set_user(reinterpret_cast<void*>(static_cast<std::uintptr_t>(number)));
    ++numbered_;
    if (numbered_ == kFirstLook) print_memory(numbered_, first_ = look());
    if (numbered_ != asked_.flows) return;
    const Use last = look();
    print_memory(numbered_, last);
    print_per_flow(first_, last, numbered_);
  }

  const Asked& asked_;
  std::vector<std::byte> pattern_;
  Use first_;
  std::size_t numbered_ = 0, finished_ = 0, closed_ = 0;
  std::size_t waited_ = 0;  // Buffers that had come while it took nothing
  std::uint64_t bytes_ = 0, wrong_ = 0, failed_ = 0;
  bool half_way_ = false, stalled_ = false;
};

// ---- send

Result<void> send(const Asked& asked) {
  LANDFALL_TRY(Context context, make_context(asked));
  const std::uint64_t table_bytes = asked.flows * kNumberBytes;
  LANDFALL_TRY(Region region,
               Region::allocate(context, {.source = "host",
                                          .size_bytes = (kPatternBytes + table_bytes + 4095) &
                                                        ~std::uint64_t{4095}}));
  LANDFALL_TRY(const std::span<std::byte> memory, region.memory().host_bytes());
  fill_pattern(memory.first(kPatternBytes));
  for (std::uint64_t i = 0; i < asked.flows; ++i) {
    const std::uint64_t number = i | asked.burst_bytes << 20;
    std::memcpy(&memory[kPatternBytes + i * kNumberBytes], &number, sizeof number);
  }
  LANDFALL_TRY(SendGroup group, SendGroup::open(context, {.transports = {"verbs"}}, region));

  std::vector<Sender> senders;
  std::array<Sent, 16> through;
  Use first;
  const auto began = std::chrono::steady_clock::now();
  for (std::size_t i = 0; i < asked.flows; ++i) {
    LANDFALL_TRY(Sender sender, group.connect({asked.host, asked.port}, 60s));
    LANDFALL_CHECK(sender.send(kPatternBytes + i * kNumberBytes, kNumberBytes));
    LANDFALL_CHECK(sender.wait(through, 60s));
    senders.push_back(std::move(sender));
    if (senders.size() == kFirstLook) print_memory(senders.size(), first = look());
  }
  const auto took = std::chrono::duration<double>(std::chrono::steady_clock::now() - began);
  std::printf("connected=%zu seconds=%.1f\n", senders.size(), took.count());
  const Use last = look();
  print_memory(senders.size(), last);
  print_per_flow(first, last, senders.size());

  for (std::uint64_t round = 0; round < asked.rounds; ++round) {
    const auto at = std::chrono::steady_clock::now();
    for (std::size_t i = 0; i < asked.bursting; ++i) {
      const std::size_t flow = i * asked.flows / asked.bursting;
      LANDFALL_CHECK(senders[flow].send(place(flow, round), asked.burst_bytes));
    }
    std::size_t under_way = asked.bursting;
    while (under_way != 0) {
      for (std::size_t i = 0; i < asked.bursting; ++i) {
        LANDFALL_TRY(const std::size_t count,
                     senders[i * asked.flows / asked.bursting].poll(through));
        under_way -= count;
      }
    }
    const auto burst = std::chrono::duration<double>(std::chrono::steady_clock::now() - at);
    std::printf("burst=%lu seconds=%.1f\n", round, burst.count());
  }
  for (Sender& sender : senders) LANDFALL_CHECK(sender.finish());
  for (Sender& sender : senders) LANDFALL_CHECK(sender.close(60s));
  return {};
}

std::uint64_t number_of(const char* text) {
  return std::strtoull(text, nullptr, 10);
}

int usage() {
  std::fprintf(stderr, "usage: see the top of many.cpp\n");
  return 64;
}

}  // namespace

int main(int argc, char** argv) {
  const std::string verb = argc > 1 ? argv[1] : "";
  const bool sends = verb == "send";
  const int fixed = sends ? 8 : 4;
  if ((verb != "recv" && !sends) || argc < fixed) return usage();
  std::setvbuf(stdout, nullptr, _IOLBF, 0);
  Asked asked;
  asked.host = argv[2];
  asked.flows = number_of(argv[sends ? 4 : 3]);
  if (sends) {
    asked.port = static_cast<std::uint16_t>(number_of(argv[3]));
    asked.bursting = number_of(argv[5]);
    asked.rounds = number_of(argv[6]);
    asked.burst_bytes = number_of(argv[7]);
    if (asked.burst_bytes > kBurstMost || asked.bursting > asked.flows) return usage();
  }
  for (int i = fixed; i + 1 < argc; i += 2) {
    const std::string name = argv[i], value = argv[i + 1];
    if (name == "--slot") asked.slot_bytes = number_of(argv[i + 1]);
    if (name == "--region") asked.region_bytes = number_of(argv[i + 1]);
    if (name == "--stall") asked.stall = std::chrono::milliseconds{number_of(argv[i + 1])};
    if (name == "--fault") {
      asked.fault = value.substr(0, value.find('#'));
      if (asked.fault != value) asked.fault_at = std::atol(&value[asked.fault.size() + 1]);
    }
  }
  const Result<void> done = sends ? send(asked) : Receiving{asked}.run();
  if (done) return 0;
  std::printf("%s: %s\n", verb.c_str(), done.error().describe().c_str());
  return 1;
}
