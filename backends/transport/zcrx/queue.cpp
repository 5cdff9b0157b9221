// SPDX-License-Identifier: Apache-2.0
// The flows of a queue: how they come, what they ask of the ring, what they give back, how they
// end.
#include "zcrx/queue.hpp"

#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <cerrno>
#include <utility>

#include "zcrx/user_data.hpp"

namespace landfall::zcrx {

using authoring::refuse;

namespace {

constexpr std::uint32_t kRequests = 256;
// A completion for each piece of a page that waits in the kernel: what does not fit stops a receive
// (ENOSPC), and is asked for again.
constexpr std::uint32_t kCompletions = 4096;
constexpr std::size_t kReturnsMost = 256;  // that are put in order together

}  // namespace

landfall_errc Queue::open(const landfall_queue_spec& spec, landfall_why* why) {
  extents_max_ = spec.extents_max;
  index_ = spec.index;
  slice_bytes_ = spec.slice_length;
  is_dmabuf_ = spec.slice_dmabuf_fd >= 0;
  if (is_dmabuf_) {
    // The kernel takes nothing but a whole one (io_import_dmabuf, io_uring/zcrx.c, Linux 7.3).
    const off_t whole = ::lseek(spec.slice_dmabuf_fd, 0, SEEK_END);
    if (whole > 0 && static_cast<std::uint64_t>(whole) != slice_bytes_)
      return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_dmabuf_not_divisible);
  }
  spill_.emplace(spec.spill);
  sorted_.reserve(kReturnsMost);
  if (const auto code =
          ring_.open(domain_.host(), kRequests, kCompletions, IORING_SETUP_CQE32, why);
      code != LANDFALL_ERRC_ok)
    return code;
  const Options& options = domain_.options();
  InterfaceQueue::Setup setup;
  setup.host = domain_.host();
  setup.interface_index = domain_.interface_index();
  setup.queue_id = domain_.queue_id(index_);
  setup.no_device = options.no_device;
  setup.dmabuf_fd = spec.slice_dmabuf_fd;
  if (!is_dmabuf_) setup.area = static_cast<std::byte*>(domain_.region().host) + spec.slice_offset;
  setup.area_bytes = slice_bytes_;
  setup.area_offset = spec.slice_offset;
  setup.share = domain_.queue_count() > 1;
  // Room for every page there is: a ring that is never full needs no call to be read.
  setup.refill_entries =
      options.refill_entries != 0
          ? options.refill_entries
          : static_cast<std::uint32_t>(std::min<std::uint64_t>(
                std::max<std::uint64_t>(extents_max_, slice_bytes_ / domain_.page_bytes()), 32768));
  setup.rx_page_bytes = options.rx_page_bytes;
  setup.event_user_data = kEvent;
  setup.features = domain_.features();
  interface_ = std::make_shared<InterfaceQueue>();
  if (const auto code = interface_->open(ring_, setup, why); code != LANDFALL_ERRC_ok) return code;
  sources_.resize(index_ + 1);
  sources_[index_] = {interface_, interface_->id()};
  domain_.publish(index_, interface_);
  // A sixteenth of the pool: the rest is for the window to open.
  gathering_.open(domain_.host(), slice_bytes_ / 16, options.gather && ring_.gathers());
  windows_.open(options.window_of_pool(slice_bytes_),
                static_cast<std::uint32_t>(std::countr_zero(domain_.page_bytes())));
  return LANDFALL_ERRC_ok;
}

Queue::~Queue() {
  stop();
  // A Group that is opened right after this one finds the queue free.
  ring_.wait_until_gone();
  for (Flow* flow = flows_.newest; flow != nullptr;) {
    Flow* const older = flow->older;
    destroy(*flow);
    flow = older;
  }
}

// ---- the ring
// ------------------------------------------------------------------------------------

landfall_errc Queue::enable() {
  if (enabled_) return LANDFALL_ERRC_ok;
  const int code = ring_.enable();
  if (code < 0) return authoring::errc_of(-code);
  enabled_ = true;
  return LANDFALL_ERRC_ok;
}

landfall_errc Queue::enter() {
  // A call does 20 pieces of work (IO_LOCAL_TW_DEFAULT_MAX), each of 21 packets
  // (IO_SKBS_PER_CALL_LIMIT), or as many as it is to wait for; waiting for them takes no time here.
  return enter([&] { return more_waits_ ? ring_.enter_and_wait(kWorkMost, 0) : ring_.enter(); });
}

bool Queue::request_bytes(Flow& flow) noexcept {
  io_uring_sqe* sqe = ring_.request();
  if (sqe == nullptr) return false;
  io_uring_prep_rw(uapi::kOpRecvZc, sqe, flow.socket.get(), nullptr, 0, 0);
  sqe->ioprio = IORING_RECV_MULTISHOT;
  sqe->file_index = sources_[flow.source].id;  // zcrx_ifq_idx
  sqe->user_data = user_data_of(flow);
  flow.in_flight = true;
  return true;
}

/// Receives from another queue of the Group as well.
bool Queue::import(std::uint32_t index) {
  if (sources_.size() < domain_.queue_count()) sources_.resize(domain_.queue_count());
  if (sources_[index].queue != nullptr) return true;
  std::shared_ptr<InterfaceQueue> queue = domain_.published(index);
  const int id = queue == nullptr ? -EBADF : queue->import_into(ring_);
  if (id < 0) return false;
  sources_[index] = {std::move(queue), static_cast<std::uint32_t>(id)};
  return true;
}

bool Queue::request_cancel(Flow& flow) noexcept {
  if (!ring_.is_open()) return false;
  io_uring_sqe* sqe = ring_.request();
  if (sqe == nullptr) return false;
  io_uring_prep_cancel64(sqe, user_data_of(flow), 0);
  sqe->flags |= IOSQE_CQE_SKIP_SUCCESS;
  sqe->user_data = kCancel;
  flow.cancelling = true;
  return true;
}

/// Receives for the flows that have none, and an eye on the lifeline.
void Queue::prepare() {
  interface_->refill()->publish();
  look_before_entry();
  if (!lifeline_armed_ && domain_.lifeline() >= 0) {
    if (io_uring_sqe* sqe = ring_.request(); sqe != nullptr) {
      io_uring_prep_poll_add(sqe, domain_.lifeline(), POLLRDHUP);
      sqe->user_data = kLifeline;
      lifeline_armed_ = true;
    }
  }
  for (std::uint32_t left = flows_.runnable.size(); left != 0; --left) {
    Flow& flow = flows_.runnable.pop();
    if (!flow.wants_request()) {
      flows_.runnable.push(flow);
    } else if (!request_bytes(flow)) {
      return flows_.runnable.push(flow);
    }
  }
}

// ---- flows
// ---------------------------------------------------------------------------------------

landfall_errc Queue::attach(int fd, const landfall_flow_spec& spec, Flow** ret_flow,
                            landfall_why* why) {
  if (revoked_) return refuse(why, LANDFALL_ERRC_revoked, LANDFALL_REASON_binding_revoked);
  auto flow = std::make_unique<Flow>();
  flow->source = index_;
  flow->begin(fd, spec);
  // Into a dma-buf the kernel cannot copy what lies in ordinary pages.
  flow->drains = is_dmabuf_;
  flow->socket.reset(fd);
  windows_.flow_came();
  if (!domain_.options().no_device)
    flow->window_limited = windows_.limit(fd, windows_.share(), false);
  flows_.add(*flow);
  run(*flow);
  *ret_flow = flow.release();
  return LANDFALL_ERRC_ok;
}

landfall_errc Queue::detach(Flow* flow, std::int32_t* ret_fd, landfall_why* why) {
  if (flow->out != 0) return refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_extents_out);
  const int fd = flow->socket.get();
  if (!flow->held.empty() || !transport::can_be_read(fd))
    return refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_direct_bytes_queued);
  if (const auto code = settle(*flow); code != LANDFALL_ERRC_ok) {
    run(*flow);
    return refuse(
        why, code,
        code == LANDFALL_ERRC_busy ? LANDFALL_REASON_direct_bytes_queued : LANDFALL_REASON_none);
  }
  flows_.unlist(*flow);
  *ret_fd = flow->socket.release();
  windows_.flow_left();
  destroy(*flow);
  return LANDFALL_ERRC_ok;
}

void Queue::close(Flow* flow, bool reset) noexcept {
  flow->closing = true;
  flows_.unlist(*flow);
  for (const Completion& completion : std::exchange(flow->held, {}))
    if (completion.result > 0) give_back_untold(*flow, completion);
  authoring::end_connection(flow->socket.get(), reset);
  if (flow->in_flight && !flow->cancelling) request_cancel(*flow);
  finish_if_quiet(*flow);
}

void Queue::pause(Flow* flow, bool on) noexcept {
  flow->paused = on;
  if (!on) return run(*flow);
  if (flow->listed != Flow::Listed::done) flows_.unlist(*flow);
  if (flow->in_flight && !flow->cancelling) request_cancel(*flow);
}

void Queue::run(Flow& flow) noexcept {
  if (flow.listed == Flow::Listed::no && flow.wants_work() && !revoked_) flows_.runnable.push(flow);
}

void Queue::give_back(std::span<const landfall_return> returns) noexcept {
  bool direct = false;
  for (const landfall_return& back : returns) {
    Flow& flow = *authoring::own<Flow>(back.flow);
    if (back.memory == 0) {
      // A piece of a page goes back as the page that it lies in.
      const Run run = Run::of(back.token);
      sorted_.push_back(run.packed());
      direct = true;
      pages_out_ -= run.pages;
      if (sorted_.size() == sorted_.capacity()) refill();
    } else {
      spill_->give_back(static_cast<std::uint32_t>(back.token));
    }
    --extents_out_;
    --flow.out;
    if (flow.closing) finish_if_quiet(flow);
  }
  refill();
  if (stopped_) return;
  if (direct && (interface_->refill()->is_full() || !flows_.starved.empty())) {
    // Nobody reads the ring while the NIC has pages: what waits for it, and who waits for what is
    // in it, would wait for ever.
    interface_->flush(ring_);
    interface_->refill()->publish();
  }
  while (!flows_.starved.empty() && (direct || spill_->has_room())) run(flows_.starved.pop());
}

/// Nobody is told of it any more.
void Queue::give_back_untold(const Flow& flow, const Completion& completion) {
  const InterfaceQueue::Refill ring = sources_[flow.source].queue->refill();
  ring->add(completion.off & uapi::kOffsetMask, static_cast<std::uint32_t>(completion.result));
  ring->publish();
}

/// The kernel reads some 60 numbers at a time and gives the last ones to the NIC first
/// (io_zcrx_ring_refill and page_pool_refill_alloc_cache, Linux 7.3). So the highest pages go
/// first: then the NIC fills them in the order in which they lie, and they come as large extents
/// again. After stop() as well: another ring may still receive from the queue.
void Queue::refill() noexcept {
  const std::uint32_t page = domain_.page_bytes();
  const auto by_place = [](std::uint64_t a, std::uint64_t b) {
    constexpr std::uint64_t kPages = std::uint64_t{31} << uapi::kAreaShift;
    return (a & ~kPages) > (b & ~kPages);
  };
  std::sort(sorted_.begin(), sorted_.end(), by_place);
  for (auto next = sorted_.begin(); next != sorted_.end();) {
    const std::uint32_t queue = Run::of(*next).queue;
    const InterfaceQueue::Refill ring = sources_[queue].queue->refill();
    for (; next != sorted_.end() && Run::of(*next).queue == queue; ++next) {
      const Run run = Run::of(*next);
      ring->add_run(run.at, run.pages, page);
    }
    ring->publish();
  }
  sorted_.clear();
}

/// The socket lives until its last extent is back.
void Queue::finish_if_quiet(Flow& flow) noexcept {
  if (!flow.closing || flow.out != 0 || flow.in_flight || flow.listed == Flow::Listed::done) return;
  flow.socket.reset();
  windows_.flow_left();
  flows_.done.push(flow);
}

void Queue::tell_closed() {
  while (!flows_.done.empty() && backlog_.empty() && count_ < out_.size()) {
    Flow& flow = flows_.done.pop();
    emit(authoring::record_of(LANDFALL_CLOSED, &flow, flow.spec));
    destroy(flow);
  }
}

void Queue::destroy(Flow& flow) noexcept {
  if (last_flow_ == &flow) last_flow_ = nullptr;
  if (run_.flow == &flow) run_ = {};
  flows_.forget(flow);
  delete &flow;
}

// ---- the end
// -------------------------------------------------------------------------------------

/// Nothing of this flow is the kernel's any more, and nothing that it told of waits. Busy:
/// something does.
landfall_errc Queue::settle(Flow& flow) {
  if (const auto code = enable(); code != LANDFALL_ERRC_ok) return code;
  const auto is_its = [&flow](const Completion& completion) {
    return flow_in(completion.user_data) == &flow;
  };
  while (flow.in_flight) {
    if (!flow.cancelling && !request_cancel(flow)) return LANDFALL_ERRC_io;
    const auto code = enter([&] { return ring_.enter_and_wait(1, UINT64_MAX); });
    if (code != LANDFALL_ERRC_ok) return code;
    while (const std::optional<Completion> completion = next_completion()) {
      stash_.push_back(*completion);
      if (is_its(*completion) && completion->is_terminal())
        flow.in_flight = flow.cancelling = false;
    }
  }
  for (const Completion& completion : stash_) {
    if (is_its(completion) && completion.result != -ECANCELED) flow.held.push_back(completion);
  }
  stash_.erase(std::remove_if(stash_.begin(), stash_.end(), is_its), stash_.end());
  return flow.held.empty() ? LANDFALL_ERRC_ok : LANDFALL_ERRC_busy;
}

/// The ring goes, and with it the area from the queue: the kernel takes the queue from the NIC
/// first, so that nothing that is out is written to (zcrx_unregister_user, io_uring/zcrx.c,
/// Linux 7.3).
void Queue::stop() noexcept {
  if (stopped_) return;
  stopped_ = true;
  flows_.unlist_all();
  if (interface_ != nullptr) interface_->unshare();
  ring_.close();
}

}  // namespace landfall::zcrx
