// SPDX-License-Identifier: Apache-2.0
// How extents come back: from a dropped Buffer to the transport, and what the last one does.
#include <sys/eventfd.h>
#include <unistd.h>

#include <thread>

#include "transport/group_core.hpp"
#include "transport/queue_core.hpp"

namespace landfall::detail {

void drop(Slot* slot) noexcept {
  // Null in a forked child, which sees the slots wiped.
  if (QueueCore* core = SlotChunk::of(slot)->core; core != nullptr) core->give(slot);
}

void QueueCore::give(Slot* slot) noexcept {
  if (!returns_.push_here(slot)) give_from_elsewhere(slot);
}

void QueueCore::give_from_elsewhere(Slot* slot) noexcept {
  const int wake_fd = wake_fd_.get();
  switch (returns_.push(slot)) {
    case ReturnStack::Pushed::quietly:
      return;
    case ReturnStack::Pushed::wake_poller: {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(wake_fd, &one, sizeof one);
      returns_.wake_done();
      return;
    }
    case ReturnStack::Pushed::orphaned:
      if (returns_.orphan_returned()) finish();
      return;
  }
}

/// Extents that come back together; what those of one flow in a row have in common is summed. Its
/// end hands them to the transport.
class QueueCore::Returning {
 public:
  explicit Returning(QueueCore& core) noexcept
      : core_{core}, begin_{core.give_back_.get()}, next_{begin_ + core.give_back_count_} {}
  Returning(const Returning&) = delete;
  Returning& operator=(const Returning&) = delete;
  ~Returning() {
    if (flow_ != nullptr) core_.drop_charge(*flow_, charge_, extents_);
    core_.user_out_ -= buffers_;
    flush();
    if (!core_.share_paused_.empty()) core_.resume_shares();
  }
  void take(Slot* slot) noexcept {
    ++buffers_;
    if ((slot->flags & kSlotIsPart) != 0) {
      Slot* const parent = reinterpret_cast<Slot*>(slot->token);
      core_.slots_.put(slot);
      if (--parent->parts != 0) return;
      slot = parent;
    }
    if (slot->flow != flow_) {
      if (flow_ != nullptr) core_.drop_charge(*flow_, charge_, extents_);
      flow_ = slot->flow;
      backend_ = flow_->backend;
      told_closed_ = flow_->closed_early;
      charge_ = 0;
      extents_ = 0;
    }
    charge_ += slot->charge;
    ++extents_;
    if (!told_closed_) {
      *next_++ = {backend_, slot->token, slot->offset, slot->length, slot->memory, 0};
      if (next_ == begin_ + kReturnBatch) flush();
    }
    core_.slots_.put(slot);
  }

 private:
  void flush() noexcept {
    core_.give_back_count_ = static_cast<std::uint32_t>(next_ - begin_);
    core_.flush_returns();
    next_ = begin_;
  }

  QueueCore& core_;
  landfall_return* const begin_;
  landfall_return* next_;
  FlowImpl* flow_ = nullptr;
  landfall_flow* backend_ = nullptr;
  bool told_closed_ = false;
  std::uint64_t charge_ = 0;
  std::uint32_t extents_ = 0;
  std::int64_t buffers_ = 0;
};

/// What the caller is about to overwrite goes back first, so that this poll can use it again: the
/// newest first, and not by way of the stack that other threads push on.
void QueueCore::take_back(std::span<Completion> out) noexcept {
  Returning returning{*this};
  for (std::size_t i = out.size(); i-- > 0;) {
    Slot* const slot = Slot::release(std::move(out[i].buffer));
    if (slot == nullptr) continue;
    if (SlotChunk::of(slot)->core == this)
      returning.take(slot);
    else
      drop(slot);  // of another Receiver that is polled in turn
  }
}

void QueueCore::take_returns() noexcept {
  if (const ReturnLink* list = returns_.take_here(); list != nullptr) reclaim(list);
  if (const ReturnLink* list = returns_.take_all(); list != nullptr) reclaim(list);
}

void QueueCore::reclaim(const ReturnLink* list) noexcept {
  Returning returning{*this};
  while (list != nullptr) {
    Slot* const slot = SlotChunk::slot_of(list);
    list = list->next.load(std::memory_order_relaxed);
    returning.take(slot);
  }
}

void QueueCore::extent_back(Slot* slot) noexcept {
  drop_charge(*slot->flow, slot->charge, 1);
  queue_return(slot);
}

void QueueCore::flush_returns() noexcept {
  if (give_back_count_ == 0) return;
  ops_.give_back(queue_, give_back_.get(), give_back_count_);
  give_back_count_ = 0;
}

void QueueCore::give_back_now(const landfall_record& record) noexcept {
  const landfall_return back{.flow = record.flow,
                             .token = record.token,
                             .offset = record.offset,
                             .length = record.length,
                             .memory = record.memory,
                             .reserved = 0};
  ops_.give_back(queue_, &back, 1);
}

std::uint32_t QueueCore::stop() noexcept {
  if (!stopped_) {
    {
      const std::lock_guard lock{mutex_};
      stopped_ = true;
      listeners_.clear();
      inbox_.clear();
    }
    ops_.queue_stop(queue_);
    for (FlowEntry& entry : flows_) {
      if (entry.flow && entry.flow->demand) release_backlog(*entry.flow);
      if (entry.flow) entry.flow->connecting.reset();
    }
    pending_.clear();
    share_paused_.clear();
    hungry_.clear();
    while (record_next_ != record_count_) {
      const landfall_record& record = records_[record_next_++];
      if (record.kind == LANDFALL_DATA) give_back_now(record);
    }
  }
  take_passed();
  returns_.stop();
  take_returns();
  publish();
  return static_cast<std::uint32_t>(user_out_);
}

void QueueCore::abandon() noexcept {
  wait_for_fences();
  reclaim(returns_.orphan());
  if (returns_.orphan_outstanding(user_out_)) finish();
}

void QueueCore::close_backend() noexcept {
  // A waker that was overtaken may still be about to write to our eventfd.
  while (returns_.wakers_busy()) std::this_thread::yield();
  ops_.queue_close(queue_);
}

void QueueCore::finish() noexcept {
  if (const ReturnLink* list = returns_.take_all(); list != nullptr) reclaim(list);
  close_backend();
  setup_.group->queue_finished(setup_.index);  // destroys this
}

}  // namespace landfall::detail
