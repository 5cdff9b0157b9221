// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <cstdint>
#include <deque>
#include <memory>
#include <span>
#include <vector>

#include "landfall/abi/authoring.hpp"
#include "landfall/abi/backend.h"
#include "tcp/flow.hpp"
#include "tcp/options.hpp"
#include "tcp/slots.hpp"

namespace landfall::tcp {

/// How long a gathered tail may stand before it is looked at.
inline constexpr std::uint64_t kTickNs = 1'000'000;
// More flows cannot all be fast.
inline constexpr std::size_t kGatheringMax = 64;

/// What a queue is opened with, by its domain.
struct QueueSetup {
  const landfall_host* host;
  std::byte* region;  // as the CPU sees it
  Options options;
  std::uint32_t slot_bytes;
  landfall_queue_spec spec;
};

/// One Receiver's share of the transport: flows, their requests, slots and cells, and the records
/// that tell of them. An engine adds how bytes come in.
///
/// Threads: as abi/backend.h says: the polling thread; after stop() any, one at a time.
class Queue {
 public:
  virtual ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  /// No byte is written to the region or to a posted target from when this returns.
  virtual void stop() noexcept = 0;

  landfall_errc poll(std::span<landfall_record> out, std::uint32_t* ret_count);
  void give_back(std::span<const landfall_return> returns) noexcept;
  landfall_errc arm(std::uint32_t* ret_armed);
  virtual landfall_errc wait(int control_fd, std::uint64_t timeout_ns,
                             std::int32_t* ret_control) = 0;
  virtual int wait_fd() noexcept = 0;

  landfall_errc attach(int fd, const landfall_flow_spec& spec, Flow** ret_flow, landfall_why* why);
  landfall_errc detach(Flow& flow, std::int32_t* ret_fd, landfall_why* why);
  void close(Flow& flow, bool reset) noexcept;
  landfall_errc pause(Flow& flow, bool on);
  landfall_errc request(Flow& flow, const Request& request);

  /// Slots that hold bytes, or are carved: what pins memory.
  std::uint32_t slots_pinned() const noexcept {
    return pool_.slots() - pool_.free_slots() - slots_lent();
  }
  const SlotPool& pool() const noexcept { return pool_; }

 protected:
  explicit Queue(const QueueSetup& setup);

  // What an engine does.
  virtual landfall_errc start(Flow& flow, landfall_why* why) = 0;
  /// The flow may want bytes now where it did not before: resumed, asked for, unchoked.
  virtual void run(Flow& flow) noexcept = 0;
  /// The flow wants no more bytes: paused, choked, closing.
  virtual void halt(Flow& flow) noexcept = 0;
  /// Before detach: nothing of the flow is under way any more. busy: bytes came meanwhile.
  virtual landfall_errc settle(Flow& flow) = 0;
  /// A flow that is quiet is about to be destroyed.
  virtual void leave(Flow&) noexcept {}
  /// Takes what has come, while there is room().
  virtual landfall_errc receive() = 0;
  /// A flow waits for a slot, and none is free or lent: only a return lets it go on. Cells that are
  /// free in carved slots do not help it, so that this can be long before all bytes are held.
  virtual bool is_dry() const noexcept = 0;
  /// The engine's part of arm().
  virtual landfall_errc engine_arm(std::uint32_t* armed) = 0;
  virtual std::uint32_t slots_lent() const noexcept { return 0; }  // to the kernel, empty

  // What an engine tells.
  bool room() const noexcept { return backlog_.empty() && count_ < out_.size(); }
  std::uint32_t told() const noexcept { return count_; }
  /// `length` bytes at the start of `slot`, which is out. Streaming, or the first land().
  void received(Flow& flow, std::uint32_t slot, std::uint32_t length);
  /// `length` bytes at the end of the first post().
  void posted(Flow& flow, std::uint64_t length);
  void ended(Flow& flow);
  void failed(Flow& flow, int number);
  /// Sets how many bytes the kernel gathers before it wakes us, for what the flow asks now. False:
  /// the flow has failed.
  bool set_lowat(Flow& flow);
  /// Does any flow gather? Then the engine calls tick() every kTickNs.
  bool gathers() const noexcept { return !gathering_.empty(); }
  /// A stream that stood still since the last tick gathers no longer: what it has is told now.
  void tick();
  /// There is no timer to tick with.
  void stop_gathering();
  /// A closing flow may have become quiet.
  void finish_if_quiet(Flow& flow) noexcept;
  void unlist(Flow& flow) noexcept;
  int fault(const char* site) const noexcept { return authoring::fault(setup_.host, site); }

  Flow* newest() const noexcept { return newest_; }
  std::uint32_t flow_count() const noexcept { return flow_count_; }
  std::uint32_t choked() const noexcept { return choked_; }

  QueueSetup setup_;
  SlotPool pool_;
  FlowList runnable_{Flow::Listed::runnable};
  FlowList first_{Flow::Listed::first};      // starved, asked again, and again found no slot
  FlowList starved_{Flow::Listed::starved};  // had no slot to receive into

 private:
  landfall_record& emit(std::uint8_t kind);
  landfall_record& emit(std::uint8_t kind, Flow& flow);
  void count_bytes(Flow& flow, std::uint32_t length) {
    flow.window_bytes += length;
    if (flow.window_bytes >= flow.window_goal && !flow.gathering) end_window(flow);
  }
  void end_window(Flow& flow);
  void gather_no_more(Flow& flow) noexcept;
  void emit_data(Flow& flow, const SlotPool::Place& place, std::uint32_t length,
                 std::uint32_t reason);
  bool may_stay(std::uint32_t length) const noexcept;
  void answer_requests(Flow& flow);
  void emit_closed();
  void destroy(Flow& flow) noexcept;

  std::span<landfall_record> out_;
  std::uint32_t count_ = 0;
  std::deque<landfall_record> backlog_;  // what did not fit: a bundle, answers at the end
  FlowList done_{Flow::Listed::done};    // quiet: CLOSED is due
  Flow* newest_ = nullptr;
  std::uint32_t flow_count_ = 0;
  std::uint32_t choked_ = 0;
  std::vector<Flow*> gathering_;  // never more than it has room for
  std::uint64_t held_bytes_ = 0;  // in extents that are out
  bool told_dry_ = false;         // STARVED was told, and FED not yet
};

/// Bytes come by epoll(7) and recv(2). Errors: those of the calls.
landfall_errc open_recv_queue(const QueueSetup& setup, std::unique_ptr<Queue>* ret_queue,
                              landfall_why* why);
/// Bytes come by io_uring: multishot receives into provided buffers.
landfall_errc open_uring_queue(const QueueSetup& setup, std::unique_ptr<Queue>* ret_queue,
                               landfall_why* why);
/// Can this process use io_uring as open_uring_queue() does? Tries it. *ret_turns: a multishot
/// receive can be told after how many bytes it stands back. Errors: not_supported,
/// permission_denied, ... with the reason.
landfall_errc probe_uring(const landfall_host* host, bool* ret_turns, landfall_why* why);

}  // namespace landfall::tcp
