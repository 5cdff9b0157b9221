// SPDX-License-Identifier: Apache-2.0
// The inside of the devmem model: its domain ("binding"), queue and flow.
#pragma once
#include <atomic>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <vector>

#include "landfall/abi/transport_authoring.hpp"
#include "landfall/base/fd.hpp"
#include "models/devmem_kernel.hpp"

namespace landfall::test::devmem {

struct Options {
  std::uint64_t page = 4096, linear_every = 64, unsteered = 0, drop = 0, dmabuf = 0, grant = 0;
};

struct Queue;
struct Domain {
  Options options;
  const landfall_host* host = nullptr;
  std::span<std::byte> mapping;  // of the dma-buf
  std::unique_ptr<DevmemPool> pool;
  Fd lifeline;  // of the grant; it hangs up: revoked
  std::atomic<bool> revoked{false};
  std::mutex mutex;  // guards queues
  std::vector<Queue*> queues;

  ~Domain();
};

struct Flow {
  landfall_flow_spec spec{};
  std::unique_ptr<DevmemSocket> socket;  // none: CLOSED or detached
  std::uint64_t payloads = 0, spilled = 0;
  bool readable = true, queued = false, paused = false, ended = false, closing = false;

  bool extents_out() const { return spilled != 0 || (socket && socket->tokens_out() != 0); }
};

struct Queue {
  Queue(Domain& of, const landfall_queue_spec& with);
  ~Queue();

  void collect();
  bool can_receive(const Flow& flow);
  bool comes_by_spill(const Flow& flow) const;
  std::uint32_t receive(Flow& flow, std::span<landfall_record> records);
  ssize_t receive_spilled(Flow& flow, landfall_record& record);
  void stop_watching(Flow& flow);
  void finish_closing(Flow& flow);
  void fail_or_end(Flow& flow, ssize_t got, int number);
  bool take_back(const landfall_return& back);

  Domain& domain;
  const landfall_queue_spec spec;
  landfall_memory spill{};
  int epoll_fd = -1, event_fd = -1;  // the latter: pages came back elsewhere, or revoked
  std::vector<std::uint64_t> spill_free;
  std::vector<Flow*> spill_owner;
  std::vector<std::unique_ptr<Flow>> flows;  // kept to the end, so that a late return is noticed
  std::deque<Flow*> ready;
  std::deque<landfall_record> pending;
  std::uint64_t out = 0;
  bool told_revoked = false;
};

}  // namespace landfall::test::devmem
