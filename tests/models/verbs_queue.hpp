// SPDX-License-Identifier: Apache-2.0
// The inside of the verbs model: its domain, queue ("CQ" and "SRQ") and flow ("QP").
#pragma once
#include <cstddef>
#include <deque>
#include <memory>
#include <mutex>
#include <span>
#include <utility>
#include <vector>

#include "landfall/abi/transport_authoring.hpp"
#include "models/verbs_wire.hpp"

namespace landfall::test::verbs {

struct Options {
  std::uint64_t slot = 8192, credits = 8;
};

struct Watched {  // what an epoll event points to
  enum class Kind { flow, listener, wake } kind;
};

struct Flow : Watched {
  Flow() : Watched{Kind::flow} {}
  landfall_flow_spec spec{};
  int fd = -1;
  bool connecting = false, started = false, paused = false, ended = false, closing = false;
  std::uint32_t credits = 0;  // slots that the sender may still fill
  std::uint64_t out = 0;      // extents
  VerbsFrame frame{};         // under way
  std::size_t frame_got = 0;  // bytes of the header
  std::uint32_t payload_got = 0;
  std::uint32_t slot = 0;  // with payload under way
};

struct Queue;
struct Listener : Watched {
  explicit Listener(Queue& to) : Watched{Kind::listener}, reports_to{to} {}
  Queue& reports_to;
  int fd = -1;
};

struct Domain {
  Options options;
  const landfall_host* host = nullptr;
  std::span<std::byte> bytes;  // of the region
  std::mutex mutex;            // guards what follows
  std::vector<std::unique_ptr<Flow>> flows;
  std::vector<std::unique_ptr<Listener>> listeners;

  ~Domain();
  Flow& add_flow(int fd);
};

struct Queue {
  Queue(Domain& of, const landfall_queue_spec& with);
  ~Queue();
  landfall_errc open(landfall_why* why);

  std::uint32_t poll(std::span<landfall_record> records);
  void give_back(const landfall_return& back);
  std::uint32_t arm();
  landfall_errc watch(int fd, std::uint32_t events, Watched& watched);
  void start(Flow& flow, const landfall_flow_spec& with);
  void close(Flow& flow, bool reset);
  /// Posts free slots to the senders that have none, in turn.
  void send_credits();
  /// As if the hardware had written a completion: wakes an armed sleeper.
  void kick() const;

  Domain& domain;
  const landfall_queue_spec spec;
  std::deque<landfall_record> pending;
  int channel_fd = -1;  // the wait_fd: an epoll of cq_fd, one event per arm()

 private:
  std::uint32_t take_pending(std::span<landfall_record> records);
  void accept_all(Listener& listener);
  void finish_connect(Flow& flow);
  bool receive_one(Flow& flow, landfall_record& record);
  bool read_frame(Flow& flow);
  void end(Flow& flow, std::uint8_t kind, int number);
  void finish_closing(Flow& flow);

  int cq_fd = -1, wake_fd = -1;
  std::vector<std::uint32_t> free_slots_;
  std::uint64_t promised_ = 0;  // credits at senders: so many of the free slots are theirs
  std::deque<Flow*> live_;      // started, not ended; front is next to get credits
};

}  // namespace landfall::test::verbs
