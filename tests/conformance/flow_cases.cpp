// SPDX-License-Identifier: Apache-2.0
// How flows come to be, pause, change hands and end.
#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "conformance/pattern.hpp"
#include "conformance/rig.hpp"

namespace landfall::test {
namespace {

class Flows : public Transport {};
LANDFALL_CONFORMANCE(Flows);

// Goal: a paused flow brings nothing but what is under way; resumed, it goes on without a gap.
TEST_P(Flows, PauseAndResume) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(16u << 20, true);
  for (std::uint64_t round = 1; round <= 8; ++round) {
    ASSERT_TRUE((*rig)->until([&] { return stream->received >= round << 20; }));
    stream->flow->pause();
    // What is under way may still come, and on a busy machine that takes its time; but it ends,
    // long before the stream does.
    std::uint64_t before = 0;
    do {
      before = stream->received;
      (*rig)->quiet(std::chrono::milliseconds{50});
    } while (stream->received != before);
    ASSERT_LT(before, (round + 2) << 20) << "bytes came though the flow was paused";
    EXPECT_FALSE(stream->ended);
    stream->flow->resume();
  }
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(stream->received, 16u << 20);
}

// Goal: bytes that were queued before attach() come first, with what comes later behind them.
TEST_P(Flows, QueuedBytesComeFirst) {
  LANDFALL_NEEDS(sockets);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  SocketPair pair = GetParam().pair();
  Stream& stream = (*rig)->add_stream(socket_peer(std::move(pair.theirs)));
  stream.send(5000, false);
  ASSERT_TRUE(stream.sent());
  Result<Flow*> flow = (*rig)->receiver().attach(pair.ours, {.user = &stream});
  ASSERT_OK(flow);
  EXPECT_FALSE(pair.ours) << "taken on success";
  stream.flow = *flow;
  stream.send(100'000, true);
  EXPECT_TRUE((*rig)->until([&] { return stream.ended; }));
  EXPECT_EQ(stream.received, 105'000u);
}

// Goal: they are refused on request, and the socket is the caller's still.
TEST_P(Flows, QueuedBytesAreRefusedOnRequest) {
  LANDFALL_NEEDS(sockets);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  SocketPair pair = GetParam().pair();
  const std::unique_ptr<Peer> peer = socket_peer(std::move(pair.theirs));
  std::array<std::byte, 16> bytes{};
  ASSERT_TRUE(peer->send(bytes));
  EXPECT_REFUSED((*rig)->receiver().attach(pair.ours, {.refuse_queued = true}), busy, bytes_queued);
  ASSERT_TRUE(pair.ours);
  EXPECT_EQ(::recv(pair.ours.get(), bytes.data(), bytes.size(), 0), 16);
}

// Goal: what is not a connected TCP socket is refused by name, and stays the caller's.
TEST_P(Flows, OnlyConnectedTcpSocketsAreTaken) {
  LANDFALL_NEEDS(sockets);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Receiver& receiver = (*rig)->receiver();
  const auto refused = [&](Fd fd, ReasonCode why) {
    const int number = fd.get();
    const Result<Flow*> flow = receiver.attach(fd, {});
    ASSERT_FALSE(flow.has_value());
    EXPECT_EQ(flow.error().code(), Errc::invalid_argument);
    EXPECT_EQ(flow.error().reason(), why) << flow.error().describe();
    EXPECT_EQ(fd.get(), number);
  };
  std::array<int, 2> pipe_fds{};
  ASSERT_EQ(::pipe2(pipe_fds.data(), O_CLOEXEC), 0);
  const Fd writing_end{pipe_fds[1]};
  refused(Fd{pipe_fds[0]}, ReasonCode::not_a_tcp_socket);
  refused(Fd{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)}, ReasonCode::not_a_tcp_socket);
  refused(Fd{::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0)}, ReasonCode::not_a_tcp_socket);
  refused(Fd{::open("/", O_PATH | O_CLOEXEC)}, ReasonCode::not_a_tcp_socket);
  refused(Fd{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)}, ReasonCode::not_connected);
  refused(ListeningSocket{}.socket, ReasonCode::not_connected);
}

// Goal: sockets handed over by many threads are each opened once, on their Receiver.
TEST_P(Flows, AreHandedOverFromOtherThreads) {
  LANDFALL_NEEDS(sockets);
  constexpr std::size_t kThreads = 4, kEach = 8;
  auto rig = Rig::open(GetParam(), {.queues = 2});
  ASSERT_OK(rig);
  std::vector<SocketPair> pairs(kThreads * kEach);
  std::vector<Stream*> streams;
  for (SocketPair& pair : pairs) {
    pair = GetParam().pair();
    streams.push_back(&(*rig)->add_stream(socket_peer(std::move(pair.theirs))));
    streams.back()->send(50'000, true);
  }
  std::vector<std::thread> threads;
  for (std::size_t t = 0; t < kThreads; ++t)
    threads.emplace_back([&, t] {
      for (std::size_t i = t * kEach; i < (t + 1) * kEach; ++i)
        EXPECT_OK((*rig)->receiver(i % 2).hand_over(pairs[i].ours, {.user = streams[i]}));
    });
  for (Stream* stream : streams) {
    EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
    EXPECT_TRUE(stream->opened);
    EXPECT_EQ(stream->received, 50'000u);
  }
  for (std::thread& thread : threads) thread.join();
}

// Goal: what cannot be opened at its new Receiver is reported there, without a flow.
TEST_P(Flows, AHandOverThatFailsIsReported) {
  LANDFALL_NEEDS(sockets);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Fd udp{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const Result<void> given = (*rig)->receiver().hand_over(udp, {});
  if (given) {
    EXPECT_TRUE((*rig)->until([&] { return (*rig)->orphan_failures == 1; }));
  } else {
    EXPECT_TRUE(udp) << "taken only on success";
  }
}

// Goal: detach() gives the socket back, and with it every byte that was not delivered.
TEST_P(Flows, DetachLosesNoByte) {
  LANDFALL_NEEDS(sockets);
  constexpr std::uint64_t kTotal = 2u << 20;
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  stream->send(kTotal, true);
  ASSERT_TRUE((*rig)->until([&] { return stream->received > 100'000; }));
  stream->flow->pause();
  (*rig)->quiet();
  EXPECT_REFUSED(stream->flow->detach(), busy, extents_out);
  stream->held.clear();
  (*rig)->quiet();
  ASSERT_LT(stream->received, kTotal);
  if (GetParam().can(Cap::queued_unreadable)) {
    EXPECT_REFUSED(stream->flow->detach(), busy, direct_bytes_queued);
    stream->consume = nullptr;
    stream->flow->resume();
    ASSERT_TRUE((*rig)->until([&] { return stream->received == kTotal; }));
    (*rig)->quiet();
  }
  Result<Fd> socket = stream->flow->detach();
  ASSERT_OK(socket);
  std::vector<std::byte> rest(kTotal - stream->received);
  ASSERT_EQ(::fcntl(socket->get(), F_SETFL, 0), 0);
  EXPECT_EQ(::recv(socket->get(), rest.data(), rest.size(), MSG_WAITALL),
            static_cast<ssize_t>(rest.size()));
  EXPECT_TRUE(matches_pattern(stream->seed, stream->received, rest));
  EXPECT_EQ(::recv(socket->get(), rest.data(), 1, 0), 0) << "the end of the stream";
  (*rig)->step();
  EXPECT_EQ((*rig)->receiver().flows(), 0u);
}

// Goal: a transport that makes its own connections says so when it is given a socket.
TEST_P(Flows, SocketsAreRefusedWhereTheyDoNotServe) {
  if (GetParam().can(Cap::sockets)) return;
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  SocketPair pair = GetParam().pair();
  EXPECT_REFUSED((*rig)->receiver().attach(pair.ours), not_supported, not_capable);
  EXPECT_TRUE(pair.ours);
}

void listen_and_receive(const Subject& subject, const std::string& host) {
  auto rig = Rig::open(subject, {.queues = 2});
  ASSERT_OK(rig);
  for (int i = 0; i < 4; ++i) {
    Stream& stream = (*rig)->add_stream(nullptr);
    Result<Address> address = (*rig)->group->listen({host, 0}, {.user = &stream});
    ASSERT_OK(address);
    ASSERT_NE(address->port, 0);
    stream.peer = subject.peer_to(*address);
    stream.send(200'000, true);
    EXPECT_TRUE((*rig)->until([&] { return stream.ended; }));
    EXPECT_TRUE(stream.opened);
    EXPECT_EQ(stream.received, 200'000u);
  }
}

// Goal: a Group accepts connections on both families.
TEST_P(Flows, AreAcceptedOverIpv4) {
  listen_and_receive(GetParam(), GetParam().here.ipv4);
}
TEST_P(Flows, AreAcceptedOverIpv6) {
  listen_and_receive(GetParam(), GetParam().here.ipv6);
}

// Goal: one who only polls, and seldom, hears of a connection with one of the next polls.
TEST_P(Flows, AreAcceptedByOneWhoPollsNowAndThen) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  (*rig)->pace = Rig::Pace::polls_now_and_then;
  const std::uint64_t before = (*rig)->polls;
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  EXPECT_LT((*rig)->polls - before, 50u);
  stream->send(1000, true);
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_TRUE((*rig)->close(*stream));
}

void connect_and_receive(const Subject& subject, bool ipv6) {
  auto rig = Rig::open(subject);
  ASSERT_OK(rig);
  const ListeningPeer listening = subject.listening_peer(ipv6);
  ASSERT_TRUE(listening.accept);
  Stream& stream = (*rig)->add_stream(nullptr);
  Result<Flow*> flow = (*rig)->receiver().connect(listening.address, {.user = &stream});
  ASSERT_OK(flow);
  stream.peer = listening.accept();
  stream.send(200'000, true);
  EXPECT_TRUE((*rig)->until([&] { return stream.ended; }));
  EXPECT_TRUE(stream.opened);
  EXPECT_EQ(stream.received, 200'000u);
  EXPECT_TRUE((*rig)->close(stream));
}

// Goal: a Receiver connects, over both families; `opened` comes before the first byte.
TEST_P(Flows, AreConnectedOverIpv4) {
  connect_and_receive(GetParam(), false);
}
TEST_P(Flows, AreConnectedOverIpv6) {
  connect_and_receive(GetParam(), true);
}

// Goal: a connection that nobody accepts fails, and can then be closed.
TEST_P(Flows, ThatNobodyAcceptsFail) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  const Address nobody = GetParam().listen_there(false).address;  // closed again
  Stream& stream = (*rig)->add_stream(socket_peer(Fd{}));
  Result<Flow*> flow = (*rig)->receiver().connect(nobody, {.user = &stream});
  ASSERT_OK(flow);
  stream.flow = *flow;
  EXPECT_TRUE((*rig)->until([&] { return stream.failed; }));
  EXPECT_EQ(stream.error.reason(), ReasonCode::peer_unreachable) << stream.error.describe();
  EXPECT_TRUE((*rig)->close(stream));
}

// Goal: a reset in the middle fails the flow once; nothing comes after it but closed.
TEST_P(Flows, FailWhenThePeerResets) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(50'000, false);
  ASSERT_TRUE((*rig)->until([&] { return stream->received == 50'000; }));
  ASSERT_TRUE(stream->sent());
  stream->peer->reset();
  EXPECT_TRUE((*rig)->until([&] { return stream->failed; }));
  EXPECT_EQ(stream->error.code(), Errc::flow_reset) << stream->error.describe();
  EXPECT_FALSE(stream->ended);
  EXPECT_TRUE((*rig)->close(*stream));
}

// Goal: close() in the middle of a stream ends it for the peer too.
TEST_P(Flows, ClosedInTheMiddleEndThePeer) {
  for (const bool reset : {false, true}) {
    auto rig = Rig::open(GetParam());
    ASSERT_OK(rig);
    Stream* stream = (*rig)->connect();
    ASSERT_NE(stream, nullptr);
    stream->send(64u << 20, false);
    ASSERT_TRUE((*rig)->until([&] { return stream->received > 100'000; }));
    EXPECT_TRUE((*rig)->close(*stream, reset));
    EXPECT_FALSE(stream->sent()) << "the sender sent to the end, to nobody";
  }
}

// Goal: a Receiver takes as many flows as it was opened for, and says so.
TEST_P(Flows, AreLimited) {
  LANDFALL_NEEDS(sockets);
  auto rig = Rig::open(GetParam(), {.flows_max = 2});
  ASSERT_OK(rig);
  ASSERT_NE((*rig)->connect(), nullptr);
  Stream* second = (*rig)->connect();
  ASSERT_NE(second, nullptr);
  SocketPair pair = GetParam().pair();
  EXPECT_REFUSED((*rig)->receiver().attach(pair.ours), limit_reached, flows_limit);
  ASSERT_TRUE((*rig)->close(*second));
  (*rig)->step();
  EXPECT_NE((*rig)->connect(), nullptr) << "there is room again";
}

}  // namespace
}  // namespace landfall::test
