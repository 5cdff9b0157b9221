// SPDX-License-Identifier: Apache-2.0
// Bytes, their order, their ends and their accounts.
#include "conformance/pattern.hpp"
#include "conformance/rig.hpp"

namespace landfall::test {
namespace {

class Streams : public Transport {};
LANDFALL_CONFORMANCE(Streams);

constexpr std::uint64_t kMiB = 1 << 20;

// Goal: every byte arrives once, in order and unchanged, however the sender cuts them.
TEST_P(Streams, AreByteExactOverRandomSegments) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(8 * kMiB, true);
  ASSERT_TRUE((*rig)->until([&] { return stream->ended || stream->failed; }));
  EXPECT_FALSE(stream->failed) << stream->error.describe();
  EXPECT_EQ(stream->received, 8 * kMiB);
  EXPECT_TRUE((*rig)->close(*stream));
}

// Goal: bytes sent one by one are bytes like others.
TEST_P(Streams, AreByteExactOverSingleBytes) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(3000, true, 1);
  ASSERT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(stream->received, 3000u);
}

// Goal: a flow's stream offsets begin where the caller says that they do.
TEST_P(Streams, BeginAtTheOffsetAskedFor) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect({.stream_offset = 123'457});
  ASSERT_NE(stream, nullptr);
  stream->sent_bytes = 123'457;
  stream->send(kMiB, true);
  ASSERT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(stream->next_offset, 123'457 + kMiB);
}

// Goal: many flows at once do not mix.
TEST_P(Streams, OfSeveralFlowsDoNotMix) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  std::vector<Stream*> streams;
  for (int i = 0; i < 16; ++i) streams.push_back((*rig)->connect());
  for (Stream* stream : streams) {
    ASSERT_NE(stream, nullptr);
    stream->send(512 * 1024, true, 9000);
  }
  for (Stream* stream : streams) {
    EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
    EXPECT_EQ(stream->received, 512u * 1024);
  }
  EXPECT_EQ((*rig)->receiver().flows(), 16u);
  for (Stream* stream : streams) EXPECT_TRUE((*rig)->close(*stream));
}

// Goal: the queues of a Group draw from one Region without ever handing out a byte of it twice.
TEST_P(Streams, OfSeveralQueuesDoNotOverlap) {
  auto rig = Rig::open(GetParam(), {.queues = 4});
  ASSERT_OK(rig);
  ASSERT_EQ((*rig)->group->size(), 4u);
  std::vector<Stream*> streams;
  for (std::size_t i = 0; i < 8; ++i) {
    Stream* stream = (*rig)->connect({}, i % 4);
    ASSERT_NE(stream, nullptr);
    stream->consume = [stream](Held one) {  // the last few stay out
      stream->held.push_back(std::move(one));
      if (stream->held.size() > 4) stream->held.erase(stream->held.begin());
    };
    stream->on_end = [stream] { stream->held.clear(); };
    stream->send(2 * kMiB, true);
    streams.push_back(stream);
  }
  for (Stream* stream : streams) {
    EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
    EXPECT_EQ(stream->received, 2 * kMiB);
  }
  EXPECT_EQ((*rig)->group->verdict().total(), 8 * 2 * kMiB);
}

// Goal: `closed` waits for the last extent, and nothing comes after it.
TEST_P(Streams, AreClosedWhenTheLastExtentIsBack) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  stream->send(100'000, true);
  ASSERT_TRUE((*rig)->until([&] { return stream->ended; }));
  ASSERT_GT(stream->held.size(), 1u);
  stream->flow->close();
  (*rig)->quiet();
  EXPECT_FALSE(stream->closed);
  while (stream->held.size() > 1) stream->held.pop_back();
  (*rig)->quiet();
  EXPECT_FALSE(stream->closed);
  stream->held.clear();
  EXPECT_TRUE((*rig)->until([&] { return stream->closed; }));
}

// Goal: what Flow and Receiver say is held is the charge of the Buffers out, and ends at zero.
TEST_P(Streams, AreChargedForWhatTheyHold) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  stream->send(300'000, true);
  ASSERT_TRUE((*rig)->until([&] { return stream->ended; }));
  const auto check = [&] {
    std::uint64_t charge = 0;
    for (const Held& held : stream->held) charge += held.buffer().charge_bytes();
    EXPECT_EQ(stream->flow->held_bytes(), charge);
    EXPECT_EQ((*rig)->receiver().held_bytes(), charge);
    EXPECT_EQ((*rig)->receiver().buffers_out(), stream->held.size());
    EXPECT_EQ(stream->flow->buffers_out(), stream->held.size());
    EXPECT_LE(charge, (*rig)->receiver().slice_bytes());
  };
  check();
  stream->held.resize(stream->held.size() / 2);
  (*rig)->step();
  check();
  stream->held.clear();
  (*rig)->step();
  check();
  EXPECT_EQ((*rig)->receiver().held_bytes(), 0u);
}

// Goal: the verdict accounts for every byte, by placement and by reason.
TEST_P(Streams, HaveAVerdictOverEveryByte) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(4 * kMiB, true);
  ASSERT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_EQ(stream->verdict.total(), 4 * kMiB);
  EXPECT_EQ(stream->verdict.bytes, stream->seen.bytes);
  EXPECT_EQ((*rig)->receiver().verdict().bytes, stream->seen.bytes);
  std::uint64_t explained = 0;
  for (const Verdict::Count& count : stream->verdict.reasons) explained += count.bytes;
  EXPECT_EQ(explained, 4 * kMiB - stream->verdict[Placement::direct]);
  if (GetParam().can(Cap::unsure)) {
    EXPECT_GT(stream->verdict[Placement::direct] + stream->verdict[Placement::unsure], 0u);
    return;
  }
  EXPECT_EQ(stream->verdict[Placement::direct] > 0, GetParam().can(Cap::direct));
  EXPECT_EQ(stream->verdict[Placement::linear] > 0, GetParam().can(Cap::linear));
}

// Goal: a message that was sent in one piece ends where its sender ended it.
TEST_P(Streams, TellWhereMessagesEnd) {
  LANDFALL_NEEDS(messages);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  const std::vector<std::size_t> lengths{100, 20'000, 1, 8192, 8193, 3};
  std::vector<std::uint64_t> ends, expected_ends;
  for (const std::size_t length : lengths)
    expected_ends.push_back(length + (expected_ends.empty() ? 0 : expected_ends.back()));
  stream->consume = [&](Held one) {
    if (one.buffer().ends_message())
      ends.push_back(one.buffer().stream_offset() + one.buffer().length());
  };
  std::thread sender{[&] {
    std::vector<std::byte> message(20'000);
    for (std::size_t i = 0; i < lengths.size(); ++i) {
      fill_pattern(stream->seed, expected_ends[i] - lengths[i], message);
      EXPECT_TRUE(stream->peer->send(std::span{message}.first(lengths[i])));
    }
    EXPECT_TRUE(stream->peer->finish());
  }};
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  stream->peer->abort();
  sender.join();
  EXPECT_EQ(ends, expected_ends);
}

// Goal: wait() wakes for what happens, and answers zero when its time is up.
TEST_P(Streams, WakeAWaiter) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  std::vector<Completion> batch(8);
  auto none = (*rig)->receiver().wait(batch, std::chrono::milliseconds{5});
  ASSERT_OK(none);
  EXPECT_EQ(*none, 0u);
  stream->send(1000, false);
  auto some = (*rig)->receiver().wait(batch, std::chrono::seconds{10});
  ASSERT_OK(some);
  EXPECT_GT(*some, 0u);
}

// Goal: who sleeps in wait() gets all of a bulk stream that stops, goes on and ends.
TEST_P(Streams, ArriveForOneWhoWaits) {
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  (*rig)->pace = Rig::Pace::waits;
  for (std::uint64_t round = 1; round <= 4; ++round) {
    stream->send(12 * kMiB, round == 4);
    ASSERT_TRUE((*rig)->until([&] { return stream->received == round * 12 * kMiB; }));
  }
  EXPECT_TRUE((*rig)->until([&] { return stream->ended; }));
  EXPECT_TRUE((*rig)->close(*stream));
}

}  // namespace
}  // namespace landfall::test
