// SPDX-License-Identifier: Apache-2.0
// What `doctor` looks at, apart from how it is found out and how it is shown.
#pragma once
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "landfall/base/error.hpp"
#include "rdma_devices.hpp"

namespace landfall::cli {

enum class Status : std::uint8_t { pass, warn, fail };

/// One prerequisite. `fix` is the one command that mends it, "" where it passes.
struct Check {
  std::string name;
  Status status = Status::pass;
  std::string finding;
  std::string fix;
  ReasonCode reason = ReasonCode::none;
};

struct HugepagePool {
  std::uint64_t page_bytes = 0, total = 0, free = 0;
};

/// What this host is like.
struct HostFacts {
  std::string kernel_release;
  std::optional<int> io_uring_disabled;  // the sysctl; nullopt: the kernel has none
  int io_uring_errno = 0;                // of a trial; 0: it works
  std::uint64_t memlock_bytes = 0;       // soft limits; ~0: unlimited
  std::uint64_t nofile = 0, nofile_hard = 0;
  std::vector<HugepagePool> hugepages;
  bool udmabuf_device = false;
  std::optional<std::uint64_t> udmabuf_limit_mb;
  std::vector<std::string> dma_heaps;
  std::optional<std::uint64_t> tcp_rmem_max;
  std::optional<std::uint64_t> max_user_namespaces;
  int user_namespace_errno = 0;  // of a trial; 0: it works
  std::vector<int> numa_nodes;
  std::vector<RdmaDevice> rdma;
};

/// Reads below `root` ("" in life, a made-up tree in tests) and tries io_uring and user namespaces.
HostFacts gather_facts(const std::string& root);

/// One Check per prerequisite, always the same ones in the same order.
std::vector<Check> check_host(const HostFacts& facts);

}  // namespace landfall::cli
