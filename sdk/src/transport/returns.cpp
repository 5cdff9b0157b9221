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

/// What the caller is about to overwrite goes back first, so that this poll can use it again: the
/// newest first, and not by way of the stack that other threads push on.
void QueueCore::take_back(std::span<Completion> out) noexcept {
  ReturnLink* newest = nullptr;
  for (Completion& old : out) {
    Slot* const slot = Slot::release(std::move(old.buffer));
    if (slot == nullptr) continue;
    if (SlotChunk::of(slot)->core != this) {  // of another Receiver that is polled in turn
      drop(slot);
      continue;
    }
    ReturnLink* const link = SlotChunk::link_of(slot);
    link->next.store(newest, std::memory_order_relaxed);
    newest = link;
  }
  if (newest != nullptr) reclaim(newest);
}

void QueueCore::reclaim(const ReturnLink* list) noexcept {
  FlowImpl* flow = nullptr;  // of the extents in a row that are summed
  std::uint64_t charge = 0;
  std::uint32_t extents = 0;
  std::int64_t buffers = 0;
  while (list != nullptr) {
    Slot* slot = SlotChunk::slot_of(list);
    list = list->next.load(std::memory_order_relaxed);
    ++buffers;
    if ((slot->flags & kSlotIsPart) != 0) {
      Slot* parent = reinterpret_cast<Slot*>(slot->token);
      slots_.put(slot);
      if (--parent->parts != 0) continue;
      slot = parent;
    }
    if (flow == nullptr || slot->flow != flow) {
      if (flow != nullptr) drop_charge(*flow, charge, extents);
      flow = slot->flow;
      charge = 0;
      extents = 0;
    }
    charge += slot->charge;
    ++extents;
    queue_return(slot);
  }
  if (flow != nullptr) drop_charge(*flow, charge, extents);
  user_out_ -= buffers;
  flush_returns();
  if (!share_paused_.empty()) resume_shares();
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
  if (const ReturnLink* list = returns_.take_all(); list != nullptr) reclaim(list);
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
