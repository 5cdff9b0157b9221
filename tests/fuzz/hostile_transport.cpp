// SPDX-License-Identifier: Apache-2.0
#include "hostile_transport.hpp"

#include <memory>

namespace landfall::fuzz {
namespace {

constexpr std::uint64_t kOwnMemoryBytes = 4096;

HostileState g_state;

// Handles are numbers: nothing stands behind them.
template <class Handle>
Handle* handle(std::uintptr_t number) {
  return reinterpret_cast<Handle*>(number);
}

landfall_errc probe(const landfall_domain_spec*, landfall_needs* ret_needs, landfall_why*) {
  ret_needs->flags = LANDFALL_NEED_HOST_VIEW | LANDFALL_SHARED_POOL | LANDFALL_MESSAGES;
  ret_needs->spill_bytes_per_queue = 4096;
  ret_needs->best_placement = LANDFALL_DIRECT;
  return LANDFALL_ERRC_ok;
}

landfall_errc domain_open(const landfall_domain_spec* spec, landfall_domain** ret_domain,
                          landfall_why*) {
  g_state.region_bytes = spec->region->size_bytes;
  *ret_domain = handle<landfall_domain>(1);
  return LANDFALL_ERRC_ok;
}
void domain_close(landfall_domain*) {}

landfall_errc queue_open(landfall_domain*, const landfall_queue_spec*, landfall_queue** ret_queue,
                         landfall_why*) {
  *ret_queue = handle<landfall_queue>(2);
  return LANDFALL_ERRC_ok;
}
void queue_stop(landfall_queue*) {}
void queue_close(landfall_queue*) {}

landfall_errc own_memory(landfall_queue*, std::uint16_t memory, landfall_memory* ret_memory) {
  if (memory != 2) return LANDFALL_ERRC_not_found;
  alignas(64) static std::byte bytes[kOwnMemoryBytes];
  *ret_memory = landfall_memory{};
  ret_memory->struct_size = sizeof *ret_memory;
  ret_memory->flags = LANDFALL_MEM_CPU_READ;
  ret_memory->size_bytes = kOwnMemoryBytes;
  ret_memory->host = bytes;
  ret_memory->numa_node = -1;
  return LANDFALL_ERRC_ok;
}

/// Mostly something near the truth, so that the input reaches what lies behind the checks.
std::uint64_t near(Bytes& in, std::uint64_t limit) {
  switch (const std::uint8_t how = in.u8(); how % 8) {
    case 0:
      return in.u64();
    case 1:
      return limit - how / 8;
    case 2:
      return limit + how / 8;
    default:
      return limit == 0 ? 0 : in.u32() % limit;
  }
}

landfall_record make_record(Bytes& in) {
  landfall_record record{};
  const std::uint8_t kind = in.u8();
  record.kind = kind % 3 != 0 ? std::uint8_t{LANDFALL_DATA} : static_cast<std::uint8_t>(kind / 3);
  const std::uint8_t flow = in.u8();
  if (flow == 255 || g_state.tags.empty()) {
    record.flow_tag = in.u64();
  } else if (flow == 254) {
    record.flow_tag = 0;
  } else {
    record.flow_tag = g_state.tags[flow % g_state.tags.size()];
  }
  record.flow = handle<landfall_flow>(record.flow_tag + 16);
  const std::uint8_t memory = in.u8();
  record.memory = memory < 250 ? memory % 3 : static_cast<std::uint16_t>(in.u16());
  record.placement = in.u8();
  const std::uint64_t limit = record.memory == 0 ? g_state.region_bytes : 4096;
  record.offset = near(in, limit);
  record.length = static_cast<std::uint32_t>(near(in, limit - record.offset % limit));
  record.stream_offset = near(in, 1 << 20);
  record.charge_bytes = static_cast<std::uint32_t>(near(in, 65536));
  record.token = g_state.next_token++;
  record.code = in.u16();
  record.flags = in.u8();
  record.native = in.u8();
  if (record.kind == LANDFALL_DATA) g_state.tokens[record.token] = 0;
  return record;
}

landfall_errc poll(landfall_queue*, landfall_record* records, std::uint32_t capacity,
                   std::uint32_t* ret_count) {
  Bytes& in = *g_state.input;
  const std::uint8_t how = in.u8();
  const bool too_many = how == 255;  // says more than there was room for
  const std::uint32_t count = too_many ? capacity : std::min<std::uint32_t>(capacity, how % 16);
  for (std::uint32_t i = 0; i < count; ++i) records[i] = make_record(in);
  *ret_count = too_many ? count + 1 + in.u8() : count;
  return how == 254 ? LANDFALL_ERRC_io : LANDFALL_ERRC_ok;
}

void give_back(landfall_queue*, const landfall_return* returns, std::uint32_t count) {
  for (std::uint32_t i = 0; i < count; ++i) {
    const auto known = g_state.tokens.find(returns[i].token);
    if (known == g_state.tokens.end() || ++known->second > 1) ++g_state.bad_returns;
  }
}

landfall_errc arm(landfall_queue*, std::uint32_t* ret_armed) {
  *ret_armed = g_state.input->u8() % 4;
  return LANDFALL_ERRC_ok;
}
std::int32_t wait_fd(landfall_queue*) {
  return -1;
}

void flow_close(landfall_queue*, landfall_flow*, std::int32_t) {}
landfall_errc flow_pause(landfall_queue*, landfall_flow*, std::int32_t) {
  return LANDFALL_ERRC_ok;
}
landfall_errc land(landfall_queue*, landfall_flow*, std::uint64_t) {
  return LANDFALL_ERRC_ok;
}
landfall_errc post(landfall_queue*, landfall_flow*, const landfall_memory*, std::uint64_t,
                   std::uint64_t, std::uint64_t) {
  return LANDFALL_ERRC_ok;
}

landfall_errc listen(landfall_domain*, landfall_queue*, const void*, std::uint32_t,
                     landfall_listener** ret_listener, void*, std::uint32_t*, landfall_why*) {
  *ret_listener = handle<landfall_listener>(3);
  return LANDFALL_ERRC_ok;
}
void listener_close(landfall_listener*) {}

landfall_errc connect(landfall_queue*, const void*, std::uint32_t, const landfall_flow_spec* spec,
                      landfall_flow** ret_flow, landfall_why*) {
  g_state.tags.push_back(spec->flow_tag);
  *ret_flow = handle<landfall_flow>(spec->flow_tag + 16);
  return LANDFALL_ERRC_ok;
}
landfall_errc flow_start(landfall_queue*, landfall_flow*, const landfall_flow_spec* spec) {
  g_state.tags.push_back(spec->flow_tag);
  return LANDFALL_ERRC_ok;
}

constexpr landfall_transport_ops make_ops(bool native) {
  landfall_transport_ops ops{};
  ops.struct_size = sizeof ops;
  ops.probe = probe;
  ops.domain_open = domain_open;
  ops.domain_close = domain_close;
  ops.queue_open = queue_open;
  ops.queue_stop = queue_stop;
  ops.queue_close = queue_close;
  ops.own_memory = own_memory;
  ops.poll = poll;
  ops.give_back = give_back;
  ops.arm = arm;
  ops.wait_fd = wait_fd;
  ops.flow_close = flow_close;
  ops.flow_pause = flow_pause;
  if (native) {
    ops.land = land;
    ops.post = post;
  }
  ops.listen = listen;
  ops.listener_close = listener_close;
  ops.connect = connect;
  ops.flow_start = flow_start;
  return ops;
}

constexpr landfall_transport_ops kNativeOps = make_ops(true);
constexpr landfall_transport_ops kPlainOps = make_ops(false);

constexpr landfall_backend make_backend(const char* name, const landfall_transport_ops* ops) {
  return {.struct_size = sizeof(landfall_backend),
          .abi_major = LANDFALL_ABI_MAJOR,
          .abi_minor = LANDFALL_ABI_MINOR,
          .kind = LANDFALL_KIND_TRANSPORT,
          .rank = 1,
          .name = name,
          .version = "1",
          .summary = "reports what a fuzz input says",
          .ops = ops};
}

}  // namespace

HostileState& hostile() noexcept {
  return g_state;
}

constexpr landfall_backend kHostileNative = make_backend("hostile-native", &kNativeOps);
constexpr landfall_backend kHostilePlain = make_backend("hostile-plain", &kPlainOps);

}  // namespace landfall::fuzz
