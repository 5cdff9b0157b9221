// SPDX-License-Identifier: Apache-2.0
#include "models/devmem_queue.hpp"

#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>

namespace landfall::test::devmem {

using namespace landfall::authoring;

Domain::~Domain() {
  if (!mapping.empty()) ::munmap(mapping.data(), mapping.size());
}

Queue::Queue(Domain& of, const landfall_queue_spec& with) : domain{of}, spec{with} {
  if (with.spill != nullptr) spill = *with.spill;
  const std::uint64_t slots = spill.size_bytes / of.options.page;
  spill_owner.resize(slots);
  for (std::uint64_t i = 0; i < slots; ++i) spill_free.push_back(slots - 1 - i);
}

Queue::~Queue() {
  domain.pool->forget(event_fd);
  if (epoll_fd >= 0) ::close(epoll_fd);
  if (event_fd >= 0) ::close(event_fd);
}

void Queue::collect() {
  std::array<epoll_event, 64> events;
  const int count = ::epoll_wait(epoll_fd, events.data(), events.size(), 0);
  for (int i = 0; i < count; ++i) {
    void* const whose = events[static_cast<std::size_t>(i)].data.ptr;
    if (whose == &domain) {
      domain.revoked = true;
      continue;
    }
    Flow* flow = static_cast<Flow*>(whose);
    if (flow == nullptr) {
      std::uint64_t value = 0;
      [[maybe_unused]] const ssize_t drained = ::read(event_fd, &value, sizeof value);
      continue;
    }
    flow->readable = true;
    if (!flow->queued && !flow->paused && !flow->ended && !flow->closing) {
      flow->queued = true;
      ready.push_back(flow);
    }
  }
}

bool Queue::comes_by_spill(const Flow& flow) const {
  const std::uint64_t every = domain.options.linear_every;
  return domain.options.unsteered != 0 || (every != 0 && flow.payloads % every == every - 1);
}

bool Queue::can_receive(const Flow& flow) {
  if (out >= spec.extents_max) return false;
  return comes_by_spill(flow) ? !spill_free.empty() : domain.pool->free_or_notify(event_fd);
}

ssize_t Queue::receive_spilled(Flow& flow, landfall_record& record) {
  const std::uint64_t slot = spill_free.back();
  const std::uint64_t offset = slot * domain.options.page;
  const ssize_t got = ::recv(flow.socket->fd(), static_cast<std::byte*>(spill.host) + offset,
                             domain.options.page, MSG_DONTWAIT);
  if (got <= 0) return got;
  spill_free.pop_back();
  spill_owner[slot] = &flow;
  ++flow.spilled;
  const bool unsteered = domain.options.unsteered != 0;
  record = record_of(LANDFALL_DATA, &flow, flow.spec);
  record.placement = unsteered ? LANDFALL_COPIED : LANDFALL_LINEAR;
  record.code =
      unsteered ? LANDFALL_REASON_copied_by_kernel : LANDFALL_REASON_linear_in_packet_head;
  record.memory = 1;
  record.offset = offset;
  record.token = slot;
  record.length = static_cast<std::uint32_t>(got);
  return got;
}

std::uint32_t Queue::receive(Flow& flow, std::span<landfall_record> records) {
  std::array<DevmemSocket::Piece, 8> pieces;
  std::size_t count = 0;
  ssize_t got = -1;
  if (const int injected = fault(domain.host, "recvmsg"); injected != 0) {
    errno = injected;
  } else if (comes_by_spill(flow)) {
    got = receive_spilled(flow, records[0]);
    count = got > 0 ? 1 : 0;
  } else {
    const std::size_t most = std::min<std::size_t>(records.size(), spec.extents_max - out);
    got = flow.socket->receive(std::span{pieces}.first(std::min(most, pieces.size())), count);
    for (std::size_t i = 0; i < count; ++i) {
      records[i] = record_of(LANDFALL_DATA, &flow, flow.spec);
      records[i].placement = LANDFALL_DIRECT;
      records[i].offset = pieces[i].offset;
      records[i].token = pieces[i].token;
      records[i].length = pieces[i].length;
    }
  }
  if (got <= 0) {
    fail_or_end(flow, got, errno);
    return 0;
  }
  for (landfall_record& record : records.first(count)) {
    record.stream_offset = flow.spec.stream_offset;
    record.charge_bytes = static_cast<std::uint32_t>(domain.options.page);
    flow.spec.stream_offset += record.length;
  }
  ++flow.payloads;
  out += count;
  return static_cast<std::uint32_t>(count);
}

void Queue::fail_or_end(Flow& flow, ssize_t got, int number) {
  if (got < 0 && (number == EAGAIN || number == EINTR || number == ENOBUFS)) {
    flow.readable = number != EAGAIN;
    return;
  }
  flow.ended = true;
  flow.readable = false;
  pending.push_back(end_of(&flow, flow.spec, got == 0 ? 0 : number));
}

void Queue::stop_watching(Flow& flow) {
  ::epoll_ctl(epoll_fd, EPOLL_CTL_DEL, flow.socket->fd(), nullptr);
  if (flow.queued) std::erase(ready, &flow);
  flow.queued = false;
}

void Queue::finish_closing(Flow& flow) {
  if (!flow.closing || !flow.socket || flow.extents_out()) return;
  flow.socket.reset();
  pending.push_back(record_of(LANDFALL_CLOSED, &flow, flow.spec));
}

bool Queue::take_back(const landfall_return& back) {
  Flow& flow = *reinterpret_cast<Flow*>(back.flow);
  if (!flow.socket) return false;
  if (back.memory == 0) return flow.socket->give_back(back.token, back.offset);
  if (back.memory != 1 || back.token >= spill_owner.size() || spill_owner[back.token] != &flow)
    return false;
  std::fill_n(static_cast<std::byte*>(spill.host) + back.offset, domain.options.page,
              DevmemPool::kScribble);
  spill_owner[back.token] = nullptr;
  spill_free.push_back(back.token);
  --flow.spilled;
  return true;
}

}  // namespace landfall::test::devmem
