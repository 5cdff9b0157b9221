// SPDX-License-Identifier: Apache-2.0
// Goal: on both engines every byte arrives once, in order and unchanged, whatever the application
// does with its extents, and each flow ends as it should.
#include <sys/ioctl.h>

#include <atomic>
#include <random>
#include <thread>

#include "landfall_test/census.hpp"
#include "tcp/each_engine.hpp"

namespace landfall::tcp::test {
namespace {

TEST_P(Tcp, DeliversAStreamByteForByte) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  stream.to_send = 32u << 20;
  stream.finish = true;
  EXPECT_TRUE(core.run_until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.got, stream.to_send);
}

TEST_P(Tcp, DeliversOverIpv6AndToAnUnevenNumberOfRecords) {
  OPEN_OR_SKIP(core, {.capacity = 3});
  Stream& stream = core.add(false, AF_INET6);
  stream.to_send = (4u << 20) + 17;
  stream.finish = true;
  EXPECT_TRUE(core.run_until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.got, stream.to_send);
}

TEST_P(Tcp, DeliversSingleBytes) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  stream.to_send = 5000;
  stream.chunk = 1;
  stream.finish = true;
  EXPECT_TRUE(core.run_until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.got, 5000u);
}

TEST_P(Tcp, TellsTheEndOnceWhereBytesAndFinCameBeforeAttach) {
  OPEN_OR_SKIP(core);
  auto [ours, peer] = tcp_pair();
  core.streams.push_back(std::make_unique<Stream>());
  Stream& stream = *core.streams.back();
  stream.seed = 1;
  stream.peer = std::move(peer);
  stream.to_send = 100'000;
  stream.finish = true;
  while (!stream.finished) core.step(stream);
  ASSERT_EQ(core.attach(stream, ours.release(), false), LANDFALL_ERRC_ok);
  EXPECT_TRUE(core.run_until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.got, stream.to_send);
  for (int i = 0; i < 10; ++i) core.poll_once();
  EXPECT_EQ(stream.ends, 1);
}

TEST_P(Tcp, ServesManyFlows) {
  OPEN_OR_SKIP(core);
  for (int i = 0; i < 200; ++i) {
    Stream& stream = core.add();
    stream.to_send = 64'000 + static_cast<std::uint64_t>(i) * 37;
    stream.finish = true;
  }
  EXPECT_TRUE(core.run_until([&] {
    for (auto& stream : core.streams) {
      if (stream->ends != 1) return false;
    }
    return true;
  }));
  for (auto& stream : core.streams) EXPECT_EQ(stream->got, stream->to_send);
}

// A full region: the sender stalls, arm() asks for returns, nothing is lost.
TEST_P(Tcp, StallsWhenFullAndGoesOnWithReturns) {
  OPEN_OR_SKIP(core, {.region_bytes = 256u << 10});
  Stream& stream = core.add();
  stream.keep = true;
  stream.to_send = 16u << 20;
  stream.finish = true;
  EXPECT_TRUE(core.run_until([&] { return core.armed == LANDFALL_ARM_WANTS_RETURNS; }));
  EXPECT_TRUE(core.starves);
  const std::uint64_t full_at = stream.got;
  EXPECT_GE(full_at, 200u << 10);
  EXPECT_LE(full_at, 256u << 10);
  for (int i = 0; i < 10; ++i) core.poll_once();
  EXPECT_EQ(stream.got, full_at);
  std::mt19937 random{3};
  EXPECT_TRUE(core.run_until([&] {
    if (!stream.held.empty()) {
      const std::size_t index = random() % stream.held.size();
      EXPECT_TRUE(core.intact(stream, stream.held[index]));
      core.give_back(stream, index);
      core.flush();
    }
    return stream.ends == 1;
  }));
  EXPECT_EQ(stream.got, stream.to_send);
  EXPECT_FALSE(core.starves);
}

TEST_P(Tcp, PausesAndResumes) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  Stream& other = core.add();
  stream.to_send = 1u << 20;
  EXPECT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  EXPECT_EQ(core.ops().flow_pause(core.queue(), stream.flow, 1), LANDFALL_ERRC_ok);
  other.to_send = 1u << 20;
  EXPECT_TRUE(core.run_until([&] { return other.got == other.to_send; }));
  stream.to_send += 8u << 20;
  other.to_send += 8u << 20;
  EXPECT_TRUE(core.run_until([&] { return other.got == other.to_send; }));
  EXPECT_LT(stream.got, 2u << 20) << "a paused flow goes on";
  EXPECT_EQ(core.ops().flow_pause(core.queue(), stream.flow, 0), LANDFALL_ERRC_ok);
  EXPECT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
}

TEST_P(Tcp, PauseAndResumeInQuickTurnsLoseNothing) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  stream.to_send = 8u << 20;
  stream.finish = true;
  int turn = 0;
  EXPECT_TRUE(core.run_until([&] {
    core.ops().flow_pause(core.queue(), stream.flow, turn % 3 == 0 ? 1 : 0);
    ++turn;
    return stream.ends == 1;
  }));
  EXPECT_EQ(stream.got, stream.to_send);
}

// Extents out when a flow closes stay valid and unchanged while another flow fills the region.
TEST_P(Tcp, ClosesWithExtentsOut) {
  for (const int reset : {0, 1}) {
    OPEN_OR_SKIP(core, {.region_bytes = 1u << 20});
    Stream& closing = core.add();
    Stream& other = core.add();
    closing.keep = true;
    closing.to_send = 500'000;
    EXPECT_TRUE(core.run_until([&] { return closing.got == closing.to_send; }));
    closing.to_send += 8u << 20;  // on its way while it closes
    core.step(closing);
    core.ops().flow_close(core.queue(), closing.flow, reset);
    other.to_send = 16u << 20;
    EXPECT_TRUE(core.run_until([&] { return other.got == other.to_send; }));
    EXPECT_EQ(closing.closed, 0);
    for (const auto& record : closing.held) EXPECT_TRUE(core.intact(closing, record));
    core.give_back_all(closing);
    EXPECT_TRUE(core.run_until([&] { return closing.closed == 1; }));
  }
}

TEST_P(Tcp, TellsAReset) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  stream.to_send = 100'000;
  EXPECT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  const linger at_close{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(stream.peer.get(), SOL_SOCKET, SO_LINGER, &at_close, sizeof at_close);
  stream.peer.reset();
  EXPECT_TRUE(core.run_until([&] { return stream.failures == 1; }));
  EXPECT_EQ(stream.native, ECONNRESET);
  EXPECT_EQ(stream.code, static_cast<std::uint32_t>(LANDFALL_REASON_peer_reset));
  core.ops().flow_close(core.queue(), stream.flow, 0);
  EXPECT_TRUE(core.run_until([&] { return stream.closed == 1; }));
}

// A kernel may lose the wake-up of a reset that comes while it receives, where more than 128
// wake-ups came before (uring_look.cpp).
TEST_P(Tcp, TellsAResetThatComesWhileItReceives) {
  OPEN_OR_SKIP(core);
  std::mt19937 random{1};
  for (int round = 0; round < 100; ++round) {
    Stream& stream = core.add();
    const int ours = core.socket_of_last();
    core.poll_once();  // it waits for bytes now
    stream.to_send = 60'000;
    while (stream.sent < stream.to_send) core.step(stream);
    for (int queued = 0; queued < 60'000;) ASSERT_EQ(::ioctl(ours, FIONREAD, &queued), 0);
    // Each of these calls wakes whoever waits for the bytes that are there (tcp_set_rcvlowat).
    const int one = 1;
    for (int i = 0; i < 150; ++i) ::setsockopt(ours, SOL_SOCKET, SO_RCVLOWAT, &one, sizeof one);
    std::atomic<bool> ready = false, go = false;
    std::thread peer{[&, pause = std::chrono::nanoseconds{random() % 20'000}] {
      const linger at_close{.l_onoff = 1, .l_linger = 0};
      ::setsockopt(stream.peer.get(), SOL_SOCKET, SO_LINGER, &at_close, sizeof at_close);
      ready = true;
      while (!go) continue;
      const auto end = std::chrono::steady_clock::now() + pause;
      while (std::chrono::steady_clock::now() < end) continue;
      stream.peer.reset();
    }};
    while (!ready) continue;
    go = true;
    const bool told = core.run_until([&] { return stream.failures == 1; });
    peer.join();
    ASSERT_TRUE(told) << "in round " << round << ", after " << stream.got << " bytes";
    core.ops().flow_close(core.queue(), stream.flow, 0);
    ASSERT_TRUE(core.run_until([&] { return stream.closed == 1; }));
  }
}

TEST_P(Tcp, ResetReachesThePeerAtOnce) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  stream.keep = true;
  stream.to_send = 1000;
  EXPECT_TRUE(core.run_until([&] { return stream.got == 1000; }));
  core.ops().flow_close(core.queue(), stream.flow, 1);
  char byte = 0;
  EXPECT_EQ(::recv(stream.peer.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
  EXPECT_EQ(stream.closed, 0);
}

// The window was closed, and what it held is received after close() has spoken: the peer must not
// go on waiting for it.
TEST_P(Tcp, EndsAPeerThatWaitsForTheWindow) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  core.poll_once();
  const timeval patience{.tv_sec = 0, .tv_usec = 20'000};
  ::setsockopt(stream.peer.get(), SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
  std::vector<char> bytes(1u << 20);
  const auto send_all = [&] {
    while (::send(stream.peer.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL) > 0 ||
           errno == EINTR)
      continue;
  };
  send_all();
  ASSERT_EQ(errno, EAGAIN);
  core.ops().flow_close(core.queue(), stream.flow, 0);
  EXPECT_TRUE(core.run_until([&] { return stream.closed == 1; }));
  const timeval longer{.tv_sec = 10, .tv_usec = 0};
  ::setsockopt(stream.peer.get(), SOL_SOCKET, SO_SNDTIMEO, &longer, sizeof longer);
  send_all();
  EXPECT_TRUE(errno == EPIPE || errno == ECONNRESET) << errno;
}

TEST_P(Tcp, DetachGivesTheSocketBackWithEveryByte) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  stream.keep = true;
  stream.to_send = 300'000;
  EXPECT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  std::int32_t fd = -1;
  EXPECT_EQ(core.ops().detach(core.queue(), stream.flow, &fd, &core.why), LANDFALL_ERRC_busy);
  core.give_back_all(stream);
  ASSERT_EQ(core.ops().detach(core.queue(), stream.flow, &fd, &core.why), LANDFALL_ERRC_ok);
  const Fd socket{fd};
  stream.to_send += 1000;
  core.step(stream);
  std::vector<std::uint8_t> rest(1000);
  ASSERT_EQ(::recv(socket.get(), rest.data(), rest.size(), MSG_WAITALL), 1000);
  for (std::uint64_t i = 0; i < 1000; ++i) ASSERT_EQ(rest[i], pattern(stream.seed, 300'000 + i));
}

// Bytes race with detach: it answers busy, the bytes come, and the flow goes on.
TEST_P(Tcp, DetachThatRacesWithBytesLosesNone) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add();
  int detached = 0, busy = 0;
  for (int turn = 0; turn < 200; ++turn) {
    stream.to_send += 1000;
    core.step(stream);
    if (turn % 3 == 0) core.poll_once();
    std::int32_t fd = -1;
    const auto code = core.ops().detach(core.queue(), stream.flow, &fd, &core.why);
    if (code == LANDFALL_ERRC_ok) {
      ++detached;
      ASSERT_EQ(core.attach(stream, fd, false), LANDFALL_ERRC_ok);
    } else {
      ASSERT_EQ(code, LANDFALL_ERRC_busy);
      ++busy;
    }
  }
  EXPECT_TRUE(core.run_until([&] { return stream.got == stream.to_send; }));
  EXPECT_GT(detached, 0);
}

TEST_P(Tcp, ServesLandAndPostInOrder) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add(true);
  stream.keep = true;
  stream.to_send = 12u << 20;
  core.step(stream);
  for (int i = 0; i < 20; ++i) core.poll_once();
  EXPECT_EQ(stream.got, 0u) << "nothing was asked for";
  std::uint64_t asked = 0;
  for (const std::uint64_t length : {1ull, 100ull, 300'000ull}) {
    EXPECT_EQ(core.ops().land(core.queue(), stream.flow, length), LANDFALL_ERRC_ok);
    core.post(stream, length * 3);
    core.post(stream, length + 1);
    asked += length * 5 + 1;
  }
  EXPECT_TRUE(core.run_until([&] { return stream.posted.size() == 6; }));
  EXPECT_EQ(stream.landed, 3);
  EXPECT_EQ(stream.got, asked);
  EXPECT_EQ(stream.held_bytes, 300'101u);
  EXPECT_EQ(stream.posted, (std::vector<std::uint32_t>{3, 2, 300, 101, 900'000, 300'001}));
  for (int i = 0; i < 20; ++i) core.poll_once();
  EXPECT_EQ(stream.got, asked);
  core.post(stream, 8u << 20);
  EXPECT_TRUE(core.run_until([&] { return stream.posted.size() == 7; }));
  EXPECT_EQ(stream.posted.back(), 8u << 20);
}

TEST_P(Tcp, AnswersRequestsThatTheStreamDoesNotFill) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add(true);
  core.post(stream, 100'000);
  core.post(stream, 100'000);
  EXPECT_EQ(core.ops().land(core.queue(), stream.flow, 10), LANDFALL_ERRC_ok);
  stream.to_send = 120'000;
  stream.finish = true;
  EXPECT_TRUE(core.run_until([&] { return stream.ends == 1; }));
  EXPECT_EQ(stream.posted, (std::vector<std::uint32_t>{100'000, 20'000}));
  EXPECT_EQ(stream.landed, 1);
  EXPECT_EQ(core.ops().land(core.queue(), stream.flow, 10), LANDFALL_ERRC_closed);
}

// The kernel gathers bytes of a large post; its tail must not wait for bytes beyond it.
TEST_P(Tcp, LargePostsEndWithTheirLastByte) {
  OPEN_OR_SKIP(core);
  Stream& stream = core.add(true);
  std::mt19937 random{11};
  std::uint64_t asked = 0;
  for (int i = 0; i < 40; ++i) {
    const std::uint64_t length = 1 + random() % (700u << 10);
    core.post(stream, length);
    asked += length;
    if (i % 5 == 0) {
      EXPECT_EQ(core.ops().land(core.queue(), stream.flow, 10), LANDFALL_ERRC_ok);
      asked += 10;
    }
    // In pieces: the last one ends exactly where the request does.
    while (stream.sent < asked) {
      stream.to_send = std::min(asked, stream.sent + 100'000);
      core.step(stream);
      core.poll_once();
      if (random() % 2 == 0) core.sleep_once(std::chrono::milliseconds{1});
    }
    ASSERT_TRUE(core.run_until([&] { return stream.got == asked; })) << i;
  }
  EXPECT_EQ(stream.posted.size(), 40u);
}

// A post in flight when its flow closes or its queue stops: the target is not written afterwards.
TEST_P(Tcp, LeavesThePostedTargetAloneAfterTheEnd) {
  for (const int way : {0, 1, 2}) {
    OPEN_OR_SKIP(core);
    Stream& stream = core.add(true);
    core.post(stream, 1u << 20);
    stream.to_send = 1000;
    core.step(stream);
    for (int i = 0; i < 5; ++i) core.poll_once();
    if (way < 2) {
      core.ops().flow_close(core.queue(), stream.flow, way);
      EXPECT_TRUE(core.run_until([&] { return stream.closed == 1; }));
    } else {
      core.stop();
    }
    auto* bytes = static_cast<std::uint8_t*>(stream.targets[0].host);
    std::memset(bytes, 0xee, stream.targets[0].size_bytes);
    stream.to_send = 500'000;
    core.step(stream);
    if (way < 2) {
      for (int i = 0; i < 5; ++i) core.poll_once();
    }
    for (std::uint64_t i = 0; i < 500'000; ++i) ASSERT_EQ(bytes[i], 0xee) << i;
  }
}

// Round and round: whoever waits for a slot has its turn before anyone has two more.
TEST_P(Tcp, SharesScarceSlotsFairly) {
  OPEN_OR_SKIP(core, {.region_bytes = 256u << 10});
  for (int i = 0; i < 20; ++i) core.add().to_send = 64u << 20;
  std::uint64_t total = 0;
  EXPECT_TRUE(core.run_until([&] {
    total = 0;
    for (auto& stream : core.streams) total += stream->got;
    return total >= 10u << 20;
  }));
  for (auto& stream : core.streams) EXPECT_GE(stream->got, total / 20 / 4) << stream->seed;
}

TEST_P(Tcp, RefusesWhatIsNoTcpSocket) {
  OPEN_OR_SKIP(core);
  core.streams.push_back(std::make_unique<Stream>());
  const Fd udp{::socket(AF_INET, SOCK_DGRAM, 0)};
  EXPECT_EQ(core.attach(*core.streams[0], udp.get(), false), LANDFALL_ERRC_invalid_argument);
  EXPECT_EQ(core.why.code, static_cast<std::uint32_t>(LANDFALL_REASON_not_a_tcp_socket));
}

TEST_P(Tcp, LeaksNoDescriptor) {
  landfall::test::FdCensus fds;
  {
    OPEN_OR_SKIP(core);
    for (int i = 0; i < 5; ++i) core.add().to_send = 100'000;
    EXPECT_TRUE(core.run_until([&] { return core.streams[4]->got == 100'000; }));
    for (auto& stream : core.streams) stream->peer.reset();
  }
  EXPECT_EQ(fds.leaked(), 0);
}

INSTANTIATE_TEST_SUITE_P(Engines, Tcp, kEachEngine, name_of_way);

}  // namespace
}  // namespace landfall::tcp::test
