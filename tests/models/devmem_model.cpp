// SPDX-License-Identifier: Apache-2.0
#include "models/devmem_model.hpp"

#include <fcntl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <vector>

#include "models/device_memory.hpp"
#include "models/devmem_queue.hpp"
#include "models/model_options.hpp"

namespace landfall::test {
namespace {

using namespace landfall::authoring;
using namespace devmem;

constexpr std::uint64_t kSpillSlots = 128;  // per queue

std::atomic<std::uint64_t> g_bad_returns, g_closed_with_extents, g_demanded;
std::mutex g_domains_mutex;
std::vector<Domain*> g_domains;  // guarded by it

Domain* own(landfall_domain* domain) {
  return reinterpret_cast<Domain*>(domain);
}
Queue* own(landfall_queue* queue) {
  return reinterpret_cast<Queue*>(queue);
}
Flow* own(landfall_flow* flow) {
  return reinterpret_cast<Flow*>(flow);
}

landfall_errc read(const char* text, Options& options, landfall_why* why) {
  return read_options(text,
                      {{"page", &options.page},
                       {"linear_every", &options.linear_every},
                       {"unsteered", &options.unsteered},
                       {"drop", &options.drop},
                       {"dmabuf", &options.dmabuf},
                       {"grant", &options.grant}},
                      why);
}

landfall_errc probe(const landfall_domain_spec* spec, landfall_needs* ret_needs,
                    landfall_why* why) {
  Options options;
  if (const landfall_errc code = read(spec->options, options, why)) return code;
  ret_needs->flags = LANDFALL_SHARED_POOL | LANDFALL_TAKES_SOCKETS | LANDFALL_FLOW_ON_ANY_QUEUE;
  if (options.drop != 0) ret_needs->flags |= LANDFALL_DRY_POOL_DROPS;
  if (options.dmabuf != 0) ret_needs->flags |= LANDFALL_NEED_DMABUF;
  if (options.grant != 0) ret_needs->flags |= LANDFALL_NEED_DMABUF | LANDFALL_NEED_GRANT;
  ret_needs->spill_bytes_per_queue = kSpillSlots * options.page;
  ret_needs->slice_align_bytes = options.page;
  ret_needs->min_slice_bytes = 4 * options.page;
  ret_needs->best_placement = options.unsteered != 0 ? LANDFALL_COPIED : LANDFALL_DIRECT;
  ret_needs->copy_reason = options.unsteered != 0 ? LANDFALL_REASON_copied_by_kernel : 0;
  return LANDFALL_ERRC_ok;
}

landfall_errc domain_open(const landfall_domain_spec* spec, landfall_domain** ret_domain,
                          landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto domain = std::make_unique<Domain>();
    if (const landfall_errc code = read(spec->options, domain->options, why)) return code;
    domain->host = spec->host;
    if (const int injected = fault(spec->host, "bind_rx"))
      return refuse_os(why, "bind_rx", LANDFALL_REASON_none, injected);
    if (domain->options.grant != 0 && (spec->grant_fd < 0 || spec->grant_dmabuf_id == 0))
      return refuse(why, LANDFALL_ERRC_not_supported, LANDFALL_REASON_no_grant);
    if (spec->grant_fd >= 0) domain->lifeline.reset(::fcntl(spec->grant_fd, F_DUPFD_CLOEXEC, 0));
    std::span<std::byte> bytes = bytes_of(*spec->region);
    if (domain->options.dmabuf != 0) {
      void* view = ::mmap(nullptr, spec->region->size_bytes, PROT_READ | PROT_WRITE, MAP_SHARED,
                          spec->dmabuf_fd, static_cast<off_t>(spec->dmabuf_offset));
      if (view == MAP_FAILED) return refuse_os(why, "mmap", LANDFALL_REASON_needs_dmabuf, errno);
      bytes = domain->mapping = {static_cast<std::byte*>(view), bytes.size()};
    }
    domain->pool = std::make_unique<DevmemPool>(bytes, domain->options.page);
    const std::lock_guard lock{g_domains_mutex};
    g_domains.push_back(domain.get());
    *ret_domain = reinterpret_cast<landfall_domain*>(domain.release());
    return LANDFALL_ERRC_ok;
  });
}

void domain_close(landfall_domain* domain) {
  const std::unique_ptr<Domain> gone{own(domain)};
  const std::lock_guard lock{g_domains_mutex};
  std::erase(g_domains, gone.get());
}

landfall_errc queue_open(landfall_domain* domain, const landfall_queue_spec* spec,
                         landfall_queue** ret_queue, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto queue = std::make_unique<Queue>(*own(domain), *spec);
    if (const int injected = fault(own(domain)->host, "epoll_create1"))
      return refuse_os(why, "epoll_create1", LANDFALL_REASON_event_fd_failed, injected);
    queue->epoll_fd = ::epoll_create1(EPOLL_CLOEXEC);
    queue->event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    epoll_event event{};
    event.events = EPOLLIN;
    if (::epoll_ctl(queue->epoll_fd, EPOLL_CTL_ADD, queue->event_fd, &event) != 0)
      return refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, errno);
    if (own(domain)->lifeline) {
      event.events = EPOLLRDHUP | EPOLLET;
      event.data.ptr = own(domain);
      if (::epoll_ctl(queue->epoll_fd, EPOLL_CTL_ADD, own(domain)->lifeline.get(), &event) != 0)
        return refuse_os(why, "epoll_ctl", LANDFALL_REASON_event_fd_failed, errno);
    }
    const std::lock_guard lock{own(domain)->mutex};
    own(domain)->queues.push_back(queue.get());
    *ret_queue = reinterpret_cast<landfall_queue*>(queue.release());
    return LANDFALL_ERRC_ok;
  });
}

void queue_stop(landfall_queue* handle) {
  for (const auto& flow : own(handle)->flows)
    if (flow->socket && !flow->closing) own(handle)->stop_watching(*flow);
}

void queue_close(landfall_queue* handle) {
  const std::unique_ptr<Queue> queue{own(handle)};
  for (const auto& flow : queue->flows)
    if (flow->extents_out()) ++g_closed_with_extents;
  const std::lock_guard lock{queue->domain.mutex};
  std::erase(queue->domain.queues, queue.get());
}

landfall_errc poll(landfall_queue* handle, landfall_record* records, std::uint32_t capacity,
                   std::uint32_t* ret_count) {
  Queue& queue = *own(handle);
  std::uint32_t count = 0;
  queue.collect();
  if (queue.domain.revoked && !queue.told_revoked) {
    queue.told_revoked = true;
    queue.ready.clear();
    landfall_record record{};
    record.kind = LANDFALL_REVOKED;
    record.code = LANDFALL_REASON_binding_revoked;
    queue.pending.push_back(record);
  }
  for (std::size_t turns = queue.ready.size(); turns > 0 && !queue.told_revoked; --turns) {
    if (count == capacity) break;
    Flow& flow = *queue.ready.front();
    if (!queue.can_receive(flow)) break;
    queue.ready.pop_front();
    count += queue.receive(flow, std::span{records + count, capacity - count});
    flow.queued = flow.readable;
    if (flow.queued) queue.ready.push_back(&flow);
  }
  while (count < capacity && !queue.pending.empty()) {
    records[count++] = queue.pending.front();
    queue.pending.pop_front();
  }
  *ret_count = count;
  return LANDFALL_ERRC_ok;
}

void give_back(landfall_queue* handle, const landfall_return* returns, std::uint32_t count) {
  Queue& queue = *own(handle);
  for (const landfall_return& back : std::span{returns, count}) {
    if (!queue.take_back(back)) {
      ++g_bad_returns;
      continue;
    }
    --queue.out;
    queue.finish_closing(*own(back.flow));
  }
}

landfall_errc arm(landfall_queue* handle, std::uint32_t* ret_armed) {
  Queue& queue = *own(handle);
  queue.collect();
  *ret_armed = 0;
  if (!queue.pending.empty() || (queue.domain.revoked && !queue.told_revoked))
    *ret_armed = LANDFALL_ARM_READY;
  else if (!queue.ready.empty() && !queue.told_revoked)
    *ret_armed =
        queue.can_receive(*queue.ready.front()) ? LANDFALL_ARM_READY : LANDFALL_ARM_WANTS_RETURNS;
  return LANDFALL_ERRC_ok;
}

std::int32_t wait_fd(landfall_queue* queue) {
  return own(queue)->epoll_fd;
}

landfall_errc attach(landfall_queue* handle, std::int32_t fd, const landfall_flow_spec* spec,
                     landfall_flow** ret_flow, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    Queue& queue = *own(handle);
    int protocol = 0;
    socklen_t length = sizeof protocol;
    if (::getsockopt(fd, SOL_SOCKET, SO_PROTOCOL, &protocol, &length) != 0 ||
        protocol != IPPROTO_TCP)
      return refuse(why, LANDFALL_ERRC_invalid_argument, LANDFALL_REASON_not_a_tcp_socket);
    auto flow = std::make_unique<Flow>();
    flow->spec = *spec;
    if (spec->demand != 0) ++g_demanded;
    flow->queued = true;  // bytes may be there already
    epoll_event event{};
    event.events = EPOLLIN | EPOLLRDHUP | EPOLLET;
    event.data.ptr = flow.get();
    int failed = fault(queue.domain.host, "epoll_ctl");
    queue.flows.reserve(queue.flows.size() + 1);
    if (failed == 0 && ::epoll_ctl(queue.epoll_fd, EPOLL_CTL_ADD, fd, &event) != 0) failed = errno;
    if (failed != 0) return refuse_os(why, "epoll_ctl", LANDFALL_REASON_none, failed);
    flow->socket = std::make_unique<DevmemSocket>(*queue.domain.pool, fd);
    queue.ready.push_back(flow.get());
    *ret_flow = reinterpret_cast<landfall_flow*>(flow.get());
    queue.flows.push_back(std::move(flow));
    return LANDFALL_ERRC_ok;
  });
}

landfall_errc detach(landfall_queue* handle, landfall_flow* flow, std::int32_t* ret_fd,
                     landfall_why* why) {
  if (own(flow)->extents_out()) return refuse(why, LANDFALL_ERRC_busy, LANDFALL_REASON_extents_out);
  own(handle)->stop_watching(*own(flow));
  *ret_fd = own(flow)->socket->release();
  own(flow)->socket.reset();
  return LANDFALL_ERRC_ok;
}

void flow_close(landfall_queue* handle, landfall_flow* flow, std::int32_t reset) {
  own(handle)->stop_watching(*own(flow));
  own(flow)->closing = true;
  end_connection(own(flow)->socket->fd(), reset != 0);
  own(handle)->finish_closing(*own(flow));
}

landfall_errc flow_pause(landfall_queue* handle, landfall_flow* flow, std::int32_t on) {
  Flow& paused = *own(flow);
  paused.paused = on != 0;
  if (paused.paused && paused.queued) std::erase(own(handle)->ready, &paused);
  const bool queue_it = !paused.paused && paused.readable && !paused.ended && !paused.closing;
  if (queue_it && !paused.queued) own(handle)->ready.push_back(&paused);
  paused.queued = queue_it;
  return LANDFALL_ERRC_ok;
}

constexpr landfall_transport_ops kOps{
    .struct_size = sizeof(landfall_transport_ops),
    .probe = probe,
    .domain_open = domain_open,
    .domain_close = domain_close,
    .queue_open = queue_open,
    .queue_stop = queue_stop,
    .queue_close = queue_close,
    .poll = poll,
    .give_back = give_back,
    .arm = arm,
    .wait_fd = wait_fd,
    .attach = attach,
    .detach = detach,
    .flow_close = flow_close,
    .flow_pause = flow_pause,
};

}  // namespace

constexpr landfall_backend kDevmemModel =
    authoring::describe(&kOps, 10, "devmem-model", "1",
                        "model of devmem TCP: the kernel picks the pages, tokens are per socket");

DevmemFaults devmem_faults() noexcept {
  return {g_bad_returns.load(), g_closed_with_extents.load(), g_demanded.load()};
}

void devmem_revoke() {
  const std::lock_guard lock{g_domains_mutex};
  for (Domain* domain : g_domains) {
    domain->revoked = true;
    const std::lock_guard queues_lock{domain->mutex};
    for (const Queue* queue : domain->queues) {
      const std::uint64_t one = 1;
      [[maybe_unused]] const ssize_t written = ::write(queue->event_fd, &one, sizeof one);
    }
  }
}

}  // namespace landfall::test
