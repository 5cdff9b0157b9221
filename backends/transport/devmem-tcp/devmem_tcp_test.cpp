// SPDX-License-Identifier: Apache-2.0
// Goal: every byte arrives once, in order, where the kernel says it is, and is marked as what it
// is; pages go back in few calls, each once; what the kernel does not report is noticed.
#include <sys/eventfd.h>

#include <thread>

#include "devmem-tcp/rig_test.hpp"

namespace landfall::devmem::test {
namespace {

using Way = FakeKernel::Way;

TEST(DevmemTcp, DeliversAStreamWhereItLanded) {
  Rig rig;
  Stream& stream = rig.add();
  EXPECT_TRUE(rig.until([&] {
    if (stream.sent < 8u << 20) stream.send(100'000);
    if (stream.sent >= 8u << 20) stream.finish();
    return stream.ends == 1;
  }));
  EXPECT_EQ(stream.got, stream.sent);
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_DIRECT, 0), stream.sent);
  rig.queue.close(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 0u);
  EXPECT_EQ(rig.kernel.pages_free(), (16u << 20) / 4096);
  EXPECT_EQ(rig.kernel.wrong_tokens, 0u);
}

// The figures of a backlog: a call takes what its caller has room for, and none is made in vain.
TEST(DevmemTcp, TakesABacklogInFewCalls) {
  Rig rig;
  Stream& stream = rig.add();
  stream.send_all(rig.kernel, 2048 * 4096);
  ASSERT_GE(rig.kernel.packets_queued(stream.fd), 2048u);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  EXPECT_LE(rig.kernel.receives, 2048u / 64);
  EXPECT_EQ(rig.kernel.empty_receives, 0u);
  EXPECT_LE(rig.kernel.returns, 2048u / 512);
  for (const DmabufToken& range : rig.kernel.last_return) EXPECT_GE(range.token_count, 128u);
}

// Goal: pages that follow each other in stream, memory and tokens are one extent, which holds all
// of them and gives all of them back; what does not is not joined.
TEST(DevmemTcp, JoinsPagesThatFollowEachOther) {
  Rig rig{{.capacity = 100}};  // calls end in the middle of what could be joined
  rig.kernel.pages_in_order();
  Stream& stream = rig.add();
  stream.keep = true;
  stream.send_all(rig.kernel, 500 * 4096);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  std::uint64_t charge = 0;
  for (const landfall_record& record : stream.held) {
    charge += record.charge_bytes;
    EXPECT_LE(record.length, kRunMost * 4096);
  }
  EXPECT_EQ(charge, 500u * 4096);
  EXPECT_LE(stream.held.size(), 500 / kRunMost + 500 / 100 + 2) << "and the ends of calls";
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 500u);
  rig.back_all(stream);
  rig.queue.close(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 0u);
  EXPECT_EQ(rig.kernel.wrong_tokens, 0u);
  EXPECT_EQ(rig.kernel.pages_free(), (16u << 20) / 4096);
}

// Goal: of packets that share a page the first is charged with it, and each has its token.
TEST(DevmemTcp, JoinsPacketsThatShareAPage) {
  Rig rig;
  rig.kernel.pages_in_order();
  rig.kernel.packs_halves = true;
  rig.kernel.way = [](std::uint64_t) { return FakeKernel::Packet{.bytes = 2048}; };
  Stream& stream = rig.add();
  stream.keep = true;
  stream.send_all(rig.kernel, 500 * 2048, 8 * 2048);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  std::uint64_t charge = 0;
  for (const landfall_record& record : stream.held) charge += record.charge_bytes;
  EXPECT_EQ(charge, 250u * (4096 + 2048));
  EXPECT_LE(stream.held.size(), 500 / kRunMost + 500 / 128 + 2);
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 500u);
  rig.back_all(stream);
  rig.queue.close(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
  EXPECT_EQ(rig.kernel.wrong_tokens, 0u);
  EXPECT_EQ(rig.kernel.pages_free(), (16u << 20) / 4096);
}

TEST(DevmemTcp, JoinsNothingAcrossAGap) {
  struct {
    const char* what;
    FakeKernel::Packet packet;
  } const rows[] = {{"the rest of a page", {.bytes = 3000}},
                    {"a packet head", {.linear = 100, .bytes = 4196}}};
  for (const auto& row : rows) {
    SCOPED_TRACE(row.what);
    Rig rig;
    rig.kernel.pages_in_order();
    rig.kernel.way = [&](std::uint64_t) { return row.packet; };
    Stream& stream = rig.add();
    stream.send_all(rig.kernel, 300ull * row.packet.bytes, 4ull * row.packet.bytes);
    EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
    std::size_t direct = 0;
    for (const landfall_record& record : stream.seen) direct += record.memory == 0 ? 1 : 0;
    EXPECT_EQ(direct, 300u);
  }
}

// Goal: where tokens are not neighbours (a flow that holds some back), no page goes back by the
// token of another.
TEST(DevmemTcp, GivesEachPageBackByItsOwnToken) {
  Rig rig;
  std::mt19937 random{11};
  Stream& stream = rig.add();
  stream.keep = true;
  EXPECT_TRUE(rig.until([&] {
    if (stream.sent < 32u << 20) {
      rig.kernel.pages_in_order();
      stream.send(50'000);
    }
    std::shuffle(stream.held.begin(), stream.held.end(), random);
    if (stream.held.size() > 20) rig.back_some(stream, stream.held.size() / 2);
    return stream.got == stream.sent && stream.sent >= 32u << 20;
  }));
  rig.back_all(stream);
  rig.queue.close(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
  EXPECT_EQ(rig.kernel.wrong_tokens, 0u);
  EXPECT_EQ(rig.kernel.pages_free(), (16u << 20) / 4096);
}

TEST(DevmemTcp, NeverTellsOfMoreThanThereIsRoomFor) {
  for (const std::uint32_t capacity : {1u, 2u, 7u}) {
    Rig rig{{.extents_max = 10, .capacity = capacity}};
    rig.kernel.way = [](std::uint64_t n) {
      return FakeKernel::Packet{.linear = n % 3 == 0 ? 100u : 0u, .bytes = 9000};
    };
    Stream& stream = rig.add();
    stream.keep = true;
    stream.send_all(rig.kernel, 35 * 9000, 9000);
    while (rig.poll() != 0) {
    }
    EXPECT_EQ(stream.held.size(), 10u);
    EXPECT_TRUE((rig.queue.arm() & LANDFALL_ARM_WANTS_RETURNS) != 0);
    EXPECT_TRUE(rig.until([&] {
      if (stream.held.size() == 10) rig.back_all(stream);
      return stream.got == stream.sent;
    }));
    EXPECT_EQ(Rig::bytes(stream, LANDFALL_LINEAR, LANDFALL_REASON_linear_in_packet_head),
              12u * 100);
  }
}

TEST(DevmemTcp, PutsWhatWasNotSplitIntoTheSpillAndSaysWhy) {
  Rig rig;
  rig.kernel.way = [](std::uint64_t n) {
    return FakeKernel::Packet{.way = n % 10 == 5 ? Way::plain : Way::split,
                              .linear = n % 10 == 7 ? 300u : 0u,
                              .bytes = 4000};
  };
  Stream& stream = rig.add();
  stream.send_all(rig.kernel, 1000 * 4000, 4000);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_LINEAR, LANDFALL_REASON_linear_in_packet_head),
            100u * 4000 + 100u * 300);
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_DIRECT, 0), stream.sent - 100 * 4000 - 100 * 300);
}

TEST(DevmemTcp, TellsBytesFromBeforeSteering) {
  constexpr std::uint64_t kQueued = 100'000;
  Rig rig;
  rig.kernel.way = [](std::uint64_t n) {
    // Five were on their way to the queue of before, and look as if they had come by this one.
    return FakeKernel::Packet{.way = n < 30 ? Way::plain : Way::split, .bytes = 4000};
  };
  Stream& stream = rig.add(kQueued);
  EXPECT_TRUE(rig.until([&] { return stream.got == kQueued; }));
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_COPIED, LANDFALL_REASON_before_steering), kQueued);
  for (int i = 0; i < 5; ++i) EXPECT_TRUE(rig.transfer(stream, 4000));
  EXPECT_TRUE(rig.transfer(stream, 1'000'000));
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_COPIED, LANDFALL_REASON_before_steering), kQueued + 20'000);
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_DIRECT, 0), 1'000'000u);
}

TEST(DevmemTcp, TellsAFlowThatMovedToAnotherQueue) {
  Rig rig;
  bool moved = false;
  rig.kernel.way = [&](std::uint64_t) {
    return FakeKernel::Packet{.way = moved ? Way::plain : Way::split};
  };
  Stream& stream = rig.add();
  stream.send_all(rig.kernel, 100 * 4096);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  moved = true;
  rig.kernel.napi = 101;
  EXPECT_TRUE(rig.transfer(stream, 50 * 4096));
  EXPECT_EQ(Rig::bytes(stream, LANDFALL_COPIED, LANDFALL_REASON_wrong_queue), 50u * 4096);
}

TEST(DevmemTcp, TellsAQueueThatLostItsBinding) {
  Rig rig;
  bool lost = false;
  rig.kernel.way = [&](std::uint64_t) {
    return FakeKernel::Packet{.way = lost ? Way::plain : Way::split};
  };
  Stream& stream = rig.add();
  stream.send_all(rig.kernel, 100 * 4096);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  lost = true;
  EXPECT_TRUE(rig.transfer(stream, 100 * 4096));
  const std::uint64_t told = Rig::bytes(stream, LANDFALL_COPIED, LANDFALL_REASON_queue_not_bound);
  EXPECT_GE(told, 100u * 4096 - (64u << 10));
}

TEST(DevmemTcp, NeverReadsAnotherBindingsPages) {
  Rig rig;
  rig.kernel.way = [](std::uint64_t n) {
    return FakeKernel::Packet{.way = n >= 10 && n < 20 ? Way::foreign : Way::split};
  };
  Stream& stream = rig.add();
  stream.keep = true;
  stream.send_all(rig.kernel, 30 * 4096);
  EXPECT_TRUE(rig.until([&] { return stream.failures == 1; }));
  EXPECT_EQ(stream.got, 10u * 4096);
  EXPECT_EQ(stream.failure.code, std::uint32_t{LANDFALL_REASON_foreign_binding});
  rig.back_all(stream);
  rig.queue.close(stream.flow, true);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 0u);
}

TEST(DevmemTcp, GivesAgainWhatTheKernelDidNotTake) {
  Rig rig;
  rig.kernel.pages_per_return = 100;
  rig.kernel.refuse_returns = 3;
  std::mt19937 random{5};
  Stream& stream = rig.add();
  stream.keep = true;
  EXPECT_TRUE(rig.until([&] {
    if (stream.sent < 24u << 20) stream.send(60'000);
    std::shuffle(stream.held.begin(), stream.held.end(), random);
    if (stream.held.size() > 500) rig.back_all(stream);
    return stream.got == stream.sent && stream.sent >= 24u << 20;
  }));
  rig.back_all(stream);
  rig.queue.close(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 0u);
  EXPECT_EQ(rig.kernel.wrong_tokens, 0u);
}

// Copied bytes stall where the spill is full; direct ones do not.
TEST(DevmemTcp, StallsWhereTheSpillIsFullAndGoesOn) {
  Rig rig{{.spill_bytes = 128u << 10}};
  Stream& copied = rig.add();
  Stream& direct = rig.add();
  rig.kernel.way = [](std::uint64_t) { return FakeKernel::Packet{Way::plain, 0, 16384}; };
  copied.keep = true;
  copied.send_all(rig.kernel, 1u << 20);
  rig.kernel.way = [](std::uint64_t) { return FakeKernel::Packet{}; };
  direct.send_all(rig.kernel, 1u << 20);
  EXPECT_TRUE(rig.until([&] { return rig.starved == 1 && direct.got == direct.sent; }));
  EXPECT_LE(copied.got, 128u << 10);
  EXPECT_EQ(rig.queue.arm(), std::uint32_t{LANDFALL_ARM_WANTS_RETURNS});
  EXPECT_TRUE(rig.until([&] {
    rig.back_all(copied);
    return copied.got == copied.sent;
  }));
  EXPECT_EQ(rig.starved, rig.fed);
}

// A merged packet may be larger than what is left of a block, or than a block.
TEST(DevmemTcp, CopiesPacketsThatAreLargerThanTheSpillsBlocks) {
  Rig rig;
  rig.kernel.way = [](std::uint64_t) { return FakeKernel::Packet{Way::plain, 0, 200'000}; };
  Stream& stream = rig.add();
  EXPECT_TRUE(rig.until([&] {
    if (stream.sent < 4u << 20) stream.send(250'000);
    return stream.got == stream.sent && stream.sent >= 4u << 20;
  }));
}

TEST(DevmemTcp, KeepsTheSocketUntilTheLastExtentIsBack) {
  for (const bool reset : {false, true}) {
    Rig rig;
    Stream& stream = rig.add();
    stream.keep = true;
    stream.send_all(rig.kernel, 1u << 20);
    EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
    rig.queue.close(stream.flow, reset);
    for (int i = 0; i < 10; ++i) rig.poll();
    EXPECT_EQ(stream.closed, 0);
    EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 256u);
    rig.back_all(stream);
    EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
    EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 0u);
  }
}

// What is left by TCP_INQ counts a FIN and not a reset, whose event comes with that of the bytes.
TEST(DevmemTcp, TellsOfAResetThatCameWithTheLastBytes) {
  Rig rig;
  Stream& stream = rig.add();
  for (int i = 0; i < 10; ++i) rig.poll();
  stream.send_all(rig.kernel, 64 * 1024);
  const linger none{.l_onoff = 1, .l_linger = 0};
  ::setsockopt(stream.peer.get(), SOL_SOCKET, SO_LINGER, &none, sizeof none);
  stream.peer.reset();
  EXPECT_TRUE(rig.until([&] { return stream.failures == 1; }));
  EXPECT_EQ(stream.got, stream.sent);
}

// Goal: what a dry pool drops wakes nobody, so who sleeps with half of the pool out hears of
// returns.
TEST(DevmemTcp, WantsReturnsWhileHalfOfThePoolIsOut) {
  for (const bool in_order : {false, true}) {
    Rig rig;
    if (in_order) rig.kernel.pages_in_order();
    Stream& stream = rig.add();
    stream.keep = true;
    stream.send_all(rig.kernel, 2047 * 4096);
    EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
    EXPECT_EQ(rig.queue.arm(), 0u);
    EXPECT_TRUE(rig.transfer(stream, 4096));
    EXPECT_EQ(rig.queue.arm(), std::uint32_t{LANDFALL_ARM_WANTS_RETURNS});
    rig.back_all(stream);
    EXPECT_EQ(rig.queue.arm(), 0u);
  }
}

TEST(DevmemTcp, GivesBackAtOnceWhenNobodyPollsAnyMore) {
  Rig rig;
  Stream& stream = rig.add();
  stream.keep = true;
  stream.send_all(rig.kernel, 40 * 4096);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  rig.queue.stop();
  rig.back_all(stream);
  EXPECT_EQ(rig.kernel.tokens_out(stream.fd), 0u);
}

TEST(DevmemTcp, TellsOnceThatTheBindingIsGone) {
  Rig rig;
  Stream& stream = rig.add();
  stream.keep = true;
  stream.send_all(rig.kernel, 100'000);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  rig.binding.reset();
  EXPECT_TRUE(rig.until([&] { return rig.revoked == 1; }));
  stream.send(100'000);
  for (int i = 0; i < 10; ++i) rig.poll();
  EXPECT_EQ(stream.got, 100'000u);
  EXPECT_EQ(rig.revoked, 1);
  const landfall_flow_spec spec{sizeof spec, 0, 2, 0};
  Flow* flow = nullptr;
  EXPECT_EQ(rig.queue.attach(-1, spec, &flow, &rig.why), LANDFALL_ERRC_revoked);
  rig.back_all(stream);
  rig.queue.close(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.closed == 1; }));
}

TEST(DevmemTcp, PausesAndResumes) {
  Rig rig;
  Stream& stream = rig.add();
  rig.queue.pause(stream.flow, true);
  stream.send_all(rig.kernel, 1u << 20);
  for (int i = 0; i < 10; ++i) rig.poll();
  EXPECT_EQ(stream.got, 0u);
  rig.queue.pause(stream.flow, false);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
}

TEST(DevmemTcp, DetachGivesTheSocketBack) {
  Rig rig;
  Stream& stream = rig.add();
  stream.keep = true;
  stream.send_all(rig.kernel, 100'000);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));
  std::int32_t fd = -1;
  EXPECT_EQ(rig.queue.detach(stream.flow, &fd, &rig.why), LANDFALL_ERRC_busy);
  EXPECT_EQ(rig.why.code, std::uint32_t{LANDFALL_REASON_extents_out});
  rig.back_all(stream);
  ASSERT_EQ(rig.queue.detach(stream.flow, &fd, &rig.why), LANDFALL_ERRC_ok);
  EXPECT_EQ(fd, stream.fd);
  EXPECT_EQ(rig.kernel.tokens_out(fd), 0u);
  ::close(fd);
}

TEST(DevmemTcp, ServesManyFlows) {
  Rig rig;
  for (int i = 0; i < 300; ++i) rig.add();
  EXPECT_TRUE(rig.until([&] {
    bool all = true;
    for (auto& stream : rig.streams) {
      if (stream->sent < 200'000) stream->send(20'000);
      all = all && stream->sent >= 200'000 && stream->got == stream->sent;
    }
    return all;
  }));
  EXPECT_EQ(rig.kernel.wrong_tokens, 0u);
}

/// A flow that has brought 17 MiB at 64 MiB/s.
Stream& add_bulk(Rig& rig) {
  rig.now_ns = 250'000'000;
  Stream& stream = rig.add();
  EXPECT_TRUE(rig.transfer(stream, 17u << 20));
  return stream;
}

// The bytes of a bulk stream gather, unless something else wants the thread.
TEST(DevmemTcp, LetsABulkStreamGather) {
  Rig rig;
  Stream& stream = add_bulk(rig);
  stream.send(100'000);
  std::int32_t control = 0;
  const auto begin = std::chrono::steady_clock::now();
  EXPECT_EQ(rig.queue.wait(-1, UINT64_MAX, &control), LANDFALL_ERRC_ok);
  EXPECT_GE(std::chrono::steady_clock::now() - begin, std::chrono::milliseconds{2});
  EXPECT_EQ(control, 0);
  EXPECT_NE(rig.poll(), 0u);
  EXPECT_TRUE(rig.until([&] { return stream.got == stream.sent; }));

  const Fd waker{::eventfd(1, EFD_CLOEXEC)};
  EXPECT_EQ(rig.queue.wait(waker.get(), UINT64_MAX, &control), LANDFALL_ERRC_ok);
  EXPECT_EQ(control, 1) << "and no byte came";
}

// One that stands still is waited for as every other is: by one call, to its next byte.
TEST(DevmemTcp, WaitsOnWhereNothingHasGathered) {
  Rig rig;
  Stream& stream = add_bulk(rig);
  std::thread later{[&] {
    std::this_thread::sleep_for(std::chrono::milliseconds{30});
    stream.send(1000);
  }};
  std::int32_t control = 0;
  EXPECT_EQ(rig.queue.wait(-1, UINT64_MAX, &control), LANDFALL_ERRC_ok);
  later.join();
  EXPECT_NE(rig.poll(), 0u);
  EXPECT_EQ(stream.got, stream.sent);
}

TEST(DevmemTcp, GathersUnlessItIsToldNotTo) {
  Options options;
  EXPECT_EQ(read_options("gather=off\nwindow=4MiB\n", &options, nullptr), LANDFALL_ERRC_ok);
  EXPECT_FALSE(options.gather);
  EXPECT_EQ(read_options("gather=1\n", &options, nullptr), LANDFALL_ERRC_invalid_argument);
}

// The windows of all flows together stay within half of the pool.
TEST(DevmemTcp, SharesTheWindowAmongTheFlows) {
  Rig rig{{.options = "window=4MiB\n"}};
  for (int i = 0; i < 64; ++i) rig.add();
  rig.poll();
  std::uint64_t sum = 0;
  for (auto& stream : rig.streams) {
    int bytes = 0;
    socklen_t length = sizeof bytes;
    ASSERT_EQ(::getsockopt(stream->fd, SOL_SOCKET, SO_RCVBUF, &bytes, &length), 0);
    sum += static_cast<std::uint64_t>(bytes);
  }
  EXPECT_LE(sum, 4u << 20);
  EXPECT_GE(sum, 2u << 20);
}

}  // namespace
}  // namespace landfall::devmem::test
