// SPDX-License-Identifier: Apache-2.0
// Drives any transport of messages through the C ABI, as the core would: domains over host memory,
// queues that receive and queues that send, and a pattern that says which byte is which.
#pragma once
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/mman.h>

#include <algorithm>
#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "landfall/abi/authoring.hpp"

namespace landfall::messages::test {

/// The operations of the plug-in in this file; nullptr: it does not load, *ret_why says why.
inline const landfall_transport_ops* load(const char* path, std::string* ret_why) {
  void* const library = ::dlopen(path, RTLD_NOW | RTLD_LOCAL);
  if (library == nullptr) {
    *ret_why = ::dlerror();
    return nullptr;
  }
  const auto query =
      reinterpret_cast<landfall_backend_query_fn>(::dlsym(library, LANDFALL_BACKEND_QUERY_SYMBOL));
  const landfall_backend* const backend = query == nullptr ? nullptr : query(LANDFALL_ABI_MAJOR, 0);
  if (backend == nullptr || backend->kind != LANDFALL_KIND_TRANSPORT) {
    *ret_why = "no transport for this ABI is in it";
    return nullptr;
  }
  return static_cast<const landfall_transport_ops*>(backend->ops);
}

// ---- which byte is which

/// The bytes of stream `seed` from `offset` on.
inline void fill(std::span<std::byte> out, std::uint64_t seed, std::uint64_t offset) {
  const auto word = [&](std::uint64_t at) {
    return (at + seed * 0x10001) * 0x9E3779B97F4A7C15ull ^ at >> 7;
  };
  std::size_t done = 0;
  while (done < out.size()) {
    const std::uint64_t value = word((offset + done) / 8);
    const std::size_t skip = (offset + done) % 8;
    const std::size_t part = std::min(8 - skip, out.size() - done);
    std::memcpy(out.data() + done, reinterpret_cast<const std::byte*>(&value) + skip, part);
    done += part;
  }
}

inline bool is_filled(std::span<const std::byte> bytes, std::uint64_t seed, std::uint64_t offset) {
  std::array<std::byte, 4096> expected;
  for (std::size_t done = 0; done < bytes.size();) {
    const auto part = std::span{expected}.first(std::min(expected.size(), bytes.size() - done));
    fill(part, seed, offset + done);
    if (std::memcmp(part.data(), bytes.data() + done, part.size()) != 0) return false;
    done += part.size();
  }
  return true;
}

// ---- addresses

inline std::vector<std::byte> loopback(int family, std::uint16_t port = 0) {
  const auto bytes = [](const auto& address) {
    const auto* from = reinterpret_cast<const std::byte*>(&address);
    return std::vector<std::byte>(from, from + sizeof address);
  };
  if (family == AF_INET6) {
    sockaddr_in6 address{};
    address.sin6_family = AF_INET6;
    address.sin6_addr = IN6ADDR_LOOPBACK_INIT;
    address.sin6_port = htons(port);
    return bytes(address);
  }
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  address.sin_port = htons(port);
  return bytes(address);
}

// ---- a domain

struct DomainSetup {
  std::uint64_t region_bytes = 16u << 20;
  std::string options{};
  std::uint32_t queues = 1;
  std::function<int(std::string_view)> fault{};
};

class Domain {
 public:
  Domain(const landfall_transport_ops& ops, DomainSetup setup)
      : ops_{ops}, setup_{std::move(setup)} {
    void* const mapped = ::mmap(nullptr, setup_.region_bytes, PROT_READ | PROT_WRITE,
                                MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    memory_.struct_size = sizeof memory_;
    memory_.flags = LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE;
    memory_.size_bytes = setup_.region_bytes;
    memory_.page_bytes = 4096;
    memory_.host = mapped == MAP_FAILED ? nullptr : mapped;
    memory_.device_kind = 1;
    memory_.numa_node = -1;
    host_.struct_size = sizeof host_;
    host_.ctx = this;
    host_.event = [](void*, const landfall_why*) {};
    host_.now_ns = [](void*) -> std::uint64_t {
      return static_cast<std::uint64_t>(
          std::chrono::steady_clock::now().time_since_epoch().count());
    };
    host_.fault = [](void* ctx, const char* site) -> std::int32_t {
      const auto& fault = static_cast<Domain*>(ctx)->setup_.fault;
      return fault ? fault(site) : 0;
    };
  }
  ~Domain() {
    if (domain_ != nullptr) ops_.domain_close(domain_);
    if (memory_.host != nullptr) ::munmap(memory_.host, memory_.size_bytes);
  }
  Domain(const Domain&) = delete;
  Domain& operator=(const Domain&) = delete;

  landfall_domain_spec spec() const {
    landfall_domain_spec spec{};
    spec.struct_size = sizeof spec;
    spec.host = &host_;
    spec.region = &memory_;
    spec.queue_count = setup_.queues;
    spec.flows_max = 1024;
    spec.dmabuf_fd = -1;
    spec.options = setup_.options.c_str();
    spec.grant_fd = -1;
    return spec;
  }
  landfall_errc probe(landfall_needs* ret_needs) {
    ret_needs->struct_size = sizeof *ret_needs;
    const landfall_domain_spec asked = spec();
    return ops_.probe(&asked, ret_needs, &why);
  }
  landfall_errc open() {
    const landfall_domain_spec asked = spec();
    return ops_.domain_open(&asked, &domain_, &why);
  }

  std::byte* bytes() const { return static_cast<std::byte*>(memory_.host); }
  const landfall_memory& memory() const { return memory_; }
  std::uint32_t queues() const { return setup_.queues; }
  landfall_domain* handle() const { return domain_; }
  const landfall_transport_ops& ops() const { return ops_; }

  landfall_why why{sizeof(landfall_why), 0, 0, 0, {}, {}};

 private:
  const landfall_transport_ops& ops_;
  DomainSetup setup_;
  landfall_memory memory_{};
  landfall_host host_{};
  landfall_domain* domain_ = nullptr;
};

// ---- a queue

/// What became of a flow.
struct FlowState {
  landfall_flow* handle = nullptr;
  bool opened = false, finished = false, failed = false, closed = false;
  bool end_sent = false;    // sent: the other side has taken the end of the stream
  std::int32_t native = 0;  // failed
  std::uint32_t code = 0;
  std::uint64_t bytes = 0;   // received, or through
  std::uint64_t handed = 0;  // sent: handed over
  std::uint64_t records = 0;
  int placement = -1;                         // of the last
  bool intact = true;                         // received: every byte was the one that belongs there
  std::vector<std::uint64_t> message_ends{};  // stream offsets behind them
  std::deque<landfall_return> held{};
  std::uint64_t held_bytes = 0;
  bool ended() const { return finished || failed; }
};

struct QueueSetup {
  bool sends = false;
  std::uint32_t index = 0;
  std::uint32_t extents_max = 4096, flows_max = 256;
  std::uint64_t slice_bytes = 0;  // 0: the region's part
};

/// A queue and its flows by tag. Connections that come to a listener get the tags 1, 2, ... in
/// their order, and start at once unless `start` is false. What is received is checked against the
/// pattern of the flow's tag, and goes back at once unless `hold` is true.
class Queue {
 public:
  Queue(Domain& domain, QueueSetup setup) : domain_{domain}, setup_{setup} {}
  ~Queue() {
    for (landfall_listener* one : listeners_) ops().listener_close(one);
    if (queue_ == nullptr) return;
    ops().queue_stop(queue_);
    for (auto& [tag, flow] : flows) give_back(tag);
    ops().queue_close(queue_);
  }
  Queue(const Queue&) = delete;
  Queue& operator=(const Queue&) = delete;

  landfall_errc open() {
    landfall_queue_spec spec{};
    spec.struct_size = sizeof spec;
    spec.index = setup_.index;
    spec.slice_length = setup_.slice_bytes != 0 ? setup_.slice_bytes
                                                : domain_.memory().size_bytes / domain_.queues();
    spec.slice_offset = setup_.index * spec.slice_length;
    spec.slice_dmabuf_fd = -1;
    spec.extents_max = setup_.extents_max;
    spec.flows_max = setup_.flows_max;
    spec.sends = setup_.sends ? 1 : 0;
    slice_offset_ = spec.slice_offset;
    slice_length_ = spec.slice_length;
    return ops().queue_open(domain_.handle(), &spec, &queue_, &why);
  }

  landfall_errc listen(std::span<const std::byte> address) {
    address_.assign(sizeof(sockaddr_storage), std::byte{});
    auto length = static_cast<std::uint32_t>(address_.size());
    landfall_listener* listener = nullptr;
    const landfall_errc code = ops().listen(domain_.handle(), queue_, address.data(),
                                            static_cast<std::uint32_t>(address.size()), &listener,
                                            address_.data(), &length, &why);
    if (code != LANDFALL_ERRC_ok) return code;
    listeners_.push_back(listener);
    address_.resize(length);
    return code;
  }
  void stop_listening() {
    for (landfall_listener* one : std::exchange(listeners_, {})) ops().listener_close(one);
  }
  /// Where the last listen() listens.
  std::span<const std::byte> address() const { return address_; }

  landfall_errc connect(std::span<const std::byte> address, std::uint64_t tag) {
    const landfall_flow_spec spec = flow_spec(tag);
    FlowState& flow = flows[tag];
    return ops().connect(queue_, address.data(), static_cast<std::uint32_t>(address.size()), &spec,
                         &flow.handle, &why);
  }

  bool lost = false;  // the device, and everything that came before has been told
  /// One call of poll; answers how many records came.
  std::uint32_t poll() {
    std::uint32_t count = 0;
    const landfall_errc code =
        ops().poll(queue_, records_.data(), static_cast<std::uint32_t>(records_.size()), &count);
    // A device that is gone is told when there is nothing else to tell.
    lost = code == LANDFALL_ERRC_device_lost;
    EXPECT_TRUE(code == LANDFALL_ERRC_ok || (lost && count == 0));
    for (const landfall_record& record : std::span{records_}.first(count)) on(record);
    give_back_now();
    return count;
  }
  /// True: it is safe to sleep on wait_fd().
  bool arm() {
    std::uint32_t armed = 0;
    EXPECT_EQ(ops().arm(queue_, &armed), LANDFALL_ERRC_ok);
    return (armed & LANDFALL_ARM_READY) == 0;
  }
  int wait_fd() const { return ops().wait_fd(queue_); }

  // ---- of a queue that sends: the slice is cut into rooms of room_bytes, used in turn

  void set_rooms(std::uint64_t room_bytes) {
    room_bytes_ = room_bytes;
    rooms_ = slice_length_ / room_bytes;
    next_room_ = 0;
  }
  /// False: all rooms are under way, or the flow does not take more.
  bool send(std::uint64_t tag, std::uint64_t length, bool message_end = false) {
    if (rooms_under_way_ == std::min<std::uint64_t>(rooms_, setup_.extents_max)) return false;
    FlowState& flow = flows[tag];
    const std::uint64_t offset = slice_offset_ + next_room_ % rooms_ * room_bytes_;
    if (patterned) fill({domain_.bytes() + offset, length}, tag, flow.handed);
    landfall_send range{};
    range.offset = offset;
    range.length = length;
    range.token = length;
    range.flags = message_end ? LANDFALL_SEND_MESSAGE_END : 0;
    if (ops().send(queue_, flow.handle, &range, &why) != LANDFALL_ERRC_ok) return false;
    ++next_room_;
    ++rooms_under_way_;
    flow.handed += length;
    return true;
  }
  void finish(std::uint64_t tag) { ops().finish(queue_, flows[tag].handle); }

  void close(std::uint64_t tag, bool reset = false) {
    ops().flow_close(queue_, flows[tag].handle, reset ? 1 : 0);
  }
  void pause(std::uint64_t tag, bool on) {
    EXPECT_EQ(ops().flow_pause(queue_, flows[tag].handle, on ? 1 : 0), LANDFALL_ERRC_ok);
  }
  landfall_errc start_flow(std::uint64_t tag) {
    const landfall_flow_spec spec = flow_spec(tag);
    return ops().flow_start(queue_, flows[tag].handle, &spec);
  }
  /// What `hold` kept of this flow.
  void give_back(std::uint64_t tag) {
    FlowState& flow = flows[tag];
    std::vector<landfall_return> back(flow.held.begin(), flow.held.end());
    flow.held.clear();
    flow.held_bytes = 0;
    if (!back.empty())
      ops().give_back(queue_, back.data(), static_cast<std::uint32_t>(back.size()));
  }

  std::map<std::uint64_t, FlowState> flows;
  bool hold = false, start = true, patterned = true;
  bool is_starved = false, was_starved = false;
  landfall_why why{sizeof(landfall_why), 0, 0, 0, {}, {}};

 private:
  const landfall_transport_ops& ops() const { return domain_.ops(); }
  static landfall_flow_spec flow_spec(std::uint64_t tag) {
    landfall_flow_spec spec{};
    spec.struct_size = sizeof spec;
    spec.flow_tag = tag;
    return spec;
  }

  void on(const landfall_record& record) {
    if (record.kind == LANDFALL_OPENED && record.flow_tag == 0) return on_request(record.flow);
    if (record.kind == LANDFALL_STARVED || record.kind == LANDFALL_FED) {
      EXPECT_NE(is_starved, record.kind == LANDFALL_STARVED) << "it is told once";
      is_starved = record.kind == LANDFALL_STARVED;
      was_starved = true;
      return;
    }
    // What nobody has started has no tag.
    const auto found = std::find_if(flows.begin(), flows.end(), [&](const auto& one) {
      return record.flow_tag != 0 ? one.first == record.flow_tag : one.second.handle == record.flow;
    });
    ASSERT_NE(found, flows.end()) << "a record of no flow, kind " << int{record.kind};
    FlowState& flow = found->second;
    EXPECT_FALSE(flow.closed) << "a record behind CLOSED, kind " << int{record.kind};
    switch (record.kind) {
      case LANDFALL_OPENED:
        flow.opened = true;
        return;
      case LANDFALL_DATA:
        return on_data(record, flow);
      case LANDFALL_SENT:
        EXPECT_EQ(record.token, record.length);
        flow.bytes += record.length;
        if (record.length != 0) --rooms_under_way_;
        flow.end_sent = flow.end_sent || record.length == 0;
        return;
      case LANDFALL_END_OF_STREAM:
      case LANDFALL_FAILED:
        EXPECT_FALSE(flow.ended()) << "it ends twice";
        flow.finished = record.kind == LANDFALL_END_OF_STREAM;
        flow.failed = !flow.finished;
        flow.native = record.native;
        flow.code = record.code;
        return;
      case LANDFALL_CLOSED:
        EXPECT_TRUE(flow.held.empty()) << "CLOSED with extents out";
        flow.closed = true;
        return;
      default:
        ADD_FAILURE() << "a record of kind " << int{record.kind};
    }
  }

  void on_request(landfall_flow* handle) {
    const std::uint64_t tag = ++requests_;
    flows[tag].handle = handle;
    if (start && start_flow(tag) == LANDFALL_ERRC_ok) flows[tag].opened = true;
  }

  void on_data(const landfall_record& record, FlowState& flow) {
    EXPECT_FALSE(flow.ended()) << "DATA behind the end";
    EXPECT_EQ(record.stream_offset, flow.bytes);
    EXPECT_GT(record.length, 0u);
    EXPECT_GE(record.offset, slice_offset_);
    EXPECT_LE(record.offset + record.length, slice_offset_ + slice_length_);
    if (patterned)
      flow.intact = flow.intact && is_filled({domain_.bytes() + record.offset, record.length},
                                             record.flow_tag, record.stream_offset);
    flow.bytes += record.length;
    flow.placement = record.placement;
    ++flow.records;
    if ((record.flags & LANDFALL_RECORD_MESSAGE_END) != 0) flow.message_ends.push_back(flow.bytes);
    landfall_return back{};
    back.flow = record.flow;
    back.token = record.token;
    back.offset = record.offset;
    back.length = record.length;
    if (hold) {
      flow.held.push_back(back);
      flow.held_bytes += record.length;
    } else {
      returns_.push_back(back);
    }
  }
  void give_back_now() {
    if (returns_.empty()) return;
    std::reverse(returns_.begin(), returns_.end());
    ops().give_back(queue_, returns_.data(), static_cast<std::uint32_t>(returns_.size()));
    returns_.clear();
  }

  Domain& domain_;
  const QueueSetup setup_;
  landfall_queue* queue_ = nullptr;
  std::vector<landfall_listener*> listeners_;
  std::vector<std::byte> address_;
  std::vector<landfall_record> records_ = std::vector<landfall_record>(64);
  std::vector<landfall_return> returns_;
  std::uint64_t slice_offset_ = 0, slice_length_ = 0;
  std::uint64_t room_bytes_ = 0, rooms_ = 0, next_room_ = 0, rooms_under_way_ = 0;
  std::uint64_t requests_ = 0;
};

/// Serves the queues in turn until `done`, and sleeps on their descriptors where nothing comes.
/// Each turn calls `each` first. False: nothing has come for so long that nothing will.
inline bool pump(std::initializer_list<Queue*> queues, const std::function<bool()>& done,
                 const std::function<void()>& each = {},
                 std::chrono::milliseconds silence = std::chrono::seconds{10}) {
  while (!done()) {
    if (each) each();
    std::uint32_t came = 0;
    for (Queue* queue : queues) came += queue->poll();
    if (came != 0) continue;
    if (done()) return true;
    std::vector<pollfd> waits;
    bool ready = false;
    for (Queue* queue : queues) {
      ready = !queue->arm() || ready;
      waits.push_back({queue->wait_fd(), POLLIN, 0});
    }
    if (ready) continue;
    if (::poll(waits.data(), waits.size(), static_cast<int>(silence.count())) == 0) return done();
  }
  return true;
}

}  // namespace landfall::messages::test
