// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <pthread.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdint>
#include <limits>
#include <memory>
#include <mutex>
#include <optional>
#include <span>
#include <vector>

#include "landfall/base/limits.hpp"
#include "landfall/transport/receiver.hpp"
#include "memory/region_core.hpp"
#include "transport/completion_ring.hpp"
#include "transport/flow_impl.hpp"
#include "transport/return_stack.hpp"
#include "transport/slot.hpp"
#include "transport/watch.hpp"

namespace landfall::detail {

class GroupCore;
struct Service;

/// What a queue is opened with, by its Group.
struct QueueSetup {
  GroupCore* group;
  Service* service;  // the transport's part of it
  const landfall_transport_ops* ops;
  landfall_queue* queue;
  landfall_needs needs;
  std::uint32_t index;
  std::uint64_t slice_bytes;
  std::uint32_t buffers_max, flows_max;
  std::uint32_t pressure_percent, relief_percent;
  CopyContract contract;
  std::shared_ptr<RegionCore> region, spill;
};

/// The heart of a Receiver: turns a transport's records into Completions and gives extents back.
///
/// Threads: the first of poll, attach, connect, arm binds it to its thread; give(), hand_over() and
/// add_listener() are for any. Lives until its last extent is back, which may be long after its
/// Receiver.
class QueueCore {
 public:
  /// Takes the transport's queue only on success.
  static Result<std::unique_ptr<QueueCore>> make(const QueueSetup& setup);
  ~QueueCore();
  QueueCore(const QueueCore&) = delete;
  QueueCore& operator=(const QueueCore&) = delete;

  // queue_core.cpp
  /// `sleeps_next`: the caller sleeps if there is nothing, and is woken by the control epoll.
  Result<std::size_t> poll(std::span<Completion> out, bool sleeps_next = false) noexcept;
  Result<std::size_t> wait(std::span<Completion> out, std::chrono::nanoseconds timeout) noexcept;
  Result<bool> arm() noexcept;
  /// Made on first use: a transport that sleeps by itself need not be woken by a descriptor.
  int wait_fd() noexcept;

  // connections.cpp
  Result<Flow*> attach(Fd& fd, const FlowOptions& options);
  Result<Flow*> connect(const Address& to, const FlowOptions& options);
  Result<void> hand_over(Fd& fd, const FlowOptions& options);
  /// Accepted by another Receiver of the Group, whose queue it did not come by. Takes `fd`.
  void hand_over_accepted(Fd fd, const FlowOptions& options);
  Result<void> hand_over(landfall_flow* flow, const FlowOptions& options);
  Result<void> add_listener(Fd socket, const FlowOptions& options);
  /// Options for flows that the transport's own listener brings.
  void set_listen_options(const FlowOptions& options);

  // demand.cpp
  Result<void> land(FlowImpl& flow, std::uint64_t most_bytes);
  Result<void> post(FlowImpl& flow, const landfall_memory& into, std::uint64_t offset,
                    std::uint64_t length, std::uint64_t tag);

  // flows.cpp
  void pause(FlowImpl& flow, bool by_user) noexcept;
  void resume(FlowImpl& flow, bool by_user) noexcept;
  Result<Fd> detach(FlowImpl& flow);
  void close(FlowImpl& flow, bool reset) noexcept;

  /// A Buffer was dropped, on any thread.
  void give(Slot* slot) noexcept;
  /// The same, when the device has passed the fence.
  void give_after(Slot* slot, FenceCore& fence) noexcept;

  /// Stops delivery and takes back what has come back; answers how many extents are still out. May
  /// be called again. From now on only give(), stop() and abandon().
  std::uint32_t stop() noexcept;
  /// After stop(): closes the queue now, or with the last extent, and then tells the Group. `this`
  /// may be gone after it.
  void abandon() noexcept;
  /// After a stop() that answered 0.
  void close_backend() noexcept;
  landfall_queue* backend_queue() noexcept { return queue_; }

  bool in_its_process() const noexcept { return slots_.in_its_process(); }
  const Memory& memory(std::uint16_t id) const noexcept { return memories_[id]; }
  std::uint32_t buffers_out() const noexcept {
    return published_out_.load(std::memory_order_relaxed);
  }
  std::uint32_t flows() const noexcept { return published_flows_.load(std::memory_order_relaxed); }
  std::uint64_t held_bytes() const noexcept {
    return published_held_.load(std::memory_order_relaxed);
  }
  std::uint64_t slice_bytes() const noexcept { return setup_.slice_bytes; }
  Result<std::vector<Holder>> holders();  // flows.cpp
  Verdict verdict() const noexcept;
  GroupCore& group() noexcept { return *setup_.group; }
  const Service& service() const noexcept { return *setup_.service; }

 private:
  static constexpr std::uint64_t kForever = UINT64_MAX;
  enum class Came : std::uint8_t { by_itself, by_listener };  // the latter: its rule brings it
  static constexpr std::size_t kMemories = 16;  // region, spill, and what a transport may make

  explicit QueueCore(const QueueSetup& setup, SlotTable slots);

  // The polling thread's and process's right to call. ok: none.
  Errc enter() noexcept;
  Error wrong_caller(const char* op, Errc code) const noexcept;

  // queue_core.cpp: one poll
  Completion& emit(Completion::Kind kind, FlowImpl* flow);
  Completion& emit_later(Completion::Kind kind, FlowImpl* flow);
  void drain_pending();
  Result<void> take_records();
  void work_off_records();
  void on_record(const landfall_record& record);
  bool lies_in_memory(const landfall_record& record);
  std::uint32_t on_data_run(const landfall_record* records, std::uint32_t count);
  void on_data(FlowImpl& flow, const landfall_record& record);
  static SlotKind kind_of(const landfall_record& record) noexcept;
  static void fill_slot(Slot& slot, FlowImpl& flow, const landfall_record& record,
                        const SlotKind& kind) noexcept;
  void hold_charge(FlowImpl& flow, std::uint64_t charge, std::uint32_t extents) noexcept;
  void drop_charge(FlowImpl& flow, std::uint64_t charge, std::uint32_t extents) noexcept;
  static bool lies_within(const landfall_record& record, std::uint64_t memory_bytes) noexcept;
  static void forget_error(Completion& place) noexcept;
  bool takes_answer(FlowImpl& flow) noexcept;
  void on_closed(FlowImpl& flow);
  void on_posted(FlowImpl& flow, const landfall_record& record);
  void on_revoked(FlowImpl* flow, const landfall_record& record);
  void watch_pressure();
  Result<void> sleep(std::uint64_t timeout_ns);
  void publish() noexcept;

  // returns.cpp
  class Returning;
  void take_back(std::span<Completion> out) noexcept;
  [[gnu::noinline]] void give_from_elsewhere(Slot* slot) noexcept;
  /// What was dropped, on this thread and on others.
  void take_returns() noexcept;
  void reclaim(const ReturnLink* list) noexcept;
  void extent_back(Slot* slot) noexcept;
  void queue_return(Slot* slot) noexcept;
  void flush_returns() noexcept;
  void give_back_now(const landfall_record& record) noexcept;
  void finish() noexcept;

  // fences.cpp
  void give_passed(Slot* slot) noexcept;
  void take_passed() noexcept;
  bool arm_fences() noexcept;
  void wait_for_fences() noexcept;

  // flows.cpp
  Result<FlowImpl*> make_flow(const FlowOptions& options);
  FlowImpl* find_flow(std::uint64_t tag) noexcept;
  void fail(FlowImpl& flow, const Error& error);
  void check_contract(FlowImpl& flow, Placement placement);
  void account(FlowImpl& flow, std::uint64_t stream_offset, std::uint64_t bytes,
               Placement placement, ReasonCode reason);
  std::uint64_t share_of(const FlowImpl& flow) const noexcept;
  void watch_share(FlowImpl& flow) noexcept;
  void resume_shares() noexcept;
  void emit_closed(FlowImpl& flow);
  void emit_owed();
  void forget(FlowImpl& flow) noexcept;
  void told_closed(FlowImpl& flow) noexcept;
  void retire_flows() noexcept;

  // demand.cpp
  void hold(FlowImpl& flow, Slot* slot);
  void feed_hungry();
  void serve(FlowImpl& flow);
  void release_backlog(FlowImpl& flow) noexcept;
  bool emit_part(FlowImpl& flow, Demand& demand);
  void gather(FlowImpl& flow, Demand& demand);
  void consume(FlowImpl& flow, std::uint32_t bytes) noexcept;

  // connections.cpp
  void control(int timeout_ms);
  void on_watch(Watch& watch);
  void accept_from(Listener& listener);
  void listeners_pause(bool on);
  void finish_connect(FlowImpl& flow);
  void try_connect(FlowImpl& flow);
  void take_inbox();
  Result<FlowImpl*> adopt(int fd, const FlowOptions& options, std::uint64_t queued, Came came);
  Result<void> steer(FlowImpl& flow, int fd, std::uint64_t& ret_queued);
  Result<void> steer_connection(Connecting& connecting, const SocketAddress& to);
  Result<void> bind_socket(FlowImpl& flow, int fd, std::uint64_t queued);
  Result<FlowImpl*> start(landfall_flow* backend, const FlowOptions& options);
  void arrive(Result<FlowImpl*> flow, std::uint64_t tag);
  landfall_flow_spec spec_of(const FlowImpl& flow) const noexcept;
  void on_opened(const landfall_record& record);
  Result<void> watch_fd(int fd, std::uint32_t events, Watch& watch);

  QueueSetup setup_;
  const landfall_transport_ops& ops_;
  landfall_queue* const queue_;
  ContextCore& context_;

  // The data path, hot.
  SlotTable slots_;
  ReturnStack returns_;
  // Buffers that wait for a device: a stack that any thread pushes on, and what was taken from it.
  static inline Slot* const kNobodyPolls = reinterpret_cast<Slot*>(1);  // after abandon()
  std::atomic<Slot*> fenced_new_{nullptr};
  Slot* fenced_ = nullptr;
  std::vector<landfall_record> records_;
  std::unique_ptr<landfall_return[]> give_back_;  // kReturnBatch of them
  std::uint32_t give_back_count_ = 0;
  std::span<Completion> out_span_;  // of the poll under way
  std::size_t out_count_ = 0;
  CompletionRing pending_;         // did not fit, or made outside poll
  std::uint32_t record_next_ = 0;  // of records_: what is still to be dealt with
  std::uint32_t record_count_ = 0;
  std::uint64_t held_ = 0;  // charge of all extents
  std::uint32_t out_ = 0;   // extents the transport has not got back
  std::int64_t user_out_ =
      0;  // Buffers that are out: more than out_ where extents were cut in parts
  std::size_t last_count_ = 0;  // of the previous poll: Buffers to drop first
  std::uint32_t polls_ = 0;
  std::optional<Error> poll_error_;  // the transport's, told once what came before it is
  std::uint64_t told_held_ = 0;      // what the Group knows of held_
  Verdict batch_{};                  // of the poll under way
  bool armed_ = false;
  bool transport_starves_ = false;  // LANDFALL_STARVED was the last of it and FED
  bool pressure_ = false;
  bool buffers_pressure_ = false;

  // Flows.
  struct FlowEntry {
    std::unique_ptr<FlowImpl> flow;
    std::uint32_t generation = 0;
  };
  std::vector<FlowEntry> flows_;
  std::vector<std::uint32_t> free_flows_;
  std::vector<FlowImpl*> share_paused_;
  std::vector<FlowImpl*> hungry_;  // a land() found no free slot: served after the next returns
  FlowImpl* owed_ = nullptr;       // closed outside poll: `closed` is still to be told
  FlowImpl* retiring_ = nullptr;   // `closed` was told: they die at the next poll
  std::uint64_t next_flow_id_ = 1;
  std::uint32_t live_flows_ = 0;
  std::uint32_t closing_flows_ = 0;

  // Control.
  pthread_t owner_{};
  bool bound_ = false;
  bool stopped_ = false;
  Fd epoll_;  // wake_fd_, listeners, connects under way
  Fd outer_;  // epoll_ and the transport's descriptor
  Fd wake_fd_, reserve_fd_;
  Watch wake_watch_{Watch::Kind::wake};
  Watch transport_watch_{Watch::Kind::transport};
  Watch interface_watch_{Watch::Kind::interface};
  bool watches_interface_ = false;
  bool listeners_paused_ = false;
  std::mutex mutex_;  // guards listeners_, inbox_, listen_options_
  std::vector<std::unique_ptr<Listener>> listeners_;
  struct Arrival {
    Fd fd;
    landfall_flow* backend;
    FlowOptions options;
    Came came = Came::by_itself;
  };
  std::vector<Arrival> inbox_;
  FlowOptions listen_options_;
  std::atomic<bool> inbox_waits_{false};
  std::uint32_t connecting_ = 0;
  std::atomic<std::uint32_t> listener_count_{0};

  std::array<Memory, kMemories> memories_;

  // What other threads may ask, as of the last poll.
  std::atomic<std::uint32_t> published_out_{0}, published_flows_{0};
  std::atomic<std::uint64_t> published_held_{0};
  std::array<std::atomic<std::uint64_t>, kPlacements> published_bytes_{};
  std::array<std::atomic<std::uint32_t>, 4> published_reasons_{};
  std::array<std::atomic<std::uint64_t>, 4> published_reason_bytes_{};
};

// ---- what each completion passes through

inline void QueueCore::forget_error(Completion& place) noexcept {
  if (place.error.code() != Errc::ok) place.error = Error{Errc::ok, ""};
}

inline Completion& QueueCore::emit(Completion::Kind kind, FlowImpl* flow) {
  if (!pending_.empty() || out_count_ == out_span_.size()) return emit_later(kind, flow);
  Completion& place = out_span_[out_count_++];
  place.kind = kind;
  place.reason = ReasonCode::none;
  place.flow = flow;
  place.buffer.reset();
  place.tag = 0;
  place.bytes = 0;
  forget_error(place);
  if (kind == Completion::Kind::closed) told_closed(*flow);
  return place;
}

inline SlotKind QueueCore::kind_of(const landfall_record& record) noexcept {
  SlotKind kind{};
  kind.memory = static_cast<std::uint8_t>(record.memory);
  kind.placement = record.placement & 3u;
  kind.flags = (record.flags & LANDFALL_RECORD_MESSAGE_END) != 0 ? kSlotEndsMessage : 0;
  kind.reason = record.code <= 0xffff ? static_cast<std::uint16_t>(record.code) : 0;
  return kind;
}

inline void QueueCore::fill_slot(Slot& slot, FlowImpl& flow, const landfall_record& record,
                                 const SlotKind& kind) noexcept {
  static_cast<SlotKind&>(slot) = kind;
  slot.flow = &flow;
  slot.offset = record.offset;
  slot.token = record.token;
  slot.stream_offset = record.stream_offset;
  slot.length = record.length;
  slot.charge = record.charge_bytes;
}

inline void QueueCore::hold_charge(FlowImpl& flow, std::uint64_t charge,
                                   std::uint32_t extents) noexcept {
  flow.held += charge;
  held_ += charge;
  flow.out += extents;
  out_ += extents;
}

inline void QueueCore::drop_charge(FlowImpl& flow, std::uint64_t charge,
                                   std::uint32_t extents) noexcept {
  flow.held -= charge;
  held_ -= charge;
  flow.out -= extents;
  out_ -= extents;
  if (flow.closed_early && flow.out == 0) flow.next = std::exchange(owed_, &flow);
}

/// The transport gets this extent back with the next flush; its slot is free now.
inline void QueueCore::queue_return(Slot* slot) noexcept {
  if (slot->flow->closed_early) return slots_.put(slot);
  landfall_return& back = give_back_[give_back_count_];
  back.flow = slot->flow->backend;
  back.token = slot->token;
  back.offset = slot->offset;
  back.length = slot->length;
  back.memory = slot->memory;
  back.reserved = 0;
  slots_.put(slot);
  if (++give_back_count_ == kReturnBatch) flush_returns();
}

inline bool QueueCore::lies_within(const landfall_record& record,
                                   std::uint64_t memory_bytes) noexcept {
  return record.length != 0 && record.offset <= memory_bytes &&
         record.length <= memory_bytes - record.offset;
}

inline FlowImpl* QueueCore::find_flow(std::uint64_t tag) noexcept {
  const std::uint64_t index = (tag & 0xffffffffu) - 1;
  if (index >= flows_.size()) return nullptr;
  const FlowEntry& entry = flows_[index];
  return entry.generation == tag >> 32 ? entry.flow.get() : nullptr;
}

inline void QueueCore::account(FlowImpl& flow, std::uint64_t stream_offset, std::uint64_t bytes,
                               Placement placement, ReasonCode reason) {
  if (reason == ReasonCode::none) {
    flow.verdict.bytes[static_cast<std::size_t>(placement)] += bytes;
    batch_.bytes[static_cast<std::size_t>(placement)] += bytes;
  } else {
    flow.verdict.add(placement, bytes, reason);
    batch_.add(placement, bytes, reason);
  }
  if (stream_offset < flow.mark) {
    flow.before_mark.add(placement, std::min(bytes, flow.mark - stream_offset), reason);
  }
}

/// The charge that a flow may hold. Unless it was set: eight times what is free, so that one flow
/// can have nearly everything, n greedy ones get equal parts, and there is always room for a
/// newcomer (the dynamic threshold of switch buffers: Choudhury and Hahne, 1998). A flow that is
/// alone may have all.
inline std::uint64_t QueueCore::share_of(const FlowImpl& flow) const noexcept {
  if (flow.share_bytes != 0) return flow.share_bytes;
  if (live_flows_ <= 1) return std::numeric_limits<std::uint64_t>::max();
  return held_ >= setup_.slice_bytes ? 0 : 8 * (setup_.slice_bytes - held_);
}

inline void QueueCore::watch_share(FlowImpl& flow) noexcept {
  if (flow.held > share_of(flow) && !flow.paused_by_share) pause(flow, false);
}

}  // namespace landfall::detail
