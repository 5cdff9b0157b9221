// SPDX-License-Identifier: Apache-2.0
// For this folder's tests: drives the transport's ops table as the core does, checks every byte,
// and holds extents until told to give them back.
#pragma once
#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstring>
#include <deque>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "landfall/abi/authoring.hpp"
#include "landfall/base/fd.hpp"

extern "C" const landfall_backend landfall_builtin_transport_tcp;

namespace landfall::tcp::test {

/// Byte `offset` of the stream `seed`.
inline std::uint8_t pattern(std::uint64_t seed, std::uint64_t offset) {
  return static_cast<std::uint8_t>((offset * 0x9e3779b97f4a7c15u + seed * 0x85ebca6bu) >> 29);
}

/// Two ends of a TCP connection over loopback: {ours, peer's}.
inline std::pair<Fd, Fd> tcp_pair(int family = AF_INET, in_addr_t peer_address = INADDR_ANY) {
  sockaddr_storage at{};
  socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
  at.ss_family = static_cast<sa_family_t>(family);
  if (family == AF_INET) {
    reinterpret_cast<sockaddr_in&>(at).sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  } else {
    reinterpret_cast<sockaddr_in6&>(at).sin6_addr = in6addr_loopback;
  }
  Fd listener{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  if (::bind(listener.get(), reinterpret_cast<sockaddr*>(&at), length) != 0) return {};
  ::listen(listener.get(), 16);
  ::getsockname(listener.get(), reinterpret_cast<sockaddr*>(&at), &length);
  Fd peer{::socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in from{};
  from.sin_family = AF_INET;
  from.sin_addr.s_addr = htonl(peer_address);
  if (peer_address != INADDR_ANY &&
      ::bind(peer.get(), reinterpret_cast<sockaddr*>(&from), sizeof from) != 0)
    return {};
  if (::connect(peer.get(), reinterpret_cast<sockaddr*>(&at), length) != 0) return {};
  Fd ours{::accept4(listener.get(), nullptr, nullptr, SOCK_CLOEXEC)};
  const int on = 1;
  ::setsockopt(peer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  return {std::move(ours), std::move(peer)};
}

/// One flow as the test sees it, with its sender.
struct Stream {
  std::uint64_t seed = 0;
  Fd peer;
  landfall_flow* flow = nullptr;
  std::uint64_t to_send = 0, sent = 0;  // the sender writes up to to_send
  std::uint64_t chunk = 1u << 20;       // at most this much per send
  bool finish = false;                  // then FIN
  bool finished = false;

  std::uint64_t got = 0;  // bytes seen, by stream offset
  std::deque<landfall_record> held;
  std::uint64_t held_bytes = 0, held_charge = 0;
  bool keep = false;  // hold extents; else they go back at once
  std::vector<std::uint32_t> posted;
  std::vector<landfall_memory> targets;
  int landed = 0, ends = 0, failures = 0, closed = 0;
  std::int32_t native = 0;
  std::uint32_t code = 0;
};

class MiniCore {
 public:
  struct Setup {
    std::string options;
    std::uint64_t region_bytes = 4u << 20;
    std::uint32_t slot_bytes = 0;
    std::uint32_t capacity = 128;
    bool use_wait_fd = false;
    std::function<int(const char*)> fault;
  };

  explicit MiniCore(const Setup& setup) : setup_{setup} {
    host_.struct_size = sizeof host_;
    host_.ctx = this;
    host_.event = [](void* ctx, const landfall_why* what) {
      static_cast<MiniCore*>(ctx)->events.push_back(*what);
    };
    host_.now_ns = [](void* ctx) { return static_cast<MiniCore*>(ctx)->now_ns; };
    host_.fault = [](void* ctx, const char* site) -> std::int32_t {
      auto& self = *static_cast<MiniCore*>(ctx);
      return self.setup_.fault ? self.setup_.fault(site) : 0;
    };
    memory_.struct_size = sizeof memory_;
    memory_.flags = LANDFALL_MEM_CPU_READ | LANDFALL_MEM_CPU_WRITE;
    memory_.size_bytes = setup.region_bytes + kEdge * 2;
    memory_.page_bytes = 4096;
    memory_.host = ::mmap(nullptr, memory_.size_bytes, PROT_READ | PROT_WRITE,
                          MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  }
  ~MiniCore() {
    shut();
    ::munmap(memory_.host, memory_.size_bytes);
  }

  const landfall_transport_ops& ops() const {
    return *static_cast<const landfall_transport_ops*>(landfall_builtin_transport_tcp.ops);
  }

  /// Domain and queue; the reason is in `why`.
  landfall_errc open() {
    why.struct_size = sizeof why;
    landfall_domain_spec domain{};
    domain.struct_size = sizeof domain;
    domain.host = &host_;
    domain.region = &memory_;
    domain.queue_count = 1;
    domain.slot_bytes = setup_.slot_bytes;
    domain.dmabuf_fd = -1;
    domain.options = setup_.options.c_str();
    if (const auto code = ops().domain_open(&domain, &domain_, &why); code != 0) return code;
    landfall_queue_spec spec{};
    spec.struct_size = sizeof spec;
    spec.slice_offset = kEdge;
    spec.slice_length = setup_.region_bytes;
    spec.slice_dmabuf_fd = -1;
    spec.extents_max = 1u << 20;
    spec.flows_max = 1u << 20;
    const auto code = ops().queue_open(domain_, &spec, &queue_, &why);
    if (code != 0) {
      ops().domain_close(std::exchange(domain_, nullptr));
      return code;
    }
    if (setup_.use_wait_fd) {
      epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));
      epoll_event event{};
      event.events = EPOLLIN;
      const int fd = ops().wait_fd(queue_);
      if (fd >= 0) ::epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event);
    } else {
      epoll_.reset(::epoll_create1(EPOLL_CLOEXEC));  // the core's control epoll
    }
    return code;
  }

  /// Attaches our end of a new connection.
  Stream& add(bool demand = false, int family = AF_INET) { return add(tcp_pair(family), demand); }
  /// The first of `sockets`. *ret_seen: a duplicate of it.
  Stream& add(std::pair<Fd, Fd> sockets, bool demand, Fd* ret_seen = nullptr) {
    if (ret_seen != nullptr) *ret_seen = Fd{::dup(sockets.first.get())};
    streams.push_back(std::make_unique<Stream>());
    Stream& stream = *streams.back();
    stream.seed = streams.size();
    stream.peer = std::move(sockets.second);
    EXPECT_EQ(attach(stream, sockets.first.get(), demand), LANDFALL_ERRC_ok) << why.text;
    socket_of_last_ = sockets.first.release();
    return stream;
  }
  /// The flow's still.
  int socket_of_last() const { return socket_of_last_; }
  landfall_errc attach(Stream& stream, int fd, bool demand) {
    const landfall_flow_spec spec{.struct_size = sizeof spec,
                                  .demand = demand ? 1u : 0u,
                                  .flow_tag = stream.seed,
                                  .stream_offset = stream.got};
    return ops().attach(queue_, fd, &spec, &stream.flow, &why);
  }

  /// post() into memory of the test's own; what arrives is checked.
  void post(Stream& stream, std::uint64_t length) {
    landfall_memory target{};
    target.struct_size = sizeof target;
    target.size_bytes = length;
    target.host =
        ::mmap(nullptr, length, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    stream.targets.push_back(target);
    EXPECT_EQ(ops().post(queue_, stream.flow, &target, 0, length, stream.targets.size() - 1),
              LANDFALL_ERRC_ok);
  }

  std::uint32_t poll_once() {
    std::vector<landfall_record> records(setup_.capacity);
    std::uint32_t count = 0;
    last_code = ops().poll(queue_, records.data(), setup_.capacity, &count);
    for (std::uint32_t i = 0; i < count; ++i) take(records[i]);
    flush();
    return count;
  }

  /// Sends and polls until `done`, sleeping as the core does. False: 20 s have passed.
  bool run_until(const std::function<bool()>& done) {
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
    while (!done()) {
      if (std::chrono::steady_clock::now() > deadline) return false;
      bool sent = false;
      for (auto& stream : streams) sent = step(*stream) || sent;
      if (poll_once() != 0 || sent) continue;
      if (done()) break;
      sleep_once(std::chrono::milliseconds{sending() ? 2 : 500});
    }
    return true;
  }

  void sleep_once(std::chrono::milliseconds most) {
    armed = 0;
    if (ops().arm(queue_, &armed) != 0 || (armed & LANDFALL_ARM_READY) != 0) return;
    ++sleeps;
    if (setup_.use_wait_fd) {
      epoll_event event{};
      ::epoll_wait(epoll_.get(), &event, 1, static_cast<int>(most.count()));
    } else {
      std::int32_t control = 0;
      ops().wait(queue_, epoll_.get(), static_cast<std::uint64_t>(most.count()) * 1'000'000,
                 &control);
    }
  }

  /// Gives back the extent `index` of those the stream holds.
  void give_back(Stream& stream, std::size_t index) {
    const landfall_record record = stream.held[index];
    stream.held.erase(stream.held.begin() + static_cast<std::ptrdiff_t>(index));
    stream.held_bytes -= record.length;
    stream.held_charge -= record.charge_bytes;
    back(record);
  }
  void give_back_all(Stream& stream) {
    while (!stream.held.empty()) give_back(stream, stream.held.size() - 1);
    flush();
  }
  void flush() {
    if (returns_.empty()) return;
    ops().give_back(queue_, returns_.data(), static_cast<std::uint32_t>(returns_.size()));
    returns_.clear();
  }

  /// Are the bytes under the extent still what they were?
  bool intact(const Stream& stream, const landfall_record& record) const {
    const auto* bytes = static_cast<const std::uint8_t*>(memory_.host) + record.offset;
    for (std::uint32_t i = 0; i < record.length; ++i) {
      if (bytes[i] != pattern(stream.seed, record.stream_offset + i)) return false;
    }
    return true;
  }

  void stop() {
    if (queue_ == nullptr || stopped_) return;
    ops().queue_stop(queue_);
    stopped_ = true;
  }
  /// Stops, checks what is held, gives it back and closes.
  void shut() {
    if (queue_ == nullptr) return;
    stop();
    for (auto& stream : streams) {
      for (const auto& record : stream->held) EXPECT_TRUE(intact(*stream, record));
      if (stream->closed == 0) give_back_all(*stream);
      for (const auto& target : stream->targets) ::munmap(target.host, target.size_bytes);
      stream->targets.clear();
    }
    ops().queue_close(std::exchange(queue_, nullptr));
    ops().domain_close(std::exchange(domain_, nullptr));
  }

  landfall_queue* queue() { return queue_; }
  const landfall_host* host() const { return &host_; }
  std::uint64_t region_begin() const { return kEdge; }

  std::vector<std::unique_ptr<Stream>> streams;
  std::vector<landfall_why> events;
  landfall_why why{};
  landfall_errc last_code = 0;
  std::uint32_t armed = 0;
  bool starves = false;  // STARVED came, and FED not yet
  std::uint64_t sleeps = 0;
  std::uint64_t now_ns = 0;  // what the transport takes for the time
  std::uint64_t moved_to_cells = 0;

  /// Writes what the socket takes; answers whether it took anything.
  bool step(Stream& stream) {
    bool progress = false;
    while (stream.sent < stream.to_send) {
      std::uint8_t buffer[32768];
      const std::uint64_t length =
          std::min({stream.to_send - stream.sent, stream.chunk, std::uint64_t{sizeof buffer}});
      for (std::uint64_t i = 0; i < length; ++i) buffer[i] = pattern(stream.seed, stream.sent + i);
      const ssize_t sent = ::send(stream.peer.get(), buffer, length, MSG_DONTWAIT | MSG_NOSIGNAL);
      if (sent <= 0) return progress;
      stream.sent += static_cast<std::uint64_t>(sent);
      progress = true;
      if (stream.chunk < sizeof buffer) return true;
    }
    if (stream.finish && !stream.finished) {
      ::shutdown(stream.peer.get(), SHUT_WR);
      stream.finished = true;
      return true;
    }
    return progress;
  }

 private:
  static constexpr std::uint64_t kEdge = 1u << 16;  // of the region, outside of the slice

  bool sending() const {
    for (const auto& stream : streams) {
      if (stream->sent < stream->to_send) return true;
    }
    return false;
  }

  void take(const landfall_record& record) {
    if (record.kind == LANDFALL_STARVED || record.kind == LANDFALL_FED) {
      ASSERT_EQ(record.flow, nullptr);
      ASSERT_NE(starves, record.kind == LANDFALL_STARVED) << "told twice";
      starves = record.kind == LANDFALL_STARVED;
      return;
    }
    ASSERT_LE(record.flow_tag, streams.size());
    Stream& stream = *streams[record.flow_tag - 1];
    ASSERT_EQ(stream.closed, 0) << "a record after CLOSED";
    if (record.kind != LANDFALL_CLOSED) {
      ASSERT_EQ(record.flow, stream.flow);
    }
    switch (record.kind) {
      case LANDFALL_DATA:
        ASSERT_EQ(stream.ends + stream.failures, 0) << "bytes after the end";
        ASSERT_EQ(record.stream_offset, stream.got);
        ASSERT_GE(record.offset, kEdge);
        ASSERT_LE(record.offset + record.charge_bytes, kEdge + setup_.region_bytes);
        ASSERT_GE(record.charge_bytes, record.length);
        ASSERT_TRUE(intact(stream, record)) << "at " << record.stream_offset;
        stream.got += record.length;
        moved_to_cells += record.code == LANDFALL_REASON_copied_to_cell ? 1 : 0;
        if (stream.keep) {
          stream.held.push_back(record);
          stream.held_bytes += record.length;
          stream.held_charge += record.charge_bytes;
        } else {
          back(record);
        }
        return;
      case LANDFALL_POSTED: {
        ASSERT_EQ(record.token, stream.posted.size()) << "posts are answered in order";
        ASSERT_EQ(record.stream_offset, stream.got);
        const auto* bytes = static_cast<const std::uint8_t*>(stream.targets[record.token].host);
        for (std::uint32_t i = 0; i < record.length; ++i)
          ASSERT_EQ(bytes[i], pattern(stream.seed, stream.got + i)) << i;
        stream.got += record.length;
        stream.posted.push_back(record.length);
        return;
      }
      case LANDFALL_LANDED:
        ++stream.landed;
        return;
      case LANDFALL_END_OF_STREAM:
        ++stream.ends;
        return;
      case LANDFALL_FAILED:
        ++stream.failures;
        stream.native = record.native;
        stream.code = record.code;
        return;
      case LANDFALL_CLOSED:
        EXPECT_TRUE(stream.held.empty());
        ++stream.closed;
        return;
      default:
        FAIL() << "kind " << int{record.kind};
    }
  }

  void back(const landfall_record& record) {
    returns_.insert(returns_.begin(), landfall_return{.flow = record.flow,
                                                      .token = record.token,
                                                      .offset = record.offset,
                                                      .length = record.length,
                                                      .memory = record.memory,
                                                      .reserved = 0});
  }

  const Setup setup_;
  landfall_host host_{};
  landfall_memory memory_{};
  landfall_domain* domain_ = nullptr;
  landfall_queue* queue_ = nullptr;
  bool stopped_ = false;
  Fd epoll_;
  int socket_of_last_ = -1;
  std::vector<landfall_return> returns_;  // newest first
};

}  // namespace landfall::tcp::test
