// SPDX-License-Identifier: Apache-2.0
#include "transport/queue_core.hpp"

#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

#include "landfall/abi/authoring.hpp"
#include "transport/group_core.hpp"

namespace landfall::detail {

QueueCore::QueueCore(const QueueSetup& setup, SlotTable slots)
    : setup_{setup},
      ops_{*setup.ops},
      queue_{setup.queue},
      context_{*setup.region->context()},
      slots_{std::move(slots)} {
  slots_.set_core(this);
  memories_[0] = setup.region->memory();
  if (setup.spill) memories_[1] = setup.spill->memory();
  records_.resize(kPollBatch);
  give_back_ = std::make_unique<landfall_return[]>(kReturnBatch);
}

QueueCore::~QueueCore() = default;

Result<std::unique_ptr<QueueCore>> QueueCore::make(const QueueSetup& setup) {
  ContextCore& context = *setup.region->context();
  if (const int number = context.fault("mmap"); number != 0) {
    return os_error("mmap", ReasonCode::out_of_memory, number);
  }
  LANDFALL_TRY(SlotTable slots, SlotTable::make(setup.buffers_max));
  std::unique_ptr<QueueCore> core{new QueueCore{setup, std::move(slots)}};

  if (const int number = context.fault("epoll_create1"); number != 0) {
    return os_error("epoll_create1", ReasonCode::event_fd_failed, number);
  }
  core->epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
  if (!core->epoll_) return os_error("epoll_create1", ReasonCode::event_fd_failed);
  if (const int number = context.fault("eventfd"); number != 0) {
    return os_error("eventfd", ReasonCode::event_fd_failed, number);
  }
  core->wake_fd_.reset(::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!core->wake_fd_) return os_error("eventfd", ReasonCode::event_fd_failed);
  // Closed for a moment when accept(2) finds no descriptor, so that the peer can be turned away.
  core->reserve_fd_.reset(::eventfd(0, EFD_CLOEXEC));
  if (!core->reserve_fd_) return os_error("eventfd", ReasonCode::event_fd_failed);
  LANDFALL_CHECK(core->watch_fd(core->wake_fd_.get(), EPOLLIN, core->wake_watch_));
  if (const int fd = setup.group->interface_fd(); fd >= 0) {
    LANDFALL_CHECK(core->watch_fd(fd, EPOLLIN | EPOLLET, core->interface_watch_));
    core->watches_interface_ = true;
  }
  return core;
}

Errc QueueCore::enter() noexcept {
  if (!in_its_process()) return Errc::wrong_process;
  if (!bound_) {
    bound_ = true;
    owner_ = ::pthread_self();
    returns_.set_poller();
  }
  if (::pthread_equal(owner_, ::pthread_self()) == 0) return Errc::wrong_thread;
  return stopped_ ? Errc::closed : Errc::ok;
}

Error QueueCore::wrong_caller(const char* op, Errc code) const noexcept {
  return Error{code, op,
               code == Errc::wrong_process  ? ReasonCode::forked_child
               : code == Errc::wrong_thread ? ReasonCode::polled_by_another_thread
                                            : ReasonCode::receiver_gone};
}

// ---- one poll
// ------------------------------------------------------------------------------------

Result<std::size_t> QueueCore::poll(std::span<Completion> out, bool sleeps_next) noexcept {
  if (const Errc code = enter(); code != Errc::ok) return wrong_caller("Receiver::poll", code);
  try {
    if (last_count_ != 0) take_back(out.first(std::min(last_count_, out.size())));
    if (retiring_ != nullptr) retire_flows();
    if (fenced_ != nullptr || fenced_new_.load(std::memory_order_relaxed) != nullptr) take_passed();
    take_returns();

    out_span_ = out;
    out_count_ = 0;
    last_count_ = 0;
    const bool was_armed = std::exchange(armed_, false);
    if (!pending_.empty()) drain_pending();
    if (owed_ != nullptr) emit_owed();
    if (record_next_ != record_count_) work_off_records();
    if (!hungry_.empty() && slots_.available() != 0) feed_hungry();
    if (pending_.empty()) {
      const bool control_waits =
          listener_count_.load(std::memory_order_relaxed) != 0 || connecting_ != 0;
      const bool look = was_armed || inbox_waits_.load(std::memory_order_acquire) ||
                        ((control_waits || watches_interface_) && (++polls_ % 16) == 0);
      if (look) control(0);
      Result<void> taken = take_records();
      if (!taken) poll_error_ = taken.error();
      if (control_waits && !look && !sleeps_next && out_count_ == 0) control(0);
    }
    watch_pressure();
    publish();
    last_count_ = std::exchange(out_count_, 0);
    out_span_ = {};  // what is emitted outside poll waits in pending_
    if (last_count_ == 0 && poll_error_) {
      const Error error = *poll_error_;
      poll_error_.reset();
      return error;
    }
    return last_count_;
  } catch (const std::bad_alloc&) {
    out_span_ = {};
    last_count_ = std::exchange(out_count_, 0);
    const Error error{Errc::no_memory, "Receiver::poll", ReasonCode::out_of_memory};
    if (last_count_ == 0) return error;
    poll_error_ = error;  // after what is told already
    return last_count_;
  }
}

Result<std::size_t> QueueCore::wait(std::span<Completion> out,
                                    std::chrono::nanoseconds timeout) noexcept {
  const std::uint64_t begin = timeout.count() > 0 ? context_.now_ns() : 0;
  for (;;) {
    Result<std::size_t> count = poll(out, timeout.count() != 0);
    if (!count || *count != 0 || timeout.count() == 0) return count;
    std::uint64_t left_ns = kForever;
    if (timeout.count() > 0) {
      const std::uint64_t spent = context_.now_ns() - begin;
      const auto limit = static_cast<std::uint64_t>(timeout.count());
      if (spent >= limit) return std::size_t{0};
      left_ns = limit - spent;
    }
    LANDFALL_TRY(const bool may_sleep, arm());
    if (may_sleep) LANDFALL_CHECK(sleep(left_ns));
  }
}

/// Until the transport or the control epoll has something: what it is, the poll that follows sees.
Result<void> QueueCore::sleep(std::uint64_t timeout_ns) {
  if (LANDFALL_HAS(&ops_, landfall_transport_ops, wait)) {
    std::int32_t control_ready = 0;
    const landfall_errc code = ops_.wait(queue_, epoll_.get(), timeout_ns, &control_ready);
    armed_ = control_ready != 0;
    if (code != LANDFALL_ERRC_ok) return Error{static_cast<Errc>(code), "transport wait"};
    return {};
  }
  const int fd = wait_fd();
  if (fd < 0) {
    std::this_thread::yield();
    return {};
  }
  epoll_event event{};
  const int ready = ::epoll_wait(fd, &event, 1, authoring::milliseconds_of(timeout_ns));
  if (ready < 0 && errno != EINTR) return os_error("epoll_wait");
  // Only the transport has work: the poll that follows need not look at the rest.
  if (ready == 1 && event.data.ptr == &transport_watch_) armed_ = false;
  return {};
}

int QueueCore::wait_fd() noexcept {
  if (outer_) return outer_.get();
  const int transport_fd = ops_.wait_fd(queue_);
  Fd outer{::epoll_create1(EPOLL_CLOEXEC)};
  if (transport_fd < 0 || !outer) return -1;
  epoll_event event{};
  event.events = EPOLLIN;
  event.data.ptr = &transport_watch_;
  if (::epoll_ctl(outer.get(), EPOLL_CTL_ADD, transport_fd, &event) != 0) return -1;
  event.data.ptr = &wake_watch_;
  if (::epoll_ctl(outer.get(), EPOLL_CTL_ADD, epoll_.get(), &event) != 0) return -1;
  outer_ = std::move(outer);
  // An arm() before this looked without a descriptor to be woken by: what came since is looked at
  // again.
  const std::uint64_t one = 1;
  [[maybe_unused]] const ssize_t written = ::write(wake_fd_.get(), &one, sizeof one);
  armed_ = true;
  return outer_.get();
}

Result<bool> QueueCore::arm() noexcept {
  if (const Errc code = enter(); code != Errc::ok) return wrong_caller("Receiver::arm", code);
  if (!pending_.empty() || owed_ != nullptr || retiring_ != nullptr || poll_error_ ||
      record_next_ != record_count_ || inbox_waits_.load(std::memory_order_acquire) ||
      (!hungry_.empty() && slots_.available() != 0)) {
    return false;
  }
  if (!arm_fences()) return false;
  std::uint32_t transport = 0;
  if (const landfall_errc code = ops_.arm(queue_, &transport); code != LANDFALL_ERRC_ok) {
    return Error{static_cast<Errc>(code), "transport arm"};
  }
  if ((transport & LANDFALL_ARM_READY) != 0) return false;
  const bool wants_returns = (transport & LANDFALL_ARM_WANTS_RETURNS) != 0 || closing_flows_ != 0 ||
                             !share_paused_.empty() || pressure_ || buffers_pressure_;
  const bool may_sleep = wants_returns ? returns_.sleep() : returns_.empty();
  armed_ = armed_ || may_sleep;
  return may_sleep;
}

Completion& QueueCore::emit_later(Completion::Kind kind, FlowImpl* flow) {
  pending_.ensure(1);
  Completion& place = pending_.push();
  place.kind = kind;
  place.flow = flow;
  return place;
}

void QueueCore::drain_pending() {
  while (!pending_.empty() && out_count_ < out_span_.size()) {
    Completion& place = out_span_[out_count_++];
    place = pending_.take();
    if (place.kind == Completion::Kind::closed) told_closed(impl(*place.flow));
  }
}

void QueueCore::watch_pressure() {
  // Where all queues draw from one pool, what they hold together counts.
  const bool shared = (setup_.needs.flags & LANDFALL_SHARED_POOL) != 0;
  const std::uint64_t slice = setup_.slice_bytes;
  const std::uint64_t held = shared ? setup_.group->change_held(held_ - told_held_) : held_;
  told_held_ = held_;
  // Does a full Region stall senders, or lose their packets?
  const auto reason = (setup_.needs.flags & LANDFALL_DRY_POOL_DROPS) != 0
                          ? ReasonCode::region_full_drops
                          : ReasonCode::region_full;
  const bool full = transport_starves_ || held * 100 >= slice * setup_.pressure_percent;
  if (!pressure_ && full) {
    pressure_ = true;
    emit(Completion::Kind::pressure, nullptr).reason = reason;
  } else if (pressure_ && !transport_starves_ && held * 100 <= slice * setup_.relief_percent) {
    pressure_ = false;
    emit(Completion::Kind::relief, nullptr).reason = reason;
  }
  if (!buffers_pressure_ && slots_.available() == 0) {
    buffers_pressure_ = true;
    emit(Completion::Kind::pressure, nullptr).reason = ReasonCode::buffers_all_out;
  } else if (buffers_pressure_ && slots_.available() >= std::max(1u, setup_.buffers_max / 4)) {
    buffers_pressure_ = false;
    emit(Completion::Kind::relief, nullptr).reason = ReasonCode::buffers_all_out;
  }
}

// ---- what other threads may ask
// -------------------------------------------------------------------

void QueueCore::publish() noexcept {
  published_out_.store(static_cast<std::uint32_t>(user_out_), std::memory_order_relaxed);
  published_flows_.store(live_flows_, std::memory_order_relaxed);
  published_held_.store(held_, std::memory_order_relaxed);
  if (batch_.total() == 0) return;
  for (std::size_t i = 0; i < kPlacements; ++i) {
    auto& sum = published_bytes_[i];
    sum.store(sum.load(std::memory_order_relaxed) + batch_.bytes[i], std::memory_order_relaxed);
  }
  for (const Verdict::Count& count : batch_.reasons) {
    if (count.bytes == 0) continue;
    for (std::size_t i = 0; i < published_reasons_.size(); ++i) {
      const auto listed =
          static_cast<ReasonCode>(published_reasons_[i].load(std::memory_order_relaxed));
      if (listed != count.reason && listed != ReasonCode::none) continue;
      auto& bytes = published_reason_bytes_[i];
      bytes.store(bytes.load(std::memory_order_relaxed) + count.bytes, std::memory_order_relaxed);
      published_reasons_[i].store(static_cast<std::uint32_t>(count.reason),
                                  std::memory_order_relaxed);
      break;
    }
  }
  batch_ = Verdict{};
}

Verdict QueueCore::verdict() const noexcept {
  Verdict sum;
  for (std::size_t i = 0; i < kPlacements; ++i) {
    sum.bytes[i] = published_bytes_[i].load(std::memory_order_relaxed);
  }
  for (std::size_t i = 0; i < published_reasons_.size(); ++i) {
    sum.reasons[i].reason =
        static_cast<ReasonCode>(published_reasons_[i].load(std::memory_order_relaxed));
    sum.reasons[i].bytes = published_reason_bytes_[i].load(std::memory_order_relaxed);
  }
  return sum;
}

}  // namespace landfall::detail
