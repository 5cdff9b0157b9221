// SPDX-License-Identifier: Apache-2.0
// A transport as a plug-in: recv(2) into slots of the Region. Build it against an installed
// landfall, load it with Context::load, and name it in GroupOptions::transports: "sample-recv".
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <deque>
#include <iterator>
#include <memory>
#include <utility>
#include <vector>

#include "landfall/abi/authoring.hpp"
#include "landfall/abi/export.h"

using namespace landfall::authoring;

struct landfall_domain {
  const landfall_host* host;
  std::byte* memory;
  std::uint32_t slot_bytes;
};

struct landfall_flow {
  landfall_flow_spec spec;
  int fd;
  std::uint32_t extents_out = 0;
  bool paused = false, ended = false, closing = false, watched = false;
};

struct landfall_queue {
  landfall_domain* domain;
  landfall_queue_spec spec;
  int epoll_fd;
  std::vector<std::uint32_t> free_slots;  // the newest on top: it is still in the cache
  std::vector<std::unique_ptr<landfall_flow>> flows;
  std::deque<landfall_record> pending;

  landfall_record record_of(landfall_flow* flow, std::uint8_t kind) const {
    landfall_record record{};
    record.kind = kind;
    record.flow = flow;
    record.flow_tag = flow->spec.flow_tag;
    record.stream_offset = flow->spec.stream_offset;
    return record;
  }
  /// Level-triggered: a flow is in the epoll while its bytes are wanted and there is a slot for
  /// them; out of it, not muted: a hang-up is told of whatever is in the set.
  void watch(landfall_flow* flow) const {
    const bool wanted = !flow->paused && !flow->ended && !flow->closing && !free_slots.empty();
    if (wanted == flow->watched) return;
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.ptr = flow;
    ::epoll_ctl(epoll_fd, wanted ? EPOLL_CTL_ADD : EPOLL_CTL_DEL, flow->fd, &event);
    flow->watched = wanted;
  }
  void watch_all() const {
    for (const auto& flow : flows) watch(flow.get());
  }
  void close_if_last(landfall_flow* flow) {
    if (!flow->closing || flow->extents_out != 0) return;
    pending.push_back(record_of(flow, LANDFALL_CLOSED));
    forget(flow);
  }
  void forget(landfall_flow* flow) {
    if (flow->fd >= 0) ::close(flow->fd);
    std::erase_if(flows, [&](const auto& one) { return one.get() == flow; });
  }
};

namespace {

constexpr std::uint32_t kSlotBytes = 16 * 1024;

landfall_errc probe(const landfall_domain_spec* spec, landfall_needs* ret_needs,
                    landfall_why* reterr_why) {
  ret_needs->flags = LANDFALL_NEED_HOST_VIEW | LANDFALL_TAKES_SOCKETS | LANDFALL_FLOW_ON_ANY_QUEUE;
  ret_needs->min_slice_bytes = spec->slot_bytes != 0 ? spec->slot_bytes : kSlotBytes;
  ret_needs->best_placement = LANDFALL_COPIED;
  ret_needs->copy_reason = LANDFALL_REASON_copied_by_kernel;
  if (spec->options != nullptr && *spec->options != '\0')
    return refuse(reterr_why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_option_not_understood,
                  LANDFALL_ORIGIN_LANDFALL, 0, "%s", spec->options);
  return LANDFALL_ERRC_ok;
}

landfall_errc domain_open(const landfall_domain_spec* spec, landfall_domain** ret_domain,
                          landfall_why* reterr_why) {
  return guarded(reterr_why, [&]() -> landfall_errc {
    *ret_domain = new landfall_domain{spec->host, static_cast<std::byte*>(spec->region->host),
                                      spec->slot_bytes != 0 ? spec->slot_bytes : kSlotBytes};
    return LANDFALL_ERRC_ok;
  });
}
void domain_close(landfall_domain* domain) {
  delete domain;
}

landfall_errc queue_open(landfall_domain* domain, const landfall_queue_spec* spec,
                         landfall_queue** ret_queue, landfall_why* reterr_why) {
  return guarded(reterr_why, [&]() -> landfall_errc {
    auto queue = std::make_unique<landfall_queue>(landfall_queue{domain, *spec, -1, {}, {}, {}});
    const auto slots = static_cast<std::uint32_t>(
        std::min<std::uint64_t>(spec->slice_length / domain->slot_bytes, spec->extents_max));
    for (std::uint32_t slot = slots; slot > 0; --slot) queue->free_slots.push_back(slot - 1);
    int failed = fault(domain->host, "epoll_create1");
    if (failed == 0 && (queue->epoll_fd = ::epoll_create1(EPOLL_CLOEXEC)) < 0) failed = errno;
    if (failed != 0)
      return refuse_os(reterr_why, "epoll_create1", LANDFALL_REASON_event_fd_failed, failed);
    *ret_queue = queue.release();
    return LANDFALL_ERRC_ok;
  });
}
void queue_stop(landfall_queue*) {}
void queue_close(landfall_queue* queue) {
  while (!queue->flows.empty()) queue->forget(queue->flows.back().get());
  ::close(queue->epoll_fd);
  delete queue;
}

/// One recv(2): answers false when it brought no record of data.
bool receive(landfall_queue* queue, landfall_flow* flow, landfall_record* record) {
  const std::uint32_t slot = queue->free_slots.back();
  const std::uint64_t offset =
      queue->spec.slice_offset + std::uint64_t{slot} * queue->domain->slot_bytes;
  int failed = fault(queue->domain->host, "recv");
  ssize_t got = -1;
  if (failed == 0) {
    got = ::recv(flow->fd, queue->domain->memory + offset, queue->domain->slot_bytes, MSG_DONTWAIT);
    failed = got < 0 ? errno : 0;
  }
  if (got > 0) {
    queue->free_slots.pop_back();
    *record = queue->record_of(flow, LANDFALL_DATA);
    record->placement = LANDFALL_COPIED;
    record->code = LANDFALL_REASON_copied_by_kernel;
    record->offset = offset;
    record->token = slot;
    record->length = static_cast<std::uint32_t>(got);
    record->charge_bytes = queue->domain->slot_bytes;
    flow->spec.stream_offset += record->length;
    ++flow->extents_out;
    return true;
  }
  if (failed == EAGAIN || failed == EINTR) return false;
  flow->ended = true;
  queue->watch(flow);
  queue->pending.push_back(
      queue->record_of(flow, failed == 0 ? LANDFALL_END_OF_STREAM : LANDFALL_FAILED));
  queue->pending.back().native = failed;
  queue->pending.back().code = failed == ECONNRESET ? LANDFALL_REASON_peer_reset : 0;
  return false;
}

landfall_errc poll(landfall_queue* queue, landfall_record* records, std::uint32_t capacity,
                   std::uint32_t* ret_count) {
  std::uint32_t count = 0;
  epoll_event events[64];
  const int most = static_cast<int>(
      std::min<std::size_t>({std::size(events), capacity, queue->free_slots.size()}));
  const int ready = most > 0 ? ::epoll_wait(queue->epoll_fd, events, most, 0) : 0;
  for (int i = 0; i < ready; ++i) {
    auto* flow = static_cast<landfall_flow*>(events[i].data.ptr);
    if (!flow->ended && receive(queue, flow, records + count)) ++count;
  }
  if (ready > 0 && queue->free_slots.empty()) queue->watch_all();  // dry: senders stall
  for (; count < capacity && !queue->pending.empty(); queue->pending.pop_front())
    records[count++] = queue->pending.front();
  *ret_count = count;
  return LANDFALL_ERRC_ok;
}

void give_back(landfall_queue* queue, const landfall_return* returns, std::uint32_t count) {
  const bool was_dry = queue->free_slots.empty();
  for (std::uint32_t i = 0; i < count; ++i) {
    queue->free_slots.push_back(static_cast<std::uint32_t>(returns[i].token));
    --returns[i].flow->extents_out;
    queue->close_if_last(returns[i].flow);
  }
  if (was_dry) queue->watch_all();
}

landfall_errc arm(landfall_queue* queue, std::uint32_t* ret_armed) {
  *ret_armed = !queue->pending.empty()     ? LANDFALL_ARM_READY
               : queue->free_slots.empty() ? LANDFALL_ARM_WANTS_RETURNS
                                           : 0;
  return LANDFALL_ERRC_ok;
}
std::int32_t wait_fd(landfall_queue* queue) {
  return queue->epoll_fd;
}

landfall_errc attach(landfall_queue* queue, std::int32_t fd, const landfall_flow_spec* spec,
                     landfall_flow** ret_flow, landfall_why* reterr_why) {
  return guarded(reterr_why, [&]() -> landfall_errc {
    auto flow = std::make_unique<landfall_flow>(landfall_flow{*spec, fd});
    if (const int injected = fault(queue->domain->host, "epoll_ctl"))
      return refuse_os(reterr_why, "epoll_ctl", LANDFALL_REASON_none, injected);
    *ret_flow = flow.get();
    queue->flows.push_back(std::move(flow));
    queue->watch(*ret_flow);
    return LANDFALL_ERRC_ok;
  });
}

landfall_errc detach(landfall_queue* queue, landfall_flow* flow, std::int32_t* ret_fd,
                     landfall_why* reterr_why) {
  if (flow->extents_out != 0)
    return refuse(reterr_why, LANDFALL_ERRC_busy, LANDFALL_REASON_extents_out,
                  LANDFALL_ORIGIN_LANDFALL, 0, "%s", "");
  flow->ended = true;
  queue->watch(flow);
  *ret_fd = std::exchange(flow->fd, -1);
  queue->forget(flow);
  return LANDFALL_ERRC_ok;
}

void flow_close(landfall_queue* queue, landfall_flow* flow, std::int32_t reset) {
  flow->closing = true;
  queue->watch(flow);
  if (reset != 0) {  // RST now, the descriptor when the last extent is back
    const sockaddr nowhere{AF_UNSPEC, {}};
    ::connect(flow->fd, &nowhere, sizeof nowhere);
  } else {
    ::shutdown(flow->fd, SHUT_RDWR);
  }
  queue->close_if_last(flow);
}

landfall_errc flow_pause(landfall_queue* queue, landfall_flow* flow, std::int32_t on) {
  flow->paused = on != 0;
  queue->watch(flow);
  return LANDFALL_ERRC_ok;
}

constexpr landfall_transport_ops make_ops() {
  landfall_transport_ops ops{};  // what is not set is not offered: the core does without
  ops.struct_size = sizeof ops;
  ops.probe = probe;
  ops.domain_open = domain_open;
  ops.domain_close = domain_close;
  ops.queue_open = queue_open;
  ops.queue_stop = queue_stop;
  ops.queue_close = queue_close;
  ops.poll = poll;
  ops.give_back = give_back;
  ops.arm = arm;
  ops.wait_fd = wait_fd;
  ops.attach = attach;
  ops.detach = detach;
  ops.flow_close = flow_close;
  ops.flow_pause = flow_pause;
  return ops;
}
constexpr landfall_transport_ops kOps = make_ops();

constexpr landfall_backend kBackend =
    describe(&kOps, 95, "sample-recv", "1.0", "recv(2) into the Region, as an example");

}  // namespace

extern "C" LANDFALL_API const landfall_backend* landfall_backend_query(std::uint32_t host_abi_major,
                                                                       std::uint32_t index) {
  return host_abi_major == LANDFALL_ABI_MAJOR && index == 0 ? &kBackend : nullptr;
}
