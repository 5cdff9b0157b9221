// SPDX-License-Identifier: Apache-2.0
#include "tcp/uring_queue.hpp"

// The engine on io_uring: one multishot receive per flow into a short ring of provided slots,
// newest first, so that bytes land where the cache is warm; post() is one receive straight into its
// target.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>

#include "landfall/base/limits.hpp"

namespace landfall::tcp {
namespace {

constexpr std::uint32_t kEntries = 256;
constexpr std::uint32_t kCompletions = 4096;
// The ring holds about as many bytes of extents as stay in a core's cache: the fewer bytes an
// extent has, the longer the ring, so that many small flows do not run dry at every turn.
constexpr std::uint32_t kRingBytes = 1u << 20;
constexpr std::uint32_t kRingSlots = 16;
constexpr std::uint32_t kRingSlotsMax = 256;
// What one receive asks for. Without it the kernel asks for what was there when the last one ended;
// with it a receive goes on while bytes come, and the kernel takes them in on our processor instead
// of the sender's and acknowledges less often. Loopback, 1 MiB of receive buffer: 9.3 GB/s without,
// 9.9 with 512 KiB, 10.3 with 1 MiB. Where flows are many, windows that the kernel tunes after what
// is read at once grow beyond the cache (tcp_rcv_space_adjust, net/ipv4/tcp_input.c).
constexpr std::uint32_t kTurnBytes = 1u << 20;
constexpr std::uint32_t kManyFlows = 256;
constexpr std::uint32_t kTurnBytesOfMany = 64u << 10;
__kernel_timespec kTickTime{.tv_sec = 0, .tv_nsec = kTickNs};

}  // namespace

landfall_errc UringQueue::open(landfall_why* why) {
  const std::uint32_t slots = pool_.slots();
  std::uint32_t asked = setup_.options.ring_slots;
  if (asked == 0) asked = setup_.spec.ring_slots;
  ring_fixed_ = asked != 0;
  // Half of the slots at most; and few enough that single bytes cannot run far beyond their excess.
  ring_max_ = std::min({slots / 2, ring_fixed_ ? asked : kRingSlotsMax,
                        std::max(pool_.slot_bytes() / 128, kRingSlots)});
  ring_min_ = std::min(ring_max_, ring_fixed_ ? asked : kRingSlots);
  extent_sum_ = 16 * pool_.slot_bytes();
  const std::uint32_t buffers = std::bit_ceil(ring_max_);
  if (const auto code = ring_.open(setup_.host, kEntries, kCompletions, buffers, why);
      code != LANDFALL_ERRC_ok) {
    return code;
  }
  lent_slot_.resize(buffers);
  bundles_ = setup_.options.bundles && ring_.has_bundles();
  return LANDFALL_ERRC_ok;
}

landfall_errc UringQueue::enable() {
  if (enabled_) return LANDFALL_ERRC_ok;
  if (const int code = ring_.enable(); code < 0) return authoring::errc_of(-code);
  enabled_ = true;
  issuer_ = ::gettid();
  return LANDFALL_ERRC_ok;
}

// ---- requests
// ------------------------------------------------------------------------------------

landfall_errc UringQueue::start(Flow& flow, landfall_why* why) {
  // A receive on a non-blocking socket ends with EAGAIN where it should wait (REQ_F_NOWAIT,
  // io_uring/rw.c and io_uring.c, Linux 6.1). detach() puts the flag back.
  if ((flow.file_flags & O_NONBLOCK) != 0) {
    int number = fault("fcntl");
    if (number == 0 && ::fcntl(flow.socket.get(), F_SETFL, flow.file_flags & ~O_NONBLOCK) != 0)
      number = errno;
    if (number != 0) return authoring::refuse_os(why, "fcntl", LANDFALL_REASON_none, number);
  }
  if (recent_.capacity() <= flow_count()) recent_.reserve(2 * recent_.capacity() + 64);
  run(flow);
  return LANDFALL_ERRC_ok;
}

void UringQueue::run(Flow& flow) noexcept {
  if (flow.wants_bytes() && !flow.in_flight && flow.listed == Flow::Listed::no)
    runnable_.push(flow);
}

void UringQueue::halt(Flow& flow) noexcept {
  if (flow.listed != Flow::Listed::done) unlist(flow);
  if (flow.in_flight && !flow.cancelling) request_cancel(flow);
}

/// The slots that came back last go into the ring first.
void UringQueue::provide() noexcept {
  const std::uint32_t extent = std::max(extent_sum_ / 16, 1u);
  const std::uint32_t want = std::clamp(kRingBytes / extent, ring_min_, ring_max_);
  while (lent_ < want && pool_.free_slots() != 0) {
    const std::uint32_t slot = pool_.take();
    const std::uint16_t id =
        ring_.add_buffer(setup_.region + pool_.offset_of(slot), pool_.slot_bytes());
    lent_slot_[id] = slot;
    ++lent_;
  }
  ring_.publish_buffers();
}

/// After how many bytes a stream that is asked for now stands back; 0: no limit.
std::uint32_t UringQueue::turn_bytes() const noexcept {
  const std::uint32_t ours = flow_count() >= kManyFlows ? kTurnBytesOfMany : kTurnBytes;
  return setup_.options.turn_bytes.value_or(ours);
}

/// False: there is no place for a request now.
bool UringQueue::request_bytes(Flow& flow) {
  if (flow.demand && !set_lowat(flow)) return true;
  io_uring_sqe* sqe = ring_.request();
  if (sqe == nullptr) return false;
  const int fd = flow.socket.get();
  std::uint64_t kind = kReceive;
  if (!flow.demand) {
    io_uring_prep_recv_multishot(sqe, fd, nullptr, turn_bytes(), 0);
    if (bundles_) sqe->ioprio |= IORING_RECVSEND_BUNDLE;
    sqe->flags |= IOSQE_BUFFER_SELECT;
  } else {
    const Request& request = flow.requests.front();
    const std::uint64_t left = request.length - request.done;
    if (request.target == nullptr) {
      io_uring_prep_recv(sqe, fd, nullptr, std::min<std::uint64_t>(left, pool_.slot_bytes()), 0);
      sqe->flags |= IOSQE_BUFFER_SELECT;
    } else {
      // Either the kernel goes on until all is there; or it looks only when there are as many bytes
      // as SO_RCVLOWAT says, and answers then, so that the mark can follow what is still missing.
      const bool gathers = flow.lowat_bytes > 1;
      io_uring_prep_recv(sqe, fd, request.target + request.done, std::min(left, kPostBytesMax),
                         gathers ? 0 : MSG_WAITALL);
      if (gathers) sqe->ioprio |= IORING_RECVSEND_POLL_FIRST;
      kind = kPost;
    }
    ++singles_;
  }
  sqe->user_data = reinterpret_cast<std::uint64_t>(&flow) | kind;
  flow.in_flight = true;
  return true;
}

bool UringQueue::request_cancel(Flow& flow) noexcept {
  if (!ring_.is_open()) return false;
  io_uring_sqe* sqe = ring_.request();
  if (sqe == nullptr) return false;
  const bool post =
      flow.demand && !flow.requests.empty() && flow.requests.front().target != nullptr;
  io_uring_prep_cancel64(sqe, reinterpret_cast<std::uint64_t>(&flow) | (post ? kPost : kReceive),
                         0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = kCancel;
  flow.cancelling = true;
  return true;
}

/// Slots for the kernel, and receives for the flows that have none.
void UringQueue::prepare() {
  provide();
  if (gathers() && !tick_armed_) {
    if (io_uring_sqe* sqe = ring_.request(); sqe != nullptr) {
      io_uring_prep_timeout(sqe, &kTickTime, 0, 0);
      sqe->user_data = kTick;
      tick_armed_ = true;
    } else {
      stop_gathering();
    }
  }
  prepare_look();
  while (!runnable_.empty()) {
    Flow& flow = *runnable_.front();
    if (!request_bytes(flow)) return;
    runnable_.remove(flow);
  }
  // Not more of those that found the ring empty than there are slots now. The first of them may
  // take all: the others come before everyone else the next time.
  for (std::uint32_t left = lent_; left > 0; --left) {
    FlowList& list = first_.empty() ? starved_ : first_;
    if (list.empty() || !request_bytes(*list.front())) return;
    list.pop().served = false;
  }
}

// ---- completions
// ---------------------------------------------------------------------------------

bool UringQueue::is_due() noexcept {
  return ring_.has_unsubmitted() || !runnable_.empty() || ring_.kernel_wants_entry() ||
         (gathers() && !tick_armed_) || (!recent_.empty() && !look_armed_) ||
         (is_starving() && (lent_ != 0 || pool_.free_slots() != 0));
}

landfall_errc UringQueue::enter() {
  const int code = ring_.enter();
  if (code >= 0 || code == -EINTR || code == -EAGAIN || code == -EBUSY || code == -ETIME)
    return LANDFALL_ERRC_ok;
  return authoring::errc_of(-code);
}

landfall_errc UringQueue::receive() {
  if (const auto code = enable(); code != LANDFALL_ERRC_ok) return code;
  take_completions();
  if (told() != 0 || !is_due()) return LANDFALL_ERRC_ok;
  prepare();
  const landfall_errc code = enter();
  take_completions();
  return code;
}

void UringQueue::take_completions() {
  while (room() && !stash_.empty()) {
    const UringCompletion completion = stash_.front();
    stash_.pop_front();
    on_completion(completion);
  }
  while (room()) {
    const io_uring_cqe* cqe = ring_.peek();
    if (cqe == nullptr) return;
    const UringCompletion completion{cqe->user_data, cqe->res, cqe->flags};
    ring_.done_with_one();
    on_completion(completion);
  }
}

void UringQueue::on_completion(const UringCompletion& completion) {
  if (completion.user_data == kControl) {
    control_armed_ = false;
    return;
  }
  if (completion.user_data == kTick) {
    tick_armed_ = false;
    return tick();
  }
  if (completion.user_data == kLook) {
    look_armed_ = false;
    return look();
  }
  if (completion.user_data == kCancel) return;
  Flow& flow = *flow_in(completion.user_data);
  const bool terminal = is_terminal(completion);
  if (terminal) {
    flow.in_flight = false;
    flow.cancelling = false;
    if (flow.demand) --singles_;
  }
  const std::uint64_t kind = completion.user_data & kKindMask;
  if (kind == kPost) {
    on_post(flow, completion.result);
  } else {
    on_receive(flow, completion);
  }
  if (!terminal) return;
  if (flow.closing) return finish_if_quiet(flow);
  // One that got bytes to the end of the ring (a bundle, a land) stands behind those that got none.
  const bool took_slots = completion.result > 0 && kind == kReceive;
  if (completion.result != -ENOBUFS && !took_slots) return run(flow);
  if (flow.wants_bytes() && flow.listed == Flow::Listed::no)
    (flow.served ? starved_ : first_).push(flow);
}

void UringQueue::on_receive(Flow& flow, const UringCompletion& completion) {
  if ((completion.flags & IORING_CQE_F_BUFFER) != 0) {
    // A bundle names its first buffer; the others follow it in the ring.
    std::uint32_t id = completion.flags >> IORING_CQE_BUFFER_SHIFT;
    auto left = static_cast<std::uint32_t>(std::max(completion.result, 0));
    if (!flow.demand) count_in_crowd(left);
    do {
      const std::uint32_t slot = lent_slot_[id++ & ring_.buffer_mask()];
      --lent_;
      const std::uint32_t length = std::min(left, pool_.slot_bytes());
      left -= length;
      if (length == 0) {
        pool_.put(slot);
      } else {
        flow.served = true;
        if (!flow.demand) got_bytes(flow);
        extent_sum_ += length - extent_sum_ / 16;
        received(flow, slot, length);
      }
    } while (left != 0);
  }
  if (completion.result == 0) {
    ended(flow);
  } else if (completion.result < 0) {
    on_error(flow, completion.result);
  }
}

void UringQueue::on_post(Flow& flow, std::int32_t result) {
  if (result > 0) {
    posted(flow, static_cast<std::uint64_t>(result));
  } else if (result == 0) {
    ended(flow);
  } else {
    on_error(flow, result);
  }
}

void UringQueue::on_error(Flow& flow, std::int32_t result) {
  switch (result) {
    case -ENOBUFS:    // the provided ring was empty
    case -ECANCELED:  // paused, choked, closing or settling
    case -EINTR:
    case -EAGAIN:
      return;
    default:
      failed(flow, -result);
  }
}

landfall_errc open_uring_queue(const QueueSetup& setup, std::unique_ptr<Queue>* ret_queue,
                               landfall_why* why) {
  auto queue = std::make_unique<UringQueue>(setup);
  if (const landfall_errc code = queue->open(why); code != LANDFALL_ERRC_ok) return code;
  *ret_queue = std::move(queue);
  return LANDFALL_ERRC_ok;
}

}  // namespace landfall::tcp
