// SPDX-License-Identifier: Apache-2.0
// What receivers have left behind on an interface. usage: direct_left IFACE
// Prints "bindings=N rules=N inflight=N": queues with device memory, n-tuple rules, and pages of
// such memory that have not come back.
#include <net/if.h>

#include <cstdio>

#include "nic/nic.hpp"

int main(int argc, char** argv) {
  using namespace landfall;
  if (argc != 2) return 2;
  const std::uint32_t index = ::if_nametoindex(argv[1]);
  Result<std::unique_ptr<nic::Nic>> nic = nic::open_kernel_nic();
  if (!nic) return std::fprintf(stderr, "%s\n", nic.error().describe().c_str()), 1;
  const Result<nic::NicState> state = (*nic)->read(index);
  const Result<std::vector<nic::Rule>> rules = (*nic)->rules(index);
  if (!state || !rules) return std::fprintf(stderr, "cannot be read\n"), 1;
  unsigned long long bindings = 0, inflight = 0;
  for (const nic::QueueState& queue : state->queues)
    bindings += queue.dmabuf_id || queue.io_uring ? 1 : 0;
  for (const nic::PagePool& pool : state->pools)
    inflight += pool.dmabuf_id || pool.io_uring ? pool.inflight : 0;
  std::printf("bindings=%llu rules=%zu inflight=%llu\n", bindings, rules->size(), inflight);
  return 0;
}
