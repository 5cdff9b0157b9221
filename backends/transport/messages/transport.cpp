// SPDX-License-Identifier: Apache-2.0
#include "messages/transport.hpp"

#include <algorithm>

namespace landfall::messages {
namespace {

using namespace landfall::authoring;

Queue& of(landfall_queue* queue) noexcept {
  return *own<Queue>(queue);
}
Flow& of(landfall_flow* flow) noexcept {
  return *own<Flow>(flow);
}

landfall_errc queue_open(landfall_domain* domain, const landfall_queue_spec* spec,
                         landfall_queue** ret_queue, landfall_why* why) {
  return guarded(why, [&] {
    const bool sends = spec->struct_size >= sizeof *spec && spec->sends != 0;
    Domain& in = *own<Domain>(domain);
    std::unique_ptr<Queue> queue = sends ? make_sending(in, *spec) : make_receiving(in, *spec);
    const landfall_errc code = queue->open(why);
    if (code == LANDFALL_ERRC_ok) *ret_queue = handle_of<landfall_queue>(queue.release());
    return code;
  });
}

void listener_close(landfall_listener* handle) {
  auto* listener = own<Listener>(handle);
  Queue& queue = *listener->reports_to;
  queue.fabric().close(*listener->place);
  queue.forget(*listener);
}

}  // namespace

landfall_errc check_spec(const landfall_domain_spec& spec, const Options& options,
                         landfall_needs* ret_needs, landfall_why* reterr_why) {
  const std::uint64_t slice =
      spec.region == nullptr ? 0 : spec.region->size_bytes / std::max(spec.queue_count, 1u);
  const std::uint32_t slot = slot_bytes_for(options, spec.slot_bytes, slice);
  ret_needs->flags = LANDFALL_FLOW_ON_ANY_QUEUE | LANDFALL_MESSAGES | LANDFALL_CAN_SEND;
  ret_needs->slice_align_bytes = std::max<std::uint64_t>(slot, 64);
  ret_needs->min_slice_bytes = 2ull * slot;
  ret_needs->best_placement = LANDFALL_DIRECT;
  static_cast<void>(reterr_why);
  return LANDFALL_ERRC_ok;
}

void fill_ops(landfall_transport_ops* ops) noexcept {
  ops->domain_close = [](landfall_domain* domain) { delete own<Domain>(domain); };
  ops->queue_open = queue_open;
  ops->queue_stop = [](landfall_queue* queue) { of(queue).stop(); };
  ops->queue_close = [](landfall_queue* queue) { delete &of(queue); };
  ops->poll = [](landfall_queue* queue, landfall_record* records, std::uint32_t capacity,
                 std::uint32_t* ret_count) {
    return guarded(nullptr, [&] {
      *ret_count = of(queue).poll(std::span{records, capacity});
      const bool over = *ret_count == 0 && of(queue).is_lost();
      return landfall_errc{over ? LANDFALL_ERRC_device_lost : LANDFALL_ERRC_ok};
    });
  };
  ops->give_back = [](landfall_queue* queue, const landfall_return* returns, std::uint32_t count) {
    of(queue).give_back(std::span{returns, count});
  };
  ops->arm = [](landfall_queue* queue, std::uint32_t* ret_armed) {
    *ret_armed = of(queue).arm();
    return landfall_errc{LANDFALL_ERRC_ok};
  };
  ops->wait_fd = [](landfall_queue* queue) -> std::int32_t { return of(queue).wait_fd(); };
  ops->flow_close = [](landfall_queue* queue, landfall_flow* flow, std::int32_t reset) {
    of(queue).close(of(flow), reset != 0);
  };
  ops->flow_pause = [](landfall_queue* queue, landfall_flow* flow, std::int32_t on) {
    of(queue).pause(of(flow), on != 0);
    return landfall_errc{LANDFALL_ERRC_ok};
  };
  ops->listen = [](landfall_domain*, landfall_queue* reports_to, const void* address,
                   std::uint32_t length, landfall_listener** ret_listener, void* ret_address,
                   std::uint32_t* ret_length, landfall_why* why) {
    return guarded(why, [&] {
      return of(reports_to).listen(address, length, ret_listener, ret_address, ret_length, why);
    });
  };
  ops->listener_close = listener_close;
  ops->connect = [](landfall_queue* queue, const void* address, std::uint32_t length,
                    const landfall_flow_spec* spec, landfall_flow** ret_flow, landfall_why* why) {
    return guarded(why, [&] { return of(queue).connect(address, length, *spec, ret_flow, why); });
  };
  ops->flow_start = [](landfall_queue* queue, landfall_flow* flow, const landfall_flow_spec* spec) {
    return guarded(nullptr, [&] { return of(queue).start(of(flow), *spec); });
  };
  ops->send = [](landfall_queue* queue, landfall_flow* flow, const landfall_send* what,
                 landfall_why* why) {
    return guarded(why, [&] { return of(queue).send(of(flow), *what, why); });
  };
  ops->finish = [](landfall_queue* queue, landfall_flow* flow) {
    return guarded(nullptr, [&] { return of(queue).finish(of(flow)); });
  };
}

}  // namespace landfall::messages
