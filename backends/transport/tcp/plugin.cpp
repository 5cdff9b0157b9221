// SPDX-License-Identifier: Apache-2.0
// The transport `tcp`: the kernel copies each byte once, straight into the region.
#include <memory>
#include <span>

#include "landfall/abi/authoring.hpp"
#include "tcp/options.hpp"
#include "tcp/queue.hpp"
#include "tcp/slots.hpp"

namespace {

using namespace landfall;
using namespace landfall::tcp;

struct Domain {
  const landfall_host* host;
  std::byte* region;
  Options options;  // engine: which one it is; turn_bytes: 0 where the kernel has no turns
  std::uint32_t slot_bytes;
};

Domain* own(landfall_domain* domain) {
  return reinterpret_cast<Domain*>(domain);
}
Queue& own(landfall_queue* queue) {
  return *reinterpret_cast<Queue*>(queue);
}

/// Replaces `automatic` by an engine that works here; *ret_told: why it is not the better one.
landfall_errc choose_engine(const landfall_host* host, Options* options, landfall_why* reterr_why,
                            landfall_why* ret_told) {
  if (options->engine == Engine::recv) return LANDFALL_ERRC_ok;
  landfall_why why{};
  why.struct_size = sizeof why;
  bool has_turns = false;
  const landfall_errc code = probe_uring(host, &has_turns, &why);
  if (code == LANDFALL_ERRC_ok) {
    if (!has_turns) options->turn_bytes = 0;
    options->engine = Engine::io_uring;
    return code;
  }
  if (options->engine == Engine::io_uring) {
    if (reterr_why != nullptr) *reterr_why = why;
    return code;
  }
  options->engine = Engine::recv;
  if (ret_told != nullptr) *ret_told = why;
  return LANDFALL_ERRC_ok;
}

landfall_errc probe(const landfall_domain_spec* spec, landfall_needs* ret_needs,
                    landfall_why* reterr_why) noexcept {
  ret_needs->flags = LANDFALL_NEED_HOST_VIEW | LANDFALL_TAKES_SOCKETS | LANDFALL_FLOW_ON_ANY_QUEUE;
  ret_needs->spill_bytes_per_queue = 0;
  ret_needs->slice_align_bytes = SlotPool::kSmallestSlot;
  ret_needs->min_slice_bytes = 16 * SlotPool::kSmallestSlot;
  ret_needs->best_placement = LANDFALL_COPIED;
  ret_needs->copy_reason = LANDFALL_REASON_copied_by_kernel;
  return authoring::guarded(reterr_why, [&] {
    Options options;
    if (const auto code = read_options(spec->options, &options, reterr_why);
        code != LANDFALL_ERRC_ok) {
      return code;
    }
    return choose_engine(spec->host, &options, reterr_why, nullptr);
  });
}

landfall_errc domain_open(const landfall_domain_spec* spec, landfall_domain** ret_domain,
                          landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    if (spec->region == nullptr || spec->region->host == nullptr) {
      return authoring::refuse(reterr_why, LANDFALL_ERRC_not_supported,
                               LANDFALL_REASON_needs_host_view, LANDFALL_ORIGIN_LANDFALL, 0, "%s",
                               "");
    }
    auto domain = std::make_unique<Domain>();
    domain->host = spec->host;
    domain->region = static_cast<std::byte*>(spec->region->host);
    domain->slot_bytes = spec->slot_bytes;
    landfall_why told{};
    told.struct_size = sizeof told;
    if (const auto code = read_options(spec->options, &domain->options, reterr_why);
        code != LANDFALL_ERRC_ok) {
      return code;
    }
    if (const auto code = choose_engine(spec->host, &domain->options, reterr_why, &told);
        code != LANDFALL_ERRC_ok) {
      return code;
    }
    // The fallback is not silent.
    if (told.code != LANDFALL_REASON_none && spec->host != nullptr &&
        LANDFALL_HAS(spec->host, landfall_host, event)) {
      spec->host->event(spec->host->ctx, &told);
    }
    *ret_domain = reinterpret_cast<landfall_domain*>(domain.release());
    return static_cast<landfall_errc>(LANDFALL_ERRC_ok);
  });
}

void domain_close(landfall_domain* domain) noexcept {
  delete own(domain);
}

landfall_errc queue_open(landfall_domain* domain, const landfall_queue_spec* spec,
                         landfall_queue** ret_queue, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    const Domain& from = *own(domain);
    if (spec->slice_length < 16 * SlotPool::kSmallestSlot) {
      return authoring::refuse(reterr_why, LANDFALL_ERRC_invalid_argument,
                               LANDFALL_REASON_region_too_small, LANDFALL_ORIGIN_LANDFALL, 0, "%s",
                               "");
    }
    const QueueSetup setup{.host = from.host,
                           .region = from.region,
                           .options = from.options,
                           .slot_bytes = from.slot_bytes,
                           .spec = *spec};
    std::unique_ptr<Queue> queue;
    const landfall_errc code = from.options.engine == Engine::io_uring
                                   ? open_uring_queue(setup, &queue, reterr_why)
                                   : open_recv_queue(setup, &queue, reterr_why);
    if (code == LANDFALL_ERRC_ok) *ret_queue = reinterpret_cast<landfall_queue*>(queue.release());
    return code;
  });
}

void queue_stop(landfall_queue* queue) noexcept {
  own(queue).stop();
}

void queue_close(landfall_queue* queue) noexcept {
  delete &own(queue);
}

landfall_errc poll(landfall_queue* queue, landfall_record* records, std::uint32_t capacity,
                   std::uint32_t* ret_count) noexcept {
  *ret_count = 0;
  return authoring::guarded(nullptr, [&] {
    return own(queue).poll({records, capacity}, ret_count);
  });
}

void give_back(landfall_queue* queue, const landfall_return* returns,
               std::uint32_t count) noexcept {
  own(queue).give_back({returns, count});
}

landfall_errc arm(landfall_queue* queue, std::uint32_t* ret_armed) noexcept {
  return authoring::guarded(nullptr, [&] { return own(queue).arm(ret_armed); });
}

std::int32_t wait_fd(landfall_queue* queue) noexcept {
  return own(queue).wait_fd();
}

landfall_errc wait(landfall_queue* queue, std::int32_t control_fd, std::uint64_t timeout_ns,
                   std::int32_t* ret_control) noexcept {
  return authoring::guarded(nullptr,
                            [&] { return own(queue).wait(control_fd, timeout_ns, ret_control); });
}

landfall_errc attach(landfall_queue* queue, std::int32_t fd, const landfall_flow_spec* spec,
                     landfall_flow** ret_flow, landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why, [&] {
    Flow* flow = nullptr;
    const landfall_errc code = own(queue).attach(fd, *spec, &flow, reterr_why);
    if (code == LANDFALL_ERRC_ok) *ret_flow = handle(flow);
    return code;
  });
}

landfall_errc detach(landfall_queue* queue, landfall_flow* flow, std::int32_t* ret_fd,
                     landfall_why* reterr_why) noexcept {
  return authoring::guarded(reterr_why,
                            [&] { return own(queue).detach(*flow_of(flow), ret_fd, reterr_why); });
}

void flow_close(landfall_queue* queue, landfall_flow* flow, std::int32_t reset) noexcept {
  own(queue).close(*flow_of(flow), reset != 0);
}

landfall_errc flow_pause(landfall_queue* queue, landfall_flow* flow, std::int32_t on) noexcept {
  return authoring::guarded(nullptr, [&] { return own(queue).pause(*flow_of(flow), on != 0); });
}

landfall_errc land(landfall_queue* queue, landfall_flow* flow, std::uint64_t most_bytes) noexcept {
  if (most_bytes == 0) return LANDFALL_ERRC_invalid_argument;
  return authoring::guarded(nullptr, [&] {
    return own(queue).request(*flow_of(flow), {nullptr, most_bytes, 0, 0});
  });
}

landfall_errc post(landfall_queue* queue, landfall_flow* flow, const landfall_memory* to,
                   std::uint64_t offset, std::uint64_t length, std::uint64_t token) noexcept {
  if (to->host == nullptr) return LANDFALL_ERRC_not_supported;
  if (length == 0 || offset > to->size_bytes || length > to->size_bytes - offset)
    return LANDFALL_ERRC_invalid_argument;
  return authoring::guarded(nullptr, [&] {
    return own(queue).request(*flow_of(flow),
                              {static_cast<std::byte*>(to->host) + offset, length, 0, token});
  });
}

constexpr landfall_transport_ops kOps{
    .struct_size = sizeof(landfall_transport_ops),
    .reserved = 0,
    .probe = probe,
    .domain_open = domain_open,
    .domain_close = domain_close,
    .queue_open = queue_open,
    .queue_stop = queue_stop,
    .queue_close = queue_close,
    .own_memory = nullptr,
    .poll = poll,
    .give_back = give_back,
    .arm = arm,
    .wait_fd = wait_fd,
    .wait = wait,
    .attach = attach,
    .detach = detach,
    .flow_close = flow_close,
    .flow_pause = flow_pause,
    .land = land,
    .post = post,
    .listen = nullptr,
    .listener_close = nullptr,
    .connect = nullptr,
    .flow_start = nullptr,
};

}  // namespace

extern "C" constinit const landfall_backend landfall_builtin_transport_tcp = authoring::describe(
    &kOps, 90, "tcp", "0.1.0",
    "any TCP socket: one copy by the kernel, straight into the region (io_uring, or recv)");
