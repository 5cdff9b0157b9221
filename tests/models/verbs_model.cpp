// SPDX-License-Identifier: Apache-2.0
#include "models/verbs_model.hpp"

#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "models/device_memory.hpp"
#include "models/model_options.hpp"
#include "models/verbs_queue.hpp"

namespace landfall::test {
namespace {

using namespace landfall::authoring;
using namespace verbs;

Domain* own(landfall_domain* domain) {
  return reinterpret_cast<Domain*>(domain);
}
Queue* own(landfall_queue* queue) {
  return reinterpret_cast<Queue*>(queue);
}
Flow* own(landfall_flow* flow) {
  return reinterpret_cast<Flow*>(flow);
}

landfall_errc read(const landfall_domain_spec* spec, Options& options, landfall_why* why) {
  const landfall_errc code =
      read_options(spec->options, {{"slot", &options.slot}, {"credits", &options.credits}}, why);
  if (spec->slot_bytes != 0) options.slot = spec->slot_bytes;
  return code;
}

landfall_errc probe(const landfall_domain_spec* spec, landfall_needs* ret_needs,
                    landfall_why* why) {
  Options options;
  if (const landfall_errc code = read(spec, options, why)) return code;
  ret_needs->flags = LANDFALL_FLOW_ON_ANY_QUEUE | LANDFALL_MESSAGES;
  ret_needs->slice_align_bytes = options.slot;
  ret_needs->min_slice_bytes = 2 * options.slot;
  ret_needs->best_placement = LANDFALL_DIRECT;
  return LANDFALL_ERRC_ok;
}

landfall_errc domain_open(const landfall_domain_spec* spec, landfall_domain** ret_domain,
                          landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto domain = std::make_unique<Domain>();
    if (const landfall_errc code = read(spec, domain->options, why)) return code;
    domain->host = spec->host;
    if (const int injected = fault(spec->host, "ibv_reg_mr"))
      return refuse_os(why, "ibv_reg_mr", LANDFALL_REASON_none, injected);
    domain->bytes = bytes_of(*spec->region);
    *ret_domain = reinterpret_cast<landfall_domain*>(domain.release());
    return LANDFALL_ERRC_ok;
  });
}

void domain_close(landfall_domain* domain) {
  delete own(domain);
}

landfall_errc queue_open(landfall_domain* domain, const landfall_queue_spec* spec,
                         landfall_queue** ret_queue, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto queue = std::make_unique<Queue>(*own(domain), *spec);
    if (const landfall_errc code = queue->open(why)) return code;
    *ret_queue = reinterpret_cast<landfall_queue*>(queue.release());
    return LANDFALL_ERRC_ok;
  });
}

void queue_stop(landfall_queue*) {}
void queue_close(landfall_queue* queue) {
  delete own(queue);
}

landfall_errc poll(landfall_queue* queue, landfall_record* records, std::uint32_t capacity,
                   std::uint32_t* ret_count) {
  *ret_count = own(queue)->poll({records, capacity});
  return LANDFALL_ERRC_ok;
}

void give_back(landfall_queue* queue, const landfall_return* returns, std::uint32_t count) {
  for (const landfall_return& back : std::span{returns, count}) own(queue)->give_back(back);
  own(queue)->send_credits();
}

landfall_errc arm(landfall_queue* queue, std::uint32_t* ret_armed) {
  *ret_armed = own(queue)->arm();
  return LANDFALL_ERRC_ok;
}

std::int32_t wait_fd(landfall_queue* queue) {
  return own(queue)->channel_fd;
}

void flow_close(landfall_queue* queue, landfall_flow* flow, std::int32_t reset) {
  own(queue)->close(*own(flow), reset != 0);
}

landfall_errc flow_pause(landfall_queue* queue, landfall_flow* flow, std::int32_t on) {
  own(flow)->paused = on != 0;
  if (on == 0) own(queue)->send_credits();
  return LANDFALL_ERRC_ok;
}

landfall_errc listen(landfall_domain* domain, landfall_queue* reports_to, const void* address,
                     std::uint32_t length, landfall_listener** ret_listener, void* ret_sockaddr,
                     std::uint32_t* ret_length, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto listener = std::make_unique<Listener>(*own(reports_to));
    const auto* at = static_cast<const sockaddr*>(address);
    int failed = fault(own(domain)->host, "rdma_listen");
    if (failed == 0) {
      listener->fd = ::socket(at->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
      if (::bind(listener->fd, at, length) != 0 || ::listen(listener->fd, SOMAXCONN) != 0 ||
          ::getsockname(listener->fd, static_cast<sockaddr*>(ret_sockaddr), ret_length) != 0 ||
          own(reports_to)->watch(listener->fd, EPOLLIN, *listener) != 0)
        failed = errno;
    }
    if (failed != 0) {
      if (listener->fd >= 0) ::close(listener->fd);
      return refuse_os(why, "rdma_listen",
                       failed == EADDRINUSE ? LANDFALL_REASON_address_in_use : LANDFALL_REASON_none,
                       failed);
    }
    const std::lock_guard lock{own(domain)->mutex};
    own(domain)->listeners.push_back(std::move(listener));
    *ret_listener = reinterpret_cast<landfall_listener*>(own(domain)->listeners.back().get());
    return LANDFALL_ERRC_ok;
  });
}

void listener_close(landfall_listener* handle) {
  auto* listener = reinterpret_cast<Listener*>(handle);
  const std::lock_guard lock{listener->reports_to.domain.mutex};
  ::close(std::exchange(listener->fd, -1));  // the object stays: a poll may hold its event
}

landfall_errc connect(landfall_queue* queue, const void* address, std::uint32_t length,
                      const landfall_flow_spec* spec, landfall_flow** ret_flow, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    if (const int injected = fault(own(queue)->domain.host, "rdma_connect"))
      return refuse_os(why, "rdma_connect", LANDFALL_REASON_none, injected);
    const auto* to = static_cast<const sockaddr*>(address);
    const int fd = ::socket(to->sa_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd < 0) return refuse_os(why, "socket", LANDFALL_REASON_nofile_limit, errno);
    Flow& flow = own(queue)->domain.add_flow(fd);
    flow.spec = *spec;
    flow.connecting = true;
    if ((::connect(fd, to, length) != 0 && errno != EINPROGRESS) ||
        own(queue)->watch(fd, EPOLLOUT, flow) != 0)
      return refuse_os(why, "rdma_connect", LANDFALL_REASON_peer_unreachable, errno);
    *ret_flow = reinterpret_cast<landfall_flow*>(&flow);
    return LANDFALL_ERRC_ok;
  });
}

landfall_errc flow_start(landfall_queue* queue, landfall_flow* flow,
                         const landfall_flow_spec* spec) {
  own(queue)->start(*own(flow), *spec);
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
    .flow_close = flow_close,
    .flow_pause = flow_pause,
    .listen = listen,
    .listener_close = listener_close,
    .connect = connect,
    .flow_start = flow_start,
};

}  // namespace

constexpr landfall_backend kVerbsModel =
    authoring::describe(&kOps, 20, "verbs-model", "1",
                        "model of RDMA receive: posted slots, messages, its own connections");

}  // namespace landfall::test
