// SPDX-License-Identifier: Apache-2.0
#pragma once
#include <sys/types.h>

#include <cerrno>
#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <span>
#include <vector>

#include "shared/gathering.hpp"
#include "shared/ordinary.hpp"
#include "shared/spill.hpp"
#include "shared/windows.hpp"
#include "zcrx/domain.hpp"
#include "zcrx/flow.hpp"

namespace landfall::zcrx {

using transport::Cause;

/// An extent in an area, as a token: pages that lie one behind another, or a piece of one; and the
/// queue whose area it is.
struct Run {
  static constexpr unsigned kQueueShift = uapi::kAreaShift + 5;
  static constexpr std::uint32_t kPagesMost = 16;

  std::uint32_t queue;
  std::uint64_t at;
  std::uint32_t pages;
  std::uint64_t packed() const noexcept {
    return std::uint64_t{queue} << kQueueShift | std::uint64_t{pages} << uapi::kAreaShift | at;
  }
  static Run of(std::uint64_t packed) noexcept {
    return {static_cast<std::uint32_t>(packed >> kQueueShift), packed & uapi::kOffsetMask,
            static_cast<std::uint32_t>(packed >> uapi::kAreaShift & 31)};
  }
};

/// One Receiver's share of the transport: a ring of its own, registered with one receive queue of
/// the interface, and the flows that arrive there.
///
/// Threads: as abi/backend.h says: the polling thread, which the ring belongs to from its first
/// call on; after stop() any, one at a time.
class Queue {
 public:
  explicit Queue(Domain& domain) noexcept : domain_{domain} {}
  ~Queue();
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  // queue.cpp
  landfall_errc open(const landfall_queue_spec& spec, landfall_why* why);
  void stop() noexcept;
  void give_back(std::span<const landfall_return> returns) noexcept;
  landfall_errc attach(int fd, const landfall_flow_spec& spec, Flow** ret_flow, landfall_why* why);
  landfall_errc detach(Flow* flow, std::int32_t* ret_fd, landfall_why* why);
  void close(Flow* flow, bool reset) noexcept;
  void pause(Flow* flow, bool on) noexcept;

  // receive.cpp
  std::uint32_t poll(std::span<landfall_record> out);

  // wait.cpp
  std::uint32_t arm();
  landfall_errc wait(int control_fd, std::uint64_t timeout_ns, std::int32_t* ret_control);
  std::int32_t wait_fd() noexcept;

 private:
  static constexpr unsigned kWorkMost = 256;  // see enter()
  // So often it is looked for packet heads, and asked by which queue a flow comes.
  static constexpr std::uint64_t kExtentsPerLook = 512;
  // Then the application has its turn: to drop, to pause, or to look at another flow.
  static constexpr std::uint64_t kPollBytesMost = 1u << 20;

  // receive.cpp
  bool room() const noexcept {
    return backlog_.empty() && count_ < out_.size() && extents_out_ < extents_max_ &&
           poll_bytes_ < kPollBytesMost;
  }
  void emit(const landfall_record& record);
  std::optional<Completion> next_completion() noexcept;
  void take_completions();
  void take_run() noexcept;
  void on_completion(const Completion& completion);
  void tell(Flow& flow, const Completion& completion);
  void tell_held(Flow& flow);
  void on_bytes(Flow& flow, const Completion& completion);
  bool prolong(const Flow& flow, std::uint64_t at, std::uint32_t length, Cause cause) noexcept;
  void on_end(Flow& flow, std::int32_t result);
  bool look_elsewhere(Flow& flow);
  void fail(Flow& flow, int number, std::uint32_t code);
  void work_off_runnable();
  void tell_of_memory();
  void revoke();

  // placement.cpp
  /// Does the kernel copy into the area, and count only a part of it?
  bool copies_silently() const noexcept {
    return !is_dmabuf_ && interface_->counts_copies() && !domain_.options().no_device;
  }
  Cause placement_of(Flow& flow, const Completion& completion);
  bool comes_by_our_queues(Flow& flow) noexcept;
  void look_for_heads(const Flow& flow) noexcept;
  void look_before_entry() noexcept;
  void drain(Flow& flow);
  Cause cause_of(const Flow& flow);

  // wait.cpp
  int sleep_and_look(int control_fd, std::uint32_t us) noexcept;

  // queue.cpp
  landfall_errc enable();
  bool is_due() noexcept;
  void prepare();
  /// Does the work that waits in the kernel.
  landfall_errc enter();
  /// Into the kernel: `call` answers as Ring's do.
  template <class Call>
  landfall_errc enter(Call&& call);
  bool request_bytes(Flow& flow) noexcept;
  bool import(std::uint32_t index);
  bool request_cancel(Flow& flow) noexcept;
  void run(Flow& flow) noexcept;
  void give_back_untold(const Flow& flow, const Completion& completion);
  void refill() noexcept;
  void finish_if_quiet(Flow& flow) noexcept;
  void tell_closed();
  void destroy(Flow& flow) noexcept;
  landfall_errc settle(Flow& flow);
  int fault(const char* site) const noexcept { return authoring::fault(domain_.host(), site); }

  Domain& domain_;
  std::uint32_t extents_max_ = 0;
  std::uint32_t index_ = 0;
  std::uint64_t slice_bytes_ = 0;
  bool is_dmabuf_ = false;
  uring::Ring ring_;
  /// A queue that this ring receives from: its own, and others of the Group where a flow came by
  /// one of them.
  struct Source {
    std::shared_ptr<InterfaceQueue> queue;
    std::uint32_t id = 0;  // in our ring
  };
  std::vector<Source> sources_;                // by index
  std::shared_ptr<InterfaceQueue> interface_;  // our own
  transport::Windows windows_;
  std::optional<transport::Spill> spill_;

  std::span<landfall_record> out_;  // of the poll under way
  std::uint32_t count_ = 0;
  std::uint64_t poll_bytes_ = 0;
  std::deque<landfall_record> backlog_;  // what did not fit, or came outside of poll
  std::deque<Completion> stash_;         // taken from the ring before their turn
  transport::DirectFlows<Flow> flows_;
  std::uint32_t extents_out_ = 0;
  std::uint64_t pages_out_ = 0;
  std::vector<std::uint64_t> sorted_;  // tokens on their way back; has room for all of a call
  // The extent that was told last, while pages of its flow may be added: where the next one would
  // lie.
  struct {
    Flow* flow = nullptr;
    std::uint64_t end = 0;
    std::uint32_t room = 0;
  } run_;
  std::uint32_t applied_share_ = 0;
  // Of the completions that wait in the ring: so many are sure, and then so many are not.
  unsigned sure_first_ = 0, unsure_next_ = 0;
  std::uint64_t copies_seen_ = 0;  // that the kernel has counted
  std::uint64_t extents_told_ = 0;
  std::uint64_t look_at_ = 0;  // when so many extents were told, heads are looked for again
  Flow* last_flow_ = nullptr;  // that brought bytes
  std::uint32_t look_seed_ = 1;
  std::uint32_t clean_looks_ = 0;  // that found nothing, one after another
  std::uint64_t heads_until_ = 0;  // heads were found: nothing is sure until so many were told
  transport::Gathering gathering_{{.least_bytes_per_second = 128u << 20, .most_us = 2000}};
  bool pool_dry_ = false;  // the NIC found no page
  bool told_starved_ = false;
  bool more_waits_ = false;  // the kernel stopped before it had done all that waits
  bool slept_ = false;       // in wait(), and has not polled in vain since
  bool revoked_ = false;
  bool stopped_ = false;
  bool enabled_ = false;
  bool control_armed_ = false;
  bool lifeline_armed_ = false;
};

/// What the call brought is sure unless the kernel counted a copy meanwhile: it copies nowhere but
/// here (IORING_SETUP_DEFER_TASKRUN).
template <class Call>
landfall_errc Queue::enter(Call&& call) {
  const unsigned before = ring_.completions();
  const int code = call();
  const unsigned came = ring_.completions() - before;
  if (const std::uint64_t copies = interface_->copies(); copies != copies_seen_) {
    copies_seen_ = copies;
    if (unsure_next_ == 0) sure_first_ = before;
    unsure_next_ = before + came - sure_first_;
  }
  more_waits_ = ring_.kernel_wants_entry();
  if (code >= 0 || code == -EINTR || code == -EAGAIN || code == -EBUSY || code == -ETIME)
    return LANDFALL_ERRC_ok;
  return authoring::errc_of(-code);
}

}  // namespace landfall::zcrx
