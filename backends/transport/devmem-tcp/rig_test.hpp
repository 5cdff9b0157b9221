// SPDX-License-Identifier: Apache-2.0
// For this folder's tests: a Queue on the fake kernel, driven as the core drives it, with senders,
// every byte checked.
#pragma once
#include <gtest/gtest.h>

#include <chrono>
#include <functional>
#include <memory>
#include <random>
#include <utility>
#include <vector>

#include "devmem-tcp/fake_kernel.hpp"
#include "devmem-tcp/queue.hpp"
#include "landfall_test/loopback.hpp"

namespace landfall::devmem::test {

inline std::uint8_t pattern(std::uint64_t seed, std::uint64_t offset) {
  return static_cast<std::uint8_t>((offset * 0x9e3779b97f4a7c15u + seed * 0x85ebca6bu) >> 29);
}

/// One flow and its sender.
struct Stream {
  std::uint64_t seed = 0;
  Fd peer;
  int fd = -1;  // the flow's
  Flow* flow = nullptr;
  std::uint64_t sent = 0, got = 0;
  bool keep = false;  // its extents are held
  std::vector<landfall_record> held, seen;
  int ends = 0, failures = 0, closed = 0;
  landfall_record failure{};

  /// Sends without blocking; answers how many bytes the socket took.
  std::uint64_t send(std::uint64_t bytes) {
    std::vector<std::uint8_t> data(bytes);
    for (std::uint64_t i = 0; i < bytes; ++i) data[i] = pattern(seed, sent + i);
    const ssize_t took = ::send(peer.get(), data.data(), data.size(), MSG_DONTWAIT | MSG_NOSIGNAL);
    sent += took > 0 ? static_cast<std::uint64_t>(took) : 0;
    return took > 0 ? static_cast<std::uint64_t>(took) : 0;
  }
  /// All of it arrives before the receiver looks for the first time, in packets that divide
  /// `chunk`.
  void send_all(FakeKernel& kernel, std::uint64_t bytes, std::uint64_t chunk = 64 * 1024) {
    for (const std::uint64_t to = sent + bytes; sent < to;) {
      send(std::min<std::uint64_t>(to - sent, chunk));
      kernel.arrive(fd);
    }
  }
  void finish() { ::shutdown(peer.get(), SHUT_WR); }
};

struct RigOptions {
  std::uint64_t region_bytes = 16u << 20;
  std::uint64_t spill_bytes = 2u << 20;
  std::uint32_t extents_max = 8192;
  std::uint32_t capacity = 128;
  const char* options = "";
};

class Rig {
 public:
  explicit Rig(RigOptions options = {})
      : options_{options},
        region_(options.region_bytes),
        spill_(options.spill_bytes),
        kernel{region_},
        domain{kernel.table},
        queue{domain} {
    int ends[2];
    EXPECT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    lifeline_.reset(ends[0]);
    binding.reset(ends[1]);
    host_.struct_size = sizeof host_;
    host_.ctx = this;
    host_.event = [](void*, const landfall_why*) {};
    host_.now_ns = [](void* ctx) { return static_cast<Rig*>(ctx)->now_ns; };
    host_.fault = [](void* ctx, const char* site) {
      auto& rig = *static_cast<Rig*>(ctx);
      return rig.fault ? rig.fault(site) : 0;
    };
    memory_.struct_size = sizeof memory_;
    memory_.size_bytes = region_.size();
    memory_.page_bytes = 4096;
    memory_.host = region_.data();
    spill_memory_ = memory_;
    spill_memory_.size_bytes = spill_.size();
    spill_memory_.host = spill_.data();
    landfall_domain_spec spec{};
    spec.struct_size = sizeof spec;
    spec.host = &host_;
    spec.interface_index = 1;
    spec.region = &memory_;
    spec.queue_count = 1;
    spec.dmabuf_fd = -1;
    spec.options = options.options;
    spec.grant_fd = lifeline_.get();
    spec.grant_dmabuf_id = FakeKernel::kOurs;
    EXPECT_EQ(domain.open(spec, &why), LANDFALL_ERRC_ok) << why.text;
    landfall_queue_spec queue_spec{};
    queue_spec.struct_size = sizeof queue_spec;
    queue_spec.slice_length = region_.size();
    queue_spec.spill = &spill_memory_;
    queue_spec.extents_max = options.extents_max;
    queue_spec.flows_max = 1024;
    EXPECT_EQ(queue.open(queue_spec, &why), LANDFALL_ERRC_ok) << why.text;
    records_.resize(options.capacity);
  }

  Stream& add(std::uint64_t queued_before = 0) {
    landfall::test::SocketPair pair = landfall::test::tcp_pair();
    streams.push_back(std::make_unique<Stream>());
    Stream& stream = *streams.back();
    stream.seed = streams.size();
    stream.peer = std::move(pair.theirs);
    stream.fd = pair.ours.get();
    const int on = 1;
    ::setsockopt(stream.peer.get(), IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    for (std::uint64_t left = queued_before; left > 0;) left -= stream.send(left);
    for (int queued = 0; static_cast<std::uint64_t>(queued) < queued_before;)
      ::ioctl(stream.fd, FIONREAD, &queued);
    const landfall_flow_spec spec{sizeof spec, 0, streams.size(), 0, queued_before};
    EXPECT_EQ(queue.attach(stream.fd, spec, &stream.flow, &why), LANDFALL_ERRC_ok) << why.text;
    pair.ours.release();
    return stream;
  }

  std::uint32_t poll() {
    const std::uint32_t count = queue.poll(records_);
    for (std::uint32_t i = 0; i < count; ++i) on(records_[i]);
    flush();
    return count;
  }
  /// Polls, sleeping as the core does, until `done`. False: nothing came for five seconds.
  bool until(const std::function<bool()>& done) {
    while (!done()) {
      if (poll() != 0) continue;
      if (done()) break;
      armed = queue.arm();
      if ((armed & LANDFALL_ARM_READY) != 0) continue;
      std::int32_t control = 0;
      const auto begin = std::chrono::steady_clock::now();
      queue.wait(-1, 5'000'000'000, &control);
      if (std::chrono::steady_clock::now() - begin > std::chrono::seconds{4}) return false;
    }
    return true;
  }

  /// Sends so many bytes more and receives them.
  bool transfer(Stream& stream, std::uint64_t bytes) {
    const std::uint64_t to = stream.sent + bytes;
    return until([&] {
      if (stream.sent < to) stream.send(std::min<std::uint64_t>(to - stream.sent, 64 * 1024));
      return stream.got == to;
    });
  }

  void back(const landfall_record& record) {
    returns_.insert(returns_.begin(), landfall_return{.flow = record.flow,
                                                      .token = record.token,
                                                      .offset = record.offset,
                                                      .length = record.length,
                                                      .memory = record.memory,
                                                      .reserved = 0});
  }
  void flush() {
    if (!returns_.empty()) queue.give_back(returns_);
    returns_.clear();
  }
  void back_all(Stream& stream) { back_some(stream, stream.held.size()); }
  void back_some(Stream& stream, std::size_t count) {
    for (std::size_t i = 0; i < count; ++i) {
      EXPECT_TRUE(intact(stream, stream.held[i]));
      back(stream.held[i]);
    }
    stream.held.erase(stream.held.begin(),
                      stream.held.begin() + static_cast<std::ptrdiff_t>(count));
    flush();
  }

  bool intact(const Stream& stream, const landfall_record& record) const {
    const std::vector<std::byte>& memory = record.memory == 0 ? region_ : spill_;
    if (record.offset + record.length > memory.size()) return false;
    for (std::uint32_t i = 0; i < record.length; ++i)
      if (memory[record.offset + i] != std::byte{pattern(stream.seed, record.stream_offset + i)})
        return false;
    return true;
  }
  /// Bytes of this stream by placement and reason.
  static std::uint64_t bytes(const Stream& stream, int placement, std::uint32_t code) {
    std::uint64_t sum = 0;
    for (const landfall_record& record : stream.seen)
      if (record.placement == placement && record.code == code) sum += record.length;
    return sum;
  }

 private:
  RigOptions options_;
  std::vector<std::byte> region_, spill_;
  landfall_host host_{};
  landfall_memory memory_{}, spill_memory_{};
  Fd lifeline_;
  std::vector<landfall_record> records_;
  std::vector<landfall_return> returns_;  // newest first

 public:
  FakeKernel kernel;
  Fd binding;  // closed: revoked
  Domain domain;
  Queue queue;
  std::vector<std::unique_ptr<Stream>> streams;
  std::function<int(std::string_view)> fault;
  landfall_why why{};
  std::uint32_t armed = 0;
  std::uint64_t now_ns = 0;
  int revoked = 0, starved = 0, fed = 0;

 private:
  void on(const landfall_record& record) {
    if (record.kind == LANDFALL_REVOKED) ++revoked;
    if (record.kind == LANDFALL_STARVED) ++starved;
    if (record.kind == LANDFALL_FED) ++fed;
    if (record.flow_tag == 0) return;
    Stream& stream = *streams.at(record.flow_tag - 1);
    ASSERT_EQ(stream.closed, 0) << "a record after CLOSED";
    switch (record.kind) {
      case LANDFALL_DATA:
        ASSERT_EQ(stream.ends + stream.failures, 0) << "bytes after the end";
        ASSERT_EQ(record.stream_offset, stream.got);
        ASSERT_TRUE(intact(stream, record)) << "at " << record.stream_offset;
        ASSERT_GE(record.charge_bytes, record.length);
        stream.got += record.length;
        stream.seen.push_back(record);
        stream.keep ? stream.held.push_back(record) : back(record);
        return;
      case LANDFALL_END_OF_STREAM:
        ++stream.ends;
        return;
      case LANDFALL_FAILED:
        ++stream.failures;
        stream.failure = record;
        return;
      case LANDFALL_CLOSED:
        ++stream.closed;
        return;
      default:
        FAIL() << "kind " << int{record.kind};
    }
  }
};

}  // namespace landfall::devmem::test
