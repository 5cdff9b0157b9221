// SPDX-License-Identifier: Apache-2.0
#include "models/null_transport.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cstring>
#include <deque>
#include <memory>
#include <mutex>
#include <span>

#include "models/model_options.hpp"

namespace landfall::test {
namespace {

using namespace landfall::authoring;

struct Options {
  std::uint64_t flows = 1, slot = 4096, length = 0, records = 0, generate = 1;
};

struct Domain {
  Options options;
};

struct Flow {
  landfall_flow_spec spec{};
  std::uint64_t records_left = 0, out = 0;
  bool started = false, paused = false, ended = false, closing = false, closed = false;
};

landfall_flow* handle(Flow* flow) {
  return reinterpret_cast<landfall_flow*>(flow);
}
Flow* own(landfall_flow* flow) {
  return reinterpret_cast<Flow*>(flow);
}
Domain* own(landfall_domain* domain) {
  return reinterpret_cast<Domain*>(domain);
}

struct Queue;
std::mutex g_queues_mutex;
std::vector<Queue*> g_queues;  // guarded by it

struct Queue final : NullQueue {
  Queue(const Options& asked, const landfall_queue_spec& spec)
      : options{asked}, slice_offset{spec.slice_offset}, extents_max{spec.extents_max} {
    const std::uint64_t slots =
        std::min<std::uint64_t>(spec.slice_length / options.slot, spec.extents_max);
    free_slots.resize(slots);
    for (std::uint64_t i = 0; i < slots; ++i)
      free_slots[i] = static_cast<std::uint32_t>(slots - 1 - i);
  }
  ~Queue() override {
    if (event_fd >= 0) ::close(event_fd);
  }

  void push(std::size_t flow, landfall_record record) override {
    const std::lock_guard lock{mutex};
    if (record.kind == LANDFALL_DATA) ++scripted_out;
    script.emplace_back(flow, record);
    has_script.store(true, std::memory_order_release);
    wake();
  }
  std::vector<landfall_return> scripted_returns() const override {
    const std::lock_guard lock{mutex};
    return scripted_back;
  }
  std::uint64_t extents_out() const noexcept override {
    return out.load(std::memory_order_relaxed) + scripted_out.load(std::memory_order_relaxed);
  }

  Flow* open_flow(const landfall_flow_spec* spec, std::uint64_t tag) {
    flows.push_back(std::make_unique<Flow>());
    Flow* flow = flows.back().get();
    flow->records_left = options.records;
    if (spec != nullptr) start(*flow, *spec);
    landfall_record opened{};
    opened.kind = LANDFALL_OPENED;
    opened.flow = handle(flow);
    opened.flow_tag = tag;
    pending.push_back(opened);
    wake();
    return flow;
  }
  void start(Flow& flow, const landfall_flow_spec& spec) {
    if (flow.started) return;
    flow.spec = spec;
    flow.started = true;
    if (options.generate != 0) live.push_back(&flow);
  }
  void report(Flow& flow, std::uint8_t kind) {
    landfall_record record{};
    record.kind = kind;
    record.flow = handle(&flow);
    record.flow_tag = flow.spec.flow_tag;
    record.stream_offset = flow.spec.stream_offset;
    pending.push_back(record);
  }
  void close_if_last(Flow& flow) {
    if (!flow.closing || flow.closed || flow.out != 0) return;
    flow.closed = true;
    report(flow, LANDFALL_CLOSED);
  }
  void wake() const {
    const std::uint64_t one = 1;
    [[maybe_unused]] const ssize_t written = ::write(event_fd, &one, sizeof one);
  }

  const Options options;
  const std::uint64_t slice_offset;
  const std::uint32_t extents_max;
  int event_fd = -1;
  std::vector<std::uint32_t> free_slots;
  std::vector<std::unique_ptr<Flow>> flows;
  std::vector<Flow*> live;  // generating
  std::size_t next_live = 0;
  std::deque<landfall_record> pending;
  std::atomic<std::uint64_t> out{0}, scripted_out{0};

  mutable std::mutex mutex;  // guards the script
  std::atomic<bool> has_script{false};
  std::deque<std::pair<std::size_t, landfall_record>> script;
  std::vector<landfall_return> scripted_back;
};

Queue* own(landfall_queue* queue) {
  return reinterpret_cast<Queue*>(queue);
}

landfall_errc read(const char* text, Options& options, landfall_why* why) {
  return read_options(text,
                      {{"flows", &options.flows},
                       {"slot", &options.slot},
                       {"length", &options.length},
                       {"records", &options.records},
                       {"generate", &options.generate}},
                      why);
}

landfall_errc probe(const landfall_domain_spec* spec, landfall_needs* ret_needs,
                    landfall_why* why) {
  Options options;
  if (const landfall_errc code = read(spec->options, options, why)) return code;
  ret_needs->flags = LANDFALL_FLOW_ON_ANY_QUEUE;
  ret_needs->slice_align_bytes = options.slot;
  ret_needs->min_slice_bytes = options.slot;
  ret_needs->best_placement = LANDFALL_DIRECT;
  return LANDFALL_ERRC_ok;
}

landfall_errc domain_open(const landfall_domain_spec* spec, landfall_domain** ret_domain,
                          landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    auto domain = std::make_unique<Domain>();
    Options& options = domain->options;
    if (spec->slot_bytes != 0) options.slot = spec->slot_bytes;
    if (const landfall_errc code = read(spec->options, options, why)) return code;
    if (options.length == 0 || options.length > options.slot) options.length = options.slot;
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
    auto queue = std::make_unique<Queue>(own(domain)->options, *spec);
    queue->event_fd = ::eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    if (queue->event_fd < 0)
      return refuse_os(why, "eventfd", LANDFALL_REASON_event_fd_failed, errno);
    const std::lock_guard lock{g_queues_mutex};
    g_queues.push_back(queue.get());
    *ret_queue = reinterpret_cast<landfall_queue*>(queue.release());
    return LANDFALL_ERRC_ok;
  });
}

void queue_stop(landfall_queue*) {}

void queue_close(landfall_queue* queue) {
  {
    const std::lock_guard lock{g_queues_mutex};
    std::erase(g_queues, own(queue));
  }
  delete own(queue);
}

std::uint32_t take_script(Queue& queue, landfall_record* records, std::uint32_t capacity) {
  const std::lock_guard lock{queue.mutex};
  std::uint32_t count = 0;
  while (count < capacity && !queue.script.empty()) {
    auto [index, record] = queue.script.front();
    queue.script.pop_front();
    if (index < queue.flows.size()) {
      Flow& flow = *queue.flows[index];
      record.flow = handle(&flow);
      record.flow_tag = flow.spec.flow_tag;
      if (record.kind == LANDFALL_DATA) ++flow.out;
    }
    records[count++] = record;
  }
  queue.has_script.store(!queue.script.empty(), std::memory_order_release);
  return count;
}

landfall_errc poll(landfall_queue* handle_of_queue, landfall_record* records,
                   std::uint32_t capacity, std::uint32_t* ret_count) {
  Queue& queue = *own(handle_of_queue);
  std::uint32_t count = 0;
  while (count < capacity && !queue.pending.empty()) {
    records[count++] = queue.pending.front();
    queue.pending.pop_front();
  }
  if (queue.has_script.load(std::memory_order_acquire))
    count += take_script(queue, records + count, capacity - count);
  const std::uint32_t length = static_cast<std::uint32_t>(queue.options.length);
  const std::uint32_t charge = static_cast<std::uint32_t>(queue.options.slot);
  const std::uint32_t before_data = count;
  for (std::size_t tried = 0; count < capacity && !queue.free_slots.empty();) {
    if (tried >= queue.live.size()) break;
    if (queue.next_live >= queue.live.size()) queue.next_live = 0;
    Flow& flow = *queue.live[queue.next_live++];
    if (flow.paused || flow.closing || flow.ended) {
      ++tried;
      continue;
    }
    tried = 0;
    const std::uint32_t slot = queue.free_slots.back();
    queue.free_slots.pop_back();
    // Each field once: this loop is a part of what the benchmark of the core counts.
    landfall_record& record = records[count++];
    record.kind = LANDFALL_DATA;
    record.placement = LANDFALL_DIRECT;
    record.memory = 0;
    record.length = length;
    record.offset = queue.slice_offset + slot * queue.options.slot;
    record.token = slot;
    record.flow_tag = flow.spec.flow_tag;
    record.stream_offset = flow.spec.stream_offset;
    record.flow = handle(&flow);
    record.code = 0;
    record.flags = 0;
    record.native = 0;
    record.charge_bytes = charge;
    flow.spec.stream_offset += length;
    ++flow.out;
    if (queue.options.records != 0 && --flow.records_left == 0) {
      flow.ended = true;
      queue.report(flow, LANDFALL_END_OF_STREAM);
    }
  }
  queue.out.store(queue.out.load(std::memory_order_relaxed) + (count - before_data),
                  std::memory_order_relaxed);
  *ret_count = count;
  return LANDFALL_ERRC_ok;
}

void give_back(landfall_queue* handle_of_queue, const landfall_return* returns,
               std::uint32_t count) {
  Queue& queue = *own(handle_of_queue);
  std::uint64_t generated = 0;
  for (const landfall_return& back : std::span{returns, count}) {
    Flow& flow = *own(back.flow);
    --flow.out;
    if (back.token < NullQueue::kScripted) {
      queue.free_slots.push_back(static_cast<std::uint32_t>(back.token));
      ++generated;
    } else {
      const std::lock_guard lock{queue.mutex};
      queue.scripted_back.push_back(back);
      --queue.scripted_out;
    }
    if (flow.closing) queue.close_if_last(flow);
  }
  queue.out.store(queue.out.load(std::memory_order_relaxed) - generated, std::memory_order_relaxed);
}

landfall_errc arm(landfall_queue* handle_of_queue, std::uint32_t* ret_armed) {
  Queue& queue = *own(handle_of_queue);
  std::uint64_t count = 0;
  [[maybe_unused]] const ssize_t drained = ::read(queue.event_fd, &count, sizeof count);
  const bool generating = std::any_of(queue.live.begin(), queue.live.end(), [](const Flow* flow) {
    return !flow->paused && !flow->closing && !flow->ended;
  });
  *ret_armed = 0;
  if (!queue.pending.empty() || queue.has_script.load(std::memory_order_acquire) ||
      (generating && !queue.free_slots.empty()))
    *ret_armed = LANDFALL_ARM_READY;
  else if (generating)
    *ret_armed = LANDFALL_ARM_WANTS_RETURNS;
  return LANDFALL_ERRC_ok;
}

std::int32_t wait_fd(landfall_queue* queue) {
  return own(queue)->event_fd;
}

void flow_close(landfall_queue* queue, landfall_flow* flow, std::int32_t) {
  own(flow)->closing = true;
  std::erase(own(queue)->live, own(flow));
  own(queue)->close_if_last(*own(flow));
}

landfall_errc flow_pause(landfall_queue*, landfall_flow* flow, std::int32_t on) {
  own(flow)->paused = on != 0;
  return LANDFALL_ERRC_ok;
}

landfall_errc listen(landfall_domain*, landfall_queue* queue, const void* sockaddr,
                     std::uint32_t length, landfall_listener** ret_listener, void* ret_sockaddr,
                     std::uint32_t* ret_length, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    for (std::uint64_t i = 0; i < own(queue)->options.flows; ++i) own(queue)->open_flow(nullptr, 0);
    if (ret_sockaddr != nullptr && *ret_length >= length) {
      std::memcpy(ret_sockaddr, sockaddr, length);
      *ret_length = length;
    }
    *ret_listener = reinterpret_cast<landfall_listener*>(queue);
    return LANDFALL_ERRC_ok;
  });
}

void listener_close(landfall_listener*) {}

landfall_errc connect(landfall_queue* queue, const void*, std::uint32_t,
                      const landfall_flow_spec* spec, landfall_flow** ret_flow, landfall_why* why) {
  return guarded(why, [&]() -> landfall_errc {
    *ret_flow = handle(own(queue)->open_flow(spec, spec->flow_tag));
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

constexpr landfall_backend kNullTransport = authoring::describe(
    &kOps, 99, "null", "1", "data records from nowhere: what the core itself costs");

NullQueue* NullQueue::at(std::size_t index) noexcept {
  const std::lock_guard lock{g_queues_mutex};
  return index < g_queues.size() ? g_queues[index] : nullptr;
}

}  // namespace landfall::test
