// SPDX-License-Identifier: Apache-2.0
// What receivers have left behind on an interface. usage: direct_left IFACE
// Prints "bindings=N rules=N inflight=N": queues with device memory, n-tuple rules, and pages of
// such memory that have not come back; within five seconds, as soon as it is nothing. Page pools
// look once a second whether their last pages are back.
#include <net/if.h>

#include <chrono>
#include <cstdio>
#include <thread>

#include "lab/nic/free_deferred.hpp"
#include "nic/nic.hpp"

namespace {

using namespace landfall;

struct Left {
  unsigned long long bindings = 0, inflight = 0;
  std::size_t rules = 0;
  bool nothing() const { return bindings == 0 && inflight == 0 && rules == 0; }
};

Result<Left> look(nic::Nic& nic, std::uint32_t index) {
  LANDFALL_TRY(const nic::NicState state, nic.read(index));
  LANDFALL_TRY(const std::vector<nic::Rule> rules, nic.rules(index));
  Left left;
  left.rules = rules.size();
  for (const nic::QueueState& queue : state.queues)
    left.bindings += queue.dmabuf_id || queue.io_uring ? 1 : 0;
  for (const nic::PagePool& pool : state.pools)
    left.inflight += pool.dmabuf_id || pool.io_uring ? pool.inflight : 0;
  return left;
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 2) return 2;
  Result<std::unique_ptr<nic::Nic>> nic = nic::open_kernel_nic();
  if (!nic) return std::fprintf(stderr, "%s\n", nic.error().describe().c_str()), 1;
  const std::uint32_t index = ::if_nametoindex(argv[1]);
  const auto end = std::chrono::steady_clock::now() + std::chrono::seconds{5};
  for (;;) {
    lab::free_deferred();
    const Result<Left> left = look(**nic, index);
    if (!left) return std::fprintf(stderr, "%s\n", left.error().describe().c_str()), 1;
    if (left->nothing() || std::chrono::steady_clock::now() > end) {
      std::printf("bindings=%llu rules=%zu inflight=%llu\n", left->bindings, left->rules,
                  left->inflight);
      return 0;
    }
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
  }
}
