// SPDX-License-Identifier: Apache-2.0
// Goal: what a Sender sends over real sockets arrives byte for byte, its ranges come back in order
// with the truth about how they went, and its end is what the peer sees.
#include <fcntl.h>
#include <poll.h>

#include "landfall/base/limits.hpp"
#include "landfall_test/child.hpp"
#include "landfall_test/fault_loop.hpp"
#include "transport/sender_rig_test.hpp"

namespace landfall {
namespace {

using test::Peer;
using test::seconds;
using test::SendingTest;
using test::tcp_pair;

constexpr std::uint64_t kSize = 8u << 20;

class SenderTest : public SendingTest {
 protected:
  /// All of the Region in ranges of `piece` bytes.
  static void send_all(Sender& sender, std::uint64_t size, std::uint64_t piece) {
    std::vector<Sent> ignored(64);
    for (std::uint64_t at = 0; at < size; at += piece) {
      const auto sent = sender.send(at, std::min(piece, size - at), at / piece);
      ASSERT_TRUE(sent) << sent.error().describe();
    }
  }
  static void await_broken_contract(Sender& sender) {
    std::vector<Sent> out(8);
    for (;;) {
      const auto count = sender.wait(out, seconds{30});
      if (!count) {
        EXPECT_EQ(count.error().code(), Errc::contract_broken);
        EXPECT_EQ(count.error().reason(), ReasonCode::contract_copied);
        return;
      }
      ASSERT_NE(*count, 0u) << "nothing noticed that loopback copies";
    }
  }
  const Decision::Candidate& candidate(const Decision& decision, const std::string& method) {
    for (const auto& one : decision.candidates)
      if (one.transport == method) return one;
    ADD_FAILURE() << "no candidate " << method;
    return decision.candidates.front();
  }
};

TEST_F(SenderTest, SendsByEachMethodByteForByte) {
  for (const char* method : {"zerocopy", "copy"}) {
    for (const bool ipv6 : {false, true}) {
      SCOPED_TRACE(method);
      SendGroup group = open(allocate(kSize), {.methods = {method}});
      auto [ours, theirs] = tcp_pair(ipv6);
      Peer peer{std::move(theirs)};
      Sender sender = attach(group, ours);
      EXPECT_FALSE(ours);
      EXPECT_EQ(sender.decision().chosen, method);
      send_all(sender, kSize, 100'000);
      ASSERT_TRUE(sender.finish());
      const std::vector<Sent> sent = drain(sender);
      test::SendingTest::expect_pattern(peer.take(), kSize);
      ASSERT_EQ(sent.size(), (kSize + 99'999) / 100'000);
      for (std::size_t i = 0; i < sent.size(); ++i) {
        EXPECT_EQ(sent[i].tag, i);
        EXPECT_EQ(sent[i].offset, i * 100'000);
      }
      // The loopback hands packets to the receiver, for whom the kernel copies pages of others.
      EXPECT_EQ(sender.verdict()[Placement::copied], kSize);
      EXPECT_EQ(sender.verdict().reasons[0].reason,
                *method == 'z' ? ReasonCode::copied_on_the_way : ReasonCode::copied_by_kernel);
      EXPECT_EQ(sender.sent_bytes(), kSize);
    }
  }
}

// Goal: where notices say that the kernel copies all the same, asking for no copies ends.
TEST_F(SenderTest, ChangesToCopyWhereTheKernelCopiesAnyway) {
  SendGroup group = open(allocate(kSize));
  auto [ours, theirs] = tcp_pair();
  Peer peer{std::move(theirs)};
  Sender sender = attach(group, ours);
  EXPECT_EQ(sender.decision().chosen, "zerocopy");
  const auto& devmem = candidate(sender.decision(), "devmem");
  EXPECT_FALSE(devmem.usable);
  EXPECT_EQ(devmem.reasons.at(0).code, ReasonCode::needs_dmabuf);
  EXPECT_EQ(candidate(sender.decision(), "copy").reasons.at(0).code, ReasonCode::better_was_usable);
  for (int round = 0; round < 4; ++round) {
    send_all(sender, kSize, 1u << 20);
    for (const Sent& sent : drain(sender)) EXPECT_EQ(sent.placement, Placement::copied);
  }
  EXPECT_EQ(sender.verdict()[Placement::copied], 4 * kSize);
  EXPECT_EQ(sender.verdict().reasons[1].reason, ReasonCode::none) << "one reason for both ways";
  ASSERT_TRUE(sender.finish());
  EXPECT_EQ(peer.take().size(), 4 * kSize);
}

TEST_F(SenderTest, KeepsTheContract) {
  const CopyContract direct{.kind = CopyContract::Kind::require_direct};
  SendGroup group = open(allocate(kSize), {.contract = direct});
  auto [ours, theirs] = tcp_pair();
  Peer peer{std::move(theirs)};
  Sender sender = attach(group, ours);
  EXPECT_EQ(candidate(sender.decision(), "copy").reasons.at(0).code,
            ReasonCode::contract_needs_direct);
  ASSERT_TRUE(sender.send(0, kSize));
  await_broken_contract(sender);
  EXPECT_EQ(sender.send(0, 1).error().code(), Errc::contract_broken) << "for good";
  { const Sender gone = std::move(sender); }
  int number = 0;
  peer.take(&number);
  EXPECT_EQ(number, ECONNRESET);
}

// Goal: a contract that broke when all was through already ends the connection the same way: what
// the peer sees does not hang on when the kernel's notices came.
TEST_F(SenderTest, ResetsWhereTheContractBrokeAtTheEnd) {
  constexpr std::uint64_t kLittle = 128u << 10;
  const CopyContract direct{.kind = CopyContract::Kind::require_direct};
  SendGroup group = open(allocate(kLittle), {.contract = direct});
  auto [ours, theirs] = tcp_pair();
  Peer peer{std::move(theirs)};
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, kLittle));
  peer.await(kLittle);
  await_broken_contract(sender);
  { const Sender gone = std::move(sender); }
  int number = 0;
  peer.take(&number);
  EXPECT_EQ(number, ECONNRESET);
}

TEST_F(SenderTest, RefusesWhatCannotBeSent) {
  auto [ours, theirs] = tcp_pair();
  const int fd = ours.get();
  {
    SendGroup group = open(allocate(4096),
                           {.methods = {"copy"}, .contract = {CopyContract::Kind::require_direct}});
    Decision decision;
    const auto refused = group.attach(ours, &decision);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().code(), Errc::not_supported);
    EXPECT_EQ(refused.error().reason(), ReasonCode::contract_needs_direct);
    EXPECT_EQ(candidate(decision, "devmem").reasons.at(0).code, ReasonCode::not_asked_for);
    EXPECT_EQ(ours.get(), fd) << "the socket stays the caller's";
  }
  {
    SendGroup group = open(allocate(4096, "device-memory"), {.methods = {"zerocopy", "copy"}});
    const auto refused = group.attach(ours);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason(), ReasonCode::no_host_view);
  }
  {
    SendGroup group = open(allocate(4096));
    int ends[2];
    ASSERT_EQ(::socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    Fd unix_end{ends[0]}, other_end{ends[1]};
    EXPECT_EQ(group.attach(unix_end).error().reason(), ReasonCode::not_a_tcp_socket);
    Fd fresh{::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)};
    EXPECT_EQ(group.attach(fresh).error().reason(), ReasonCode::not_connected);
    // Somebody else's notices.
    const int on = 1;
    ASSERT_EQ(::setsockopt(ours.get(), SOL_SOCKET, SO_ZEROCOPY, &on, sizeof on), 0);
    Sender sender = attach(group, ours);
    EXPECT_EQ(sender.decision().chosen, "copy");
    EXPECT_EQ(candidate(sender.decision(), "zerocopy").reasons.at(0).code,
              ReasonCode::zerocopy_in_use);
    Fd socket = std::move(*sender.detach());
    int still_on = 0;
    socklen_t length = sizeof still_on;
    ASSERT_EQ(::getsockopt(socket.get(), SOL_SOCKET, SO_ZEROCOPY, &still_on, &length), 0);
    EXPECT_NE(still_on, 0) << "it is the caller's";
  }
  Region region = allocate(4096);
  EXPECT_EQ(SendGroup::open(*context_, {.methods = {"post"}}, region).error().code(),
            Errc::invalid_argument);
  EXPECT_EQ(SendGroup::open(*context_, {.ranges_max = 0}, region).error().code(),
            Errc::invalid_argument);
  EXPECT_TRUE(region);
}

TEST_F(SenderTest, RefusesRangesOutsideAndTooMany) {
  SendGroup group = open(allocate(8192), {.ranges_max = 4});
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  EXPECT_EQ(sender.send(0, 0).error().reason(), ReasonCode::range_outside);
  EXPECT_EQ(sender.send(8192, 1).error().reason(), ReasonCode::range_outside);
  EXPECT_EQ(sender.send(1, ~0ull).error().reason(), ReasonCode::range_outside);
  // Three ranges and an inline piece; what is through counts until it is told.
  ASSERT_TRUE(sender.send_inline(std::vector<std::byte>(16)));
  for (int i = 0; i < 3; ++i) ASSERT_TRUE(sender.send(0, 8192));
  EXPECT_EQ(sender.send(0, 1).error().reason(), ReasonCode::ranges_limit);
  EXPECT_EQ(sender.send_inline(std::vector<std::byte>(1)).error().reason(),
            ReasonCode::ranges_limit);
  EXPECT_EQ(drain(sender).size(), 3u);
  EXPECT_EQ(sender.send_inline(std::vector<std::byte>(kSendInlineBytesMax + 1)).error().code(),
            Errc::limit_reached);
  EXPECT_TRUE(sender.send(0, 1));
  ASSERT_TRUE(sender.finish());
  EXPECT_EQ(sender.send(0, 1).error().reason(), ReasonCode::stream_finished);
  drain(sender);
}

// Goal: headers of any size, around the end of their ring as well, stand where they were put.
TEST_F(SenderTest, SendsInlineBytesInTheirPlaces) {
  for (const char* method : {"zerocopy", "copy"}) {
    SendGroup group = open(allocate(1u << 20), {.methods = {method}});
    auto [ours, theirs] = tcp_pair();
    Peer peer{std::move(theirs)};
    Sender sender = attach(group, ours);
    std::vector<std::byte> expected;
    std::vector<Sent> out(16);
    std::uint64_t at = 0;
    for (std::size_t i = 1; i < 200; ++i) {
      const std::vector<std::byte> header((i * 37) % 9000 + 1, static_cast<std::byte>(i));
      const std::uint64_t length = (i * 7919) % 5000 + 1;
      for (auto sent = sender.send_inline(header); !sent; sent = sender.send_inline(header)) {
        ASSERT_EQ(sent.error().code(), Errc::limit_reached) << sent.error().describe();
        ASSERT_TRUE(sender.wait(out, seconds{30}));
      }
      ASSERT_TRUE(sender.send(at, length));
      expected.insert(expected.end(), header.begin(), header.end());
      for (std::uint64_t k = at; k < at + length; ++k) expected.push_back(test::pattern_at(k));
      at += length;
    }
    ASSERT_TRUE(sender.finish());
    drain(sender);
    EXPECT_EQ(peer.take(), expected);
    EXPECT_EQ(sender.verdict().total(), at) << "headers are not in the verdict";
    EXPECT_EQ(sender.sent_bytes(), expected.size());
  }
}

// Goal: a peer never takes a part for the whole.
TEST_F(SenderTest, DestroyedInTheMiddleItResets) {
  SendGroup group = open(allocate(kSize));
  for (const bool whole : {false, true}) {
    auto [ours, theirs] = tcp_pair();
    {
      Sender sender = attach(group, ours);
      ASSERT_TRUE(sender.send(0, whole ? 4096 : kSize));
      EXPECT_EQ(group.close().error().reason(), ReasonCode::senders_open);
      if (whole) drain(sender);
    }
    int number = 0;
    const auto bytes = Peer{std::move(theirs)}.take(&number);
    EXPECT_EQ(number, whole ? 0 : ECONNRESET);
    if (whole) {
      EXPECT_EQ(bytes.size(), 4096u);
    }
  }
  const auto region = group.close();
  ASSERT_TRUE(region) << region.error().describe();
  EXPECT_EQ(region->memory().size_bytes(), kSize);
}

TEST_F(SenderTest, SaysThatThePeerHasReset) {
  for (const char* method : {"zerocopy", "copy"}) {
    SendGroup group = open(allocate(kSize), {.methods = {method}});
    auto [ours, theirs] = tcp_pair();
    Sender sender = attach(group, ours);
    ASSERT_TRUE(sender.send(0, kSize, 1));
    const linger at_once{1, 0};
    ::setsockopt(theirs.get(), SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
    theirs.reset();
    std::vector<Sent> out(4);
    const auto count = sender.wait(out, seconds{30});
    ASSERT_FALSE(count) << "what the kernel dropped was told as sent";
    EXPECT_EQ(count.error().code(), Errc::flow_reset);
    EXPECT_EQ(count.error().reason(), ReasonCode::peer_reset);
    EXPECT_EQ(sender.finish().error().reason(), ReasonCode::peer_reset);
  }
}

// Goal: the descriptor wakes whoever sleeps on it as often as there is something to do.
TEST_F(SenderTest, WakesAnEventLoop) {
  SendGroup group = open(allocate(kSize));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, kSize));
  ASSERT_TRUE(sender.finish());
  Peer peer{std::move(theirs)};
  std::vector<Sent> out(4);
  bool through = false;
  while (!through) {
    const auto count = sender.poll(out);
    ASSERT_TRUE(count) << count.error().describe();
    through = *count == 1;
    if (through || !*sender.arm()) continue;
    pollfd events{sender.wait_fd(), POLLIN, 0};
    ASSERT_EQ(::poll(&events, 1, 30'000), 1) << "overslept";
  }
  EXPECT_EQ(peer.take().size(), kSize);
  EXPECT_EQ(*sender.wait(out, seconds{30}), 0u) << "nothing is out: no sleep";
}

TEST_F(SenderTest, WaitsNoLongerThanAsked) {
  SendGroup group = open(allocate(kSize));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  for (int i = 0; i < 8; ++i) ASSERT_TRUE(sender.send(0, kSize));
  std::vector<Sent> out(16);
  std::size_t told = 0;
  const auto began = std::chrono::steady_clock::now();
  // The peer reads nothing: soon nothing moves any more.
  for (auto count = sender.wait(out, test::milliseconds{20}); *count != 0;
       count = sender.wait(out, test::milliseconds{20}))
    told += *count;
  EXPECT_LT(std::chrono::steady_clock::now() - began, seconds{20});
  EXPECT_LT(told, 8u);
  EXPECT_EQ(sender.detach().error().reason(), ReasonCode::ranges_out);
}

TEST_F(SenderTest, GivesTheSocketBack) {
  SendGroup group = open(allocate(4096));
  auto [ours, theirs] = tcp_pair();
  Sender sender = attach(group, ours);
  ASSERT_TRUE(sender.send(0, 4096));
  drain(sender);
  auto socket = sender.detach();
  ASSERT_TRUE(socket) << socket.error().describe();
  EXPECT_EQ(sender.send(0, 1).error().code(), Errc::closed);
  EXPECT_EQ(sender.wait_fd(), -1);
  ASSERT_EQ(::send(socket->get(), "x", 1, MSG_NOSIGNAL), 1);
  socket->reset();
  EXPECT_EQ(Peer{std::move(theirs)}.take().size(), 4097u);
  EXPECT_TRUE(group.close());
}

TEST_F(SenderTest, OutlivesItsGroup) {
  auto [ours, theirs] = tcp_pair();
  std::optional<SendGroup> group{open(allocate(kSize))};
  Sender sender = attach(*group, ours);
  group.reset();
  Peer peer{std::move(theirs)};
  ASSERT_TRUE(sender.send(0, kSize));
  ASSERT_TRUE(sender.finish());
  drain(sender);
  test::SendingTest::expect_pattern(peer.take(), kSize);
}

TEST_F(SenderTest, IsInertInAForkedChild) {
  SendGroup group = open(allocate(kSize));
  auto [ours, theirs] = tcp_pair();
  {
    Sender sender = attach(group, ours);
    ASSERT_TRUE(sender.send(0, kSize));
    EXPECT_TRUE(test::holds_in_child([&] {
      const bool inert = sender.send(0, 1).error().code() == Errc::wrong_process;
      { const Sender dropped = std::move(sender); }
      return inert;
    }));
    ASSERT_TRUE(sender.finish());
    Peer peer{std::move(theirs)};
    drain(sender);
    int number = -1;
    test::SendingTest::expect_pattern(peer.take(&number), kSize);
    EXPECT_EQ(number, 0) << "the child has reset its parent's connection";
  }
}

// Goal: whichever outside call fails, the caller is told, and nothing stays behind.
TEST_F(SenderTest, SurvivesEachFailure) {
  const auto failed = test::fail_each_call(plan_, [this] {
    auto region = Region::allocate(*context_, {.size_bytes = 1u << 16});
    if (!region) return false;
    auto group = SendGroup::open(*context_, {}, *region);
    if (!group) return false;
    auto [ours, theirs] = tcp_pair();
    auto sender = group->attach(ours);
    if (!sender) return false;
    if (!sender->send(0, 1u << 16) || !sender->finish()) return false;
    std::vector<Sent> out(1);
    const auto count = sender->wait(out, seconds{30});
    return count && *count == 1;
  });
  EXPECT_GE(failed.calls, 6u);
  EXPECT_TRUE(failed.leaked.empty()) << failed.leaked.front();
  // Without MSG_ZEROCOPY there is `copy`.
  for (const std::string& site : failed.survived)
    EXPECT_TRUE(site == "setsockopt(SO_ZEROCOPY)" || site == "vmsplice") << site;
}

}  // namespace
}  // namespace landfall
