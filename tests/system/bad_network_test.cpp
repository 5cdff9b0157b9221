// SPDX-License-Identifier: Apache-2.0
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <tuple>

#include "pattern.hpp"
#include "rig.hpp"
#include "sender.hpp"
#include "tun_relay/relay.hpp"

namespace landfall::test {
namespace {

constexpr std::uint64_t kSeed = 11;

/// A Receiver in one namespace, and peers of it in the other one.
class BadNetwork : public testing::TestWithParam<std::tuple<Way, bool>> {
 protected:
  const Way& way() const { return std::get<0>(GetParam()); }
  bool ipv6() const { return std::get<1>(GetParam()); }

  /// Listens behind `weather`. Skips, and then has no collector, where that cannot be.
  void open(const Weather& weather) {
    Result<std::unique_ptr<TunRelay>> relay = TunRelay::make(weather);
    if (!relay) GTEST_SKIP() << relay.error().describe();
    relay_ = std::move(*relay);
    Result<Rig> rig = open_rig(way());
    if (!rig && is_missing(rig.error())) GTEST_SKIP() << rig.error().describe();
    ASSERT_TRUE(rig) << rig.error().describe();
    rig_.emplace(std::move(*rig));
    const TunNamespace::Visit visit{relay_->receiver()};
    const Result<Address> at = rig_->group.listen({ipv6() ? "::" : "0.0.0.0", 0});
    ASSERT_TRUE(at) << at.error().describe();
    at_ = {ipv6() ? relay_->receiver().ipv6() : relay_->receiver().ipv4(), at->port};
    collector_.emplace(rig_->receiver());
    collector_->seed_of = [](std::size_t) { return kSeed; };
  }
  void TearDown() override {
    if (!collector_) return;
    for (const auto& [id, flow] : collector_->flows()) flow->close(true);
    collector_->run_until([&] { return collector_->flows().empty(); });
    EXPECT_EQ(rig_->receiver().buffers_out(), 0u);
    EXPECT_EQ(rig_->receiver().held_bytes(), 0u);
  }

  Fd connect() {
    const TunNamespace::Visit visit{relay_->sender()};
    return connect_to(at_);
  }
  /// A thread that sends `bytes` and FIN.
  std::thread sender(std::uint64_t bytes, std::size_t chunk = 64 * 1024) {
    return std::thread{[this, bytes, chunk] {
      const Fd peer = connect();
      if (!peer) return;
      set_no_delay(peer.get());
      EXPECT_TRUE(send_pattern(peer.get(), kSeed, 0, bytes, chunk));
      finish(peer.get());
      char nothing = 0;  // until the other end has closed too: what is queued must arrive
      EXPECT_LE(::recv(peer.get(), &nothing, 1, 0), 0);
    }};
  }
  /// Receives `bytes` of a sender and its FIN.
  void expect_whole(std::uint64_t bytes, std::size_t chunk = 64 * 1024) {
    std::thread peer = sender(bytes, chunk);
    collector_->run_until([&] { return collector_->count(&Stream::ended) == 1; });
    EXPECT_EQ(collector_->total_received(), bytes);
    for (const auto& [id, flow] : collector_->flows()) flow->close(HasFailure());
    collector_->run_until([&] { return collector_->count(&Stream::closed) == 1; });
    if (HasFatalFailure()) relay_.reset();
    peer.join();
  }

  std::unique_ptr<TunRelay> relay_;
  std::optional<Rig> rig_;
  std::optional<Collector> collector_;
  Address at_;
};

#define LANDFALL_OPEN_NETWORK(...) \
  open(__VA_ARGS__);               \
  if (IsSkipped() || HasFatalFailure()) return

// Goal: the relay itself: nothing happens to packets on a fair day.
TEST_P(BadNetwork, FairDay) {
  LANDFALL_OPEN_NETWORK({});
  expect_whole(4u << 20);
  EXPECT_EQ(relay_->counts().lost, 0u);
}

// Goal: packets that are lost, doubled and out of order cost time, not bytes.
TEST_P(BadNetwork, LossDuplicationAndReordering) {
  Weather weather{.loss = 10, .duplicate = 20, .reorder = 30};
  weather.delay = std::chrono::microseconds{200};
  LANDFALL_OPEN_NETWORK(weather);
  expect_whole(4u << 20);
  const RelayCounts counts = relay_->counts();
  EXPECT_GT(counts.lost, 0u);
  EXPECT_GT(counts.duplicated, 0u);
  EXPECT_GT(counts.reordered, 0u);
}

// Goal: bytes that were changed on their way never reach the application.
TEST_P(BadNetwork, CorruptPackets) {
  LANDFALL_OPEN_NETWORK({.corrupt = 20});
  expect_whole(4u << 20);
  EXPECT_GT(relay_->counts().corrupted, 0u);
  if (!ipv6()) {
    EXPECT_GT(relay_->receiver().counter("Tcp", "InCsumErrors"), 0u);
  }
}

// Goal: small packets of an old path.
TEST_P(BadNetwork, SmallMtu) {
  LANDFALL_OPEN_NETWORK({.loss = 2, .reorder = 10, .mtu = ipv6() ? 1280u : 576u});
  expect_whole(2u << 20);
}

// Goal: a stream that comes in single bytes, each in its own segment, on a bad day.
TEST_P(BadNetwork, OneByteSegments) {
  LANDFALL_OPEN_NETWORK({.duplicate = 20, .reorder = 20});
  expect_whole(4000, 1);
}

// Goal: segments of every size around what headers, cache lines and pages are.
TEST_P(BadNetwork, TinySegments) {
  LANDFALL_OPEN_NETWORK({.duplicate = 5, .reorder = 10});
  std::uint64_t total = 0;
  std::vector<std::uint64_t> sizes;
  for (std::uint64_t size = 1; size <= 8192; size += size < 300 ? 1 : size / 7) {
    sizes.push_back(size);
    total += size;
  }
  std::thread peer{[&] {
    const Fd socket = connect();
    if (!socket) return;
    set_no_delay(socket.get());
    std::uint64_t offset = 0;
    for (const std::uint64_t size : sizes) {
      EXPECT_TRUE(send_pattern(socket.get(), kSeed, offset, size, size));
      offset += size;
    }
    finish(socket.get());
    char nothing = 0;
    EXPECT_LE(::recv(socket.get(), &nothing, 1, 0), 0);
  }};
  collector_->run_until([&] { return collector_->count(&Stream::ended) == 1; });
  EXPECT_EQ(collector_->total_received(), total);
  for (const auto& [id, flow] : collector_->flows()) flow->close();
  collector_->run_until([&] { return collector_->count(&Stream::closed) == 1; });
  if (HasFatalFailure()) relay_.reset();
  peer.join();
}

// Goal: a reset in the middle ends the flow with its reason; what came before it is right.
TEST_P(BadNetwork, ResetInTheMiddle) {
  LANDFALL_OPEN_NETWORK({.duplicate = 10, .reorder = 10});  // no loss: RST is never sent again
  std::vector<Buffer> held;
  collector_->on_data = [&](Flow&, Stream&, Buffer& buffer) {
    if (held.size() < 16) held.push_back(std::move(buffer));
  };
  std::thread peer{[&] {
    Fd socket = connect();
    if (!socket) return;
    EXPECT_TRUE(send_pattern(socket.get(), kSeed, 0, 1u << 20));
    close_with_reset(socket);
  }};
  collector_->run_until([&] { return collector_->count(&Stream::failed) == 1; },
                        std::chrono::seconds{60});
  peer.join();
  ASSERT_EQ(collector_->streams().size(), 1u);
  const Stream& stream = collector_->streams().begin()->second;
  EXPECT_EQ(stream.error.code(), Errc::flow_reset);
  EXPECT_EQ(stream.error.reason(), ReasonCode::peer_reset) << stream.error.describe();
  EXPECT_LE(stream.received, 1u << 20);
  for (const Buffer& buffer : held) EXPECT_TRUE(unchanged(buffer, kSeed));
}

// Goal: a peer that has sent FIN can still be answered, over the socket that detach() gives back.
TEST_P(BadNetwork, HalfClose) {
  LANDFALL_OPEN_NETWORK({.loss = 5, .reorder = 10});
  constexpr std::uint64_t kBytes = 100'000;
  std::uint64_t answered = 0;
  std::thread peer{[&] {
    const Fd socket = connect();
    if (!socket) return;
    EXPECT_TRUE(send_pattern(socket.get(), kSeed, 0, kBytes));
    finish(socket.get());
    std::array<std::byte, 4096> part;
    for (ssize_t got; (got = ::recv(socket.get(), part.data(), part.size(), 0)) > 0;) {
      const auto bytes = std::span{part}.first(static_cast<std::size_t>(got));
      EXPECT_EQ(matching_bytes(kSeed + 1, answered, bytes), bytes.size());
      answered += bytes.size();
    }
  }};
  collector_->run_until([&] { return collector_->count(&Stream::ended) == 1; });
  EXPECT_EQ(collector_->total_received(), kBytes);
  ASSERT_EQ(collector_->flows().size(), 1u);
  EXPECT_TRUE(rig_->receiver().poll({}));  // the last Buffers go back
  Result<Fd> socket = collector_->flows().begin()->second->detach();
  ASSERT_TRUE(socket) << socket.error().describe();
  collector_->flows().clear();
  EXPECT_TRUE(send_pattern(socket->get(), kSeed + 1, 0, kBytes));
  socket->reset();
  peer.join();
  EXPECT_EQ(answered, kBytes);
}

// Goal: many flows at once on a bad day do not mix.
TEST_P(BadNetwork, ManyFlows) {
  constexpr std::size_t kFlows = 20;
  LANDFALL_OPEN_NETWORK({.loss = 5, .duplicate = 10, .reorder = 20});
  std::vector<std::thread> peers;
  for (std::size_t i = 0; i < kFlows; ++i) peers.push_back(sender(200'000, 1000 + i));
  collector_->on_event = [](const Completion& completion) {
    if (completion.kind == Completion::Kind::end_of_stream) completion.flow->close();
  };
  collector_->run_until([&] { return collector_->count(&Stream::closed) == kFlows; });
  EXPECT_EQ(collector_->total_received(), kFlows * 200'000);
  if (HasFatalFailure()) relay_.reset();
  for (std::thread& peer : peers) peer.join();
}

std::string case_name(const testing::TestParamInfo<std::tuple<Way, bool>>& param) {
  const auto& [way, ipv6] = param.param;
  return std::string{way.name} + (ipv6 ? "_ipv6" : "_ipv4");
}
INSTANTIATE_TEST_SUITE_P(Ways, BadNetwork,
                         testing::Combine(testing::ValuesIn(all_ways()), testing::Bool()),
                         case_name);

}  // namespace
}  // namespace landfall::test
