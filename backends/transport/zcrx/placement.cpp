// SPDX-License-Identifier: Apache-2.0
// Where bytes lie, and how that is known. What the NIC left in packet heads or in ordinary pages
// goes two ways. Into an area of host memory the kernel copies it, while it has a page for it; it
// counts that, but not what it copies out of heads, and marks none: so some of what waits is looked
// at. Into a dma-buf it cannot: the receive ends (ENOMEM), recv(2) takes such bytes into the spill,
// and the flow is asked for again, so that each byte's placement is known. The same where the NIC
// has all pages of an area.
#include <sys/ioctl.h>
#include <sys/socket.h>

#include <cerrno>

#include "zcrx/queue.hpp"

namespace landfall::zcrx {
namespace {

// After packet heads were found, nothing is sure for so many pieces.
constexpr std::uint64_t kExtentsUnsure = 16384;
// A look costs four system calls: once so many have found nothing, it is looked less often.
constexpr std::uint32_t kLooksUntilTrusted = 64;
constexpr std::uint64_t kExtentsTrusted = 2048;
// Where nothing waited it is looked again so soon.
constexpr std::uint64_t kExtentsPerVainLook = 128;

}  // namespace

/// Of bytes in the area.
Cause Queue::placement_of(Flow& flow, const Completion& completion) {
  if (is_dmabuf_) return {LANDFALL_DIRECT, 0};
  if (domain_.options().no_device) return {LANDFALL_COPIED, LANDFALL_REASON_copied_by_kernel};
  if (flow.spec.stream_offset < flow.steered_at)
    return {LANDFALL_COPIED, LANDFALL_REASON_before_steering};
  if (!comes_by_our_queues(flow)) return {LANDFALL_COPIED, LANDFALL_REASON_wrong_queue};
  if (completion.sure && flow.source == index_ && interface_->counts_copies() &&
      extents_told_ >= heads_until_)
    return {LANDFALL_DIRECT, 0};
  if (flow.early()) return {LANDFALL_COPIED, LANDFALL_REASON_before_steering};
  return {LANDFALL_UNSURE, LANDFALL_REASON_copy_not_marked};
}

/// Asked of the socket once for some extents. By which of them is seen otherwise: from another one
/// than the receive names the kernel hands out nothing (-EFAULT).
bool Queue::comes_by_our_queues(Flow& flow) noexcept {
  if (extents_told_ >= flow.ask_queues_at) {
    flow.ask_queues_at = extents_told_ + kExtentsPerLook;
    flow.by_our_queues = domain_.brought(flow.socket.get());
  }
  return flow.by_our_queues;
}

/// Could recv(2) read a byte of those that wait? Then it lies in ordinary memory, and the kernel is
/// about to copy it without a word. A byte somewhere among them: streams have a rhythm, and the
/// first ones would have it too. Where nothing waits, nothing is learned: it is looked again soon.
void Queue::look_for_heads(const Flow& flow) noexcept {
  look_at_ =
      extents_told_ + (clean_looks_ < kLooksUntilTrusted ? kExtentsPerLook : kExtentsTrusted);
  if (!copies_silently()) return;
  const int fd = flow.socket.get();
  int waits = 0;
  if (::ioctl(fd, FIONREAD, &waits) != 0 || waits <= 0) {
    look_at_ = extents_told_ + kExtentsPerVainLook;
    return;
  }
  look_seed_ = look_seed_ * 1'664'525 + 1'013'904'223;
  int at = static_cast<int>((std::uint64_t{look_seed_} * static_cast<std::uint32_t>(waits)) >> 32);
  std::byte seen;
  ::setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at);
  ++clean_looks_;
  if (::recv(fd, &seen, 1, MSG_PEEK | MSG_DONTWAIT) == 1) {
    heads_until_ = extents_told_ + kExtentsUnsure;
    clean_looks_ = 0;
  }
  at = -1;
  ::setsockopt(fd, SOL_SOCKET, SO_PEEK_OFF, &at, sizeof at);
}

/// The same, of the flow that brought bytes last, before the kernel is made to hand out what has
/// come.
void Queue::look_before_entry() noexcept {
  if (last_flow_ != nullptr && extents_told_ + kExtentsPerLook / 2 >= look_at_ &&
      ring_.kernel_wants_entry())
    look_for_heads(*last_flow_);
}

/// Until the next byte is one that recv(2) cannot read, or there is none.
void Queue::drain(Flow& flow) {
  while (room()) {
    const std::span<std::byte> into = spill_->room();
    if (into.empty()) return flows_.starved.push(flow);
    int number = fault("recv");
    ssize_t got = -1;
    if (number == 0) {
      got = ::recv(flow.socket.get(), into.data(), into.size(), MSG_DONTWAIT);
      if (got < 0) number = errno;
    }
    if (got > 0) {
      const auto length = static_cast<std::uint32_t>(got);
      const Cause cause = cause_of(flow);
      const transport::Spill::Place place = spill_->take(length);
      landfall_record record = authoring::record_of(LANDFALL_DATA, &flow, flow.spec);
      record.placement = cause.placement;
      record.code = cause.code;
      record.memory = 1;
      record.length = length;
      record.offset = place.offset;
      record.token = place.block;
      record.charge_bytes = length;
      emit(record);
      spill_->align();
      flow.spec.stream_offset += length;
      flow.since_direct += length;
      flow.queues_tried = 0;
      ++flow.out;
      ++extents_out_;
    } else if (got == 0) {
      return fail(flow, 0, 0);
    } else if (number == EFAULT || number == EAGAIN) {
      flow.drains = false;
      return;
    } else if (number != EINTR) {
      return fail(flow, number, authoring::reason_of_end(number));
    }
  }
}

/// Of bytes in the spill.
Cause Queue::cause_of(const Flow& flow) {
  return transport::cause_of_copy(flow.early(), domain_.brought(flow.socket.get()),
                                  flow.since_direct);
}

}  // namespace landfall::zcrx
