// SPDX-License-Identifier: Apache-2.0
#include <gtest/gtest.h>

#include <array>
#include <cstring>
#include <optional>
#include <set>

#include "messages/fake_fabric.hpp"

namespace landfall::messages::test {
namespace {

// ---- the wire

// Goal: what is said comes out as it went in, and every single bit of it that is turned is noticed
// or changes a value; nothing is taken that breaks the limits.
TEST(Wire, KeepsWhatIsSaidAtAConnection) {
  const Hello said{
      .role = Role::receiver, .slot_bytes = 65536, .window = 64, .credits = 2, .flow = 7};
  auto bytes = encode(said);
  Hello heard;
  ASSERT_EQ(decode(bytes, Role::receiver, &heard), Refusal::none);
  EXPECT_EQ(heard.slot_bytes, said.slot_bytes);
  EXPECT_EQ(heard.window, said.window);
  EXPECT_EQ(heard.credits, said.credits);
  EXPECT_EQ(heard.flow, said.flow);
  EXPECT_EQ(decode(bytes, Role::sender, &heard), Refusal::role);
  EXPECT_EQ(decode(std::span{bytes}.first(31), Role::receiver, &heard), Refusal::malformed);
  bytes[4] = std::byte{kWireVersion + 1};
  EXPECT_EQ(decode(bytes, Role::receiver, &heard), Refusal::version);
  bytes[0] = std::byte{0};
  EXPECT_EQ(decode(bytes, Role::receiver, &heard), Refusal::malformed);
}

TEST(Wire, RefusesWhatIsOutsideItsLimits) {
  Hello heard;
  const Hello good{.role = Role::receiver, .slot_bytes = 65536, .window = 64, .credits = 2};
  for (const auto change :
       {+[](Hello& h) { h.slot_bytes = kSlotBytesMin - 1; },
        +[](Hello& h) { h.slot_bytes = kSlotBytesMax + 1; }, +[](Hello& h) { h.window = 0; },
        +[](Hello& h) { h.window = kWindowMax + 1; }, +[](Hello& h) { h.credits = 0; },
        +[](Hello& h) { h.credits = h.window + 1; }, +[](Hello& h) { h.flow = kFlowNumbers; },
        +[](Hello& h) { h.refusal = Refusal::flows; }, +[](Hello& h) { h.role = Role::sender; }}) {
    Hello bad = good;
    change(bad);
    EXPECT_EQ(decode(encode(bad), bad.role, &heard), Refusal::malformed);
  }
}

// Goal: the bytes are those of sdk/docs/wire.md.
TEST(Wire, HasTheBytesThatAreDocumented) {
  const Hello said{
      .role = Role::receiver, .slot_bytes = 0x10000, .window = 0x40, .credits = 2, .flow = 0x12345};
  const std::array<unsigned char, kHelloBytes> wanted{'L',  'F',  'R', 'X', 1,    2, 0, 0, 0, 1, 0,
                                                      0,    0,    0,   0,   0x40, 0, 0, 0, 2, 0, 1,
                                                      0x23, 0x45, 0,   0,   0,    0, 0, 0, 0, 0};
  EXPECT_EQ(std::memcmp(encode(said).data(), wanted.data(), kHelloBytes), 0);
  EXPECT_EQ(encode(Immediate{.message_end = true, .flow = 0x12345}), 0x20012345u);
  EXPECT_EQ(encode(Immediate{.kind = Immediate::Kind::end, .flow = 1}), 0x40000001u);
  EXPECT_EQ(encode(Immediate{.kind = Immediate::Kind::returned, .count = 3, .flow = 1}),
            0x80300001u);
  EXPECT_EQ(encode(Immediate{.kind = Immediate::Kind::credits, .count = 511}), 0x1ff00000u);
}

// Goal: so are those where the fabric has no connections.
TEST(Wire, HasTheBytesThatAreDocumentedWithoutConnections) {
  const std::uint32_t data = encode(Immediate{.message_end = true, .flow = 0x12345});
  EXPECT_EQ(with_order(data, 0x1ff), 0x3ff12345u);
  EXPECT_EQ(with_order(data, kOrders + 3), 0x20312345u);
  EXPECT_EQ(order_of(0x20312345u), 3u);
  EXPECT_EQ(with_order(0x20312345u, 0), data);
  EXPECT_EQ(flow_of(0x20312345u), 0x12345u);
  EXPECT_TRUE(has_order(data));
  EXPECT_TRUE(has_order(0x40000001u));   // end
  EXPECT_FALSE(has_order(0x80300001u));  // returned
  EXPECT_FALSE(has_order(kEndHasCome));

  const auto hello = encode(Hello{.role = Role::sender});
  const auto contact = encode_contact(hello, 0x010f);
  EXPECT_EQ(std::memcmp(contact.data(), hello.data(), kHelloBytes), 0);
  const std::array<unsigned char, 4> behind{1, 0x0f, 0, 0};
  EXPECT_EQ(std::memcmp(contact.data() + kHelloBytes, behind.data(), behind.size()), 0);
  EXPECT_EQ(contact_bytes(contact), 0u) << "a name of 271 bytes";
  EXPECT_EQ(contact_bytes(encode_contact(hello, kNameBytesMax)), kContactBytes + kNameBytesMax);
  auto reserved = encode_contact(hello, 16);
  reserved[kHelloBytes + 3] = std::byte{1};
  EXPECT_EQ(contact_bytes(reserved), 0u);

  EXPECT_EQ(kEndHasCome, 0xc0000000u);
  EXPECT_EQ(decode_word(encode_word(0x12345678u)), 0x12345678u);
  EXPECT_EQ(encode_word(0x12345678u)[0], std::byte{0x12});
}

// ---- queues over a fabric in memory

constexpr std::uint64_t kRegion = 1u << 20;
constexpr std::uint32_t kSlot = 4096;
constexpr std::uint16_t kPort = 7;

class Messages : public testing::TestWithParam<bool> {
 protected:
  struct End {
    explicit End(FakeNetwork& on, std::uint64_t size = kRegion) : memory(size) {
      domain.device = std::make_unique<FakeDevice>(on, memory);
      domain.options.slot_bytes = kSlot;
    }
    void open(bool sends, std::uint64_t length, std::uint32_t flows_max = 1024) {
      landfall_queue_spec spec{};
      spec.struct_size = sizeof spec;
      spec.slice_length = length;
      spec.extents_max = 4096;
      spec.flows_max = flows_max;
      spec.sends = sends;
      queue = sends ? make_sending(domain, spec) : make_receiving(domain, spec);
      ASSERT_EQ(queue->open(nullptr), LANDFALL_ERRC_ok);
    }
    FakeFabric& fabric() { return static_cast<FakeFabric&>(queue->fabric()); }
    std::vector<std::byte> memory;
    Domain domain;
    std::unique_ptr<Queue> queue;
  };

  void SetUp() override {
    network.shares_receives = GetParam();
    receiver.open(false, kRegion);
    sender.open(true, kRegion);
    landfall_listener* listener = nullptr;
    ASSERT_EQ(receiver.queue->listen(&kPort, sizeof kPort, &listener, nullptr, nullptr, nullptr),
              LANDFALL_ERRC_ok);
    for (std::size_t i = 0; i < kRegion; ++i)
      sender.memory[i] = static_cast<std::byte>(i * 7 + i / 251);
  }

  /// Both ends work until nothing happens. What the receiver got is given back at once, unless
  /// kept.
  void settle() {
    std::array<landfall_record, 16> records;
    for (int idle = 0; idle < 3;) {  // what one says may be for the other, and the other way round
      bool busy = false;
      for (End* end : {&sender, receiving}) {
        const std::uint32_t count = end->queue->poll(records);
        busy = busy || count != 0;
        for (const landfall_record& record : std::span{records}.first(count))
          end == &sender ? sender_says(record) : receiver_says(record);
      }
      idle = busy ? 0 : idle + 1;
    }
  }
  void sender_says(const landfall_record& record) {
    if (record.kind == LANDFALL_SENT) ++(record.length != 0 ? sent : ends_through);
    if (record.kind == LANDFALL_END_OF_STREAM) ++closed_by_receiver;
    if (record.kind == LANDFALL_FAILED) sender_failed = record;
  }
  void receiver_says(const landfall_record& record) {
    switch (record.kind) {
      case LANDFALL_OPENED: {
        landfall_flow_spec spec{};
        spec.flow_tag = ++flows;
        opened.push_back(authoring::own<Flow>(record.flow));
        ASSERT_EQ(receiving->queue->start(*opened.back(), spec), LANDFALL_ERRC_ok);
        return;
      }
      case LANDFALL_DATA: {
        const auto* bytes = &receiving->memory[record.offset];
        slots_used.insert(record.token);
        got[record.flow_tag].insert(got[record.flow_tag].end(), bytes, bytes + record.length);
        const landfall_return back{record.flow, record.token, record.offset, record.length, 0, 0};
        if (keep)
          kept.push_back(back);
        else
          receiving->queue->give_back({&back, 1});
        return;
      }
      case LANDFALL_END_OF_STREAM:
        ++ended;
        return;
      case LANDFALL_FAILED:
        failed.push_back(record);
        return;
      case LANDFALL_CLOSED:
        ++closed;
        return;
    }
  }
  Flow* connect(std::uint16_t port = kPort) {
    landfall_flow_spec spec{};
    spec.flow_tag = 1;
    landfall_flow* flow = nullptr;
    EXPECT_EQ(sender.queue->connect(&port, sizeof port, spec, &flow, nullptr), LANDFALL_ERRC_ok);
    settle();
    return authoring::own<Flow>(flow);
  }
  void send(Flow& flow, std::uint64_t offset, std::uint64_t length) {
    const landfall_send what{offset, length, 0, 0, 0, LANDFALL_SEND_MESSAGE_END};
    ASSERT_EQ(sender.queue->send(flow, what, nullptr), LANDFALL_ERRC_ok);
  }
  FakeLink& wire_of(Flow& flow) { return static_cast<FakeLink&>(*flow.link); }
  /// The flow's sender says something that no landfall says.
  void say(Flow& flow, const Immediate& what, std::size_t length) {
    sender.fabric().deliver(wire_of(flow), std::span{sender.memory}.first(length), encode(what));
  }

  FakeNetwork network;
  End receiver{network}, sender{network};
  End* receiving = &receiver;
  std::set<std::uint64_t> slots_used;
  std::vector<Flow*> opened;
  std::uint64_t flows = 0;
  std::map<std::uint64_t, std::vector<std::byte>> got;
  std::vector<landfall_return> kept;
  std::vector<landfall_record> failed;
  std::optional<landfall_record> sender_failed;
  std::uint64_t sent = 0, ends_through = 0, ended = 0, closed = 0, closed_by_receiver = 0;
  bool keep = false;
};
INSTANTIATE_TEST_SUITE_P(, Messages, testing::Bool(), [](const auto& shared) {
  return shared.param ? "SharedReceives" : "OwnReceives";
});

// Goal: a range of any length arrives byte for byte, in messages that fit; no sender finds a
// receiver that is not ready; the end comes last, and the receiver's close reaches the sender.
TEST_P(Messages, ArriveByteForByte) {
  Flow* flow = connect();
  send(*flow, 0, 1);
  send(*flow, 1, kSlot);
  send(*flow, kSlot + 1, kRegion - kSlot - 1);
  sender.queue->finish(*flow);
  settle();
  EXPECT_EQ(sent, 3u);
  EXPECT_EQ(ended, 1u);
  ASSERT_EQ(got[1].size(), kRegion);
  EXPECT_EQ(std::memcmp(got[1].data(), sender.memory.data(), kRegion), 0);
  receiver.queue->close(*opened[0], false);
  settle();
  EXPECT_EQ(closed, 1u);
  EXPECT_EQ(closed_by_receiver, 1u);
  EXPECT_FALSE(sender_failed);
  EXPECT_EQ(network.not_ready, 0u);
  EXPECT_EQ(receiver.fabric().links(), 0u);
}

// Goal: a steady sender that never runs out of credits gets more at once all the same, and few of
// the grants ask for an answer, which would wake the receiver.
TEST_P(Messages, TakeFewGrantsWhereThereIsPlenty) {
  Flow* flow = connect();
  for (std::uint64_t i = 0; i < 1000; ++i) {
    send(*flow, i, 1);
    settle();
  }
  EXPECT_EQ(got[1].size(), 1000u);
  const FakeFabric& fabric = receiver.fabric();
  EXPECT_LE(fabric.quiet + fabric.told, 40u) << "64 credits at most, granted when half are used";
  EXPECT_GE(fabric.told, 1u);
  EXPECT_LE(fabric.told, fabric.quiet);
  receiver.queue->close(*opened[0], false);
  settle();
  EXPECT_EQ(closed, 1u) << "the last one is asked for";
}

// Goal: a sender that used up all that it had once, and whose grants come in time since, is granted
// less again, so that what it sends lands in few slots.
TEST_P(Messages, UseFewSlotsWhereGrantsComeInTime) {
  constexpr std::uint32_t kLargeSlot = 512u << 10;
  constexpr std::uint16_t kOtherPort = kPort + 1;
  End large{network, 64ull * kLargeSlot};
  large.domain.options.slot_bytes = kLargeSlot;
  large.open(false, large.memory.size());
  landfall_listener* listener = nullptr;
  ASSERT_EQ(
      large.queue->listen(&kOtherPort, sizeof kOtherPort, &listener, nullptr, nullptr, nullptr),
      LANDFALL_ERRC_ok);
  receiving = &large;
  Flow* flow = connect(kOtherPort);
  for (int i = 0; i < 100; ++i) send(*flow, 0, kLargeSlot);
  settle();
  EXPECT_GE(slots_used.size(), 16u) << "all that a quarter of the slots allows";
  for (int i = 0; i < 400; ++i) {
    if (i == 300) slots_used.clear();
    send(*flow, 0, kLargeSlot);
    settle();
  }
  EXPECT_LE(slots_used.size(), 9u) << "four MiB, and one more";
  EXPECT_EQ(got[1].size(), 500ull * kLargeSlot);
  EXPECT_EQ(network.not_ready, 0u);
  receiving = &receiver;
}

// Goal: what nobody gives back stalls the sender and nothing else; given back, all of it arrives.
TEST_P(Messages, StallWhileEverythingIsOut) {
  keep = true;
  Flow* flow = connect();
  send(*flow, 0, kRegion);
  send(*flow, 0, kRegion);
  settle();
  EXPECT_EQ(kept.size(), kRegion / kSlot);
  EXPECT_EQ(sent, 1u);
  EXPECT_EQ(receiver.queue->arm(), LANDFALL_ARM_WANTS_RETURNS);
  keep = false;
  receiver.queue->give_back(kept);
  settle();
  EXPECT_EQ(sent, 2u);
  EXPECT_EQ(got[1].size(), 2 * kRegion);
  EXPECT_EQ(network.not_ready, 0u);
}

// Goal: flows that are idle do not keep what others need: as many as there is room for have had all
// they wanted once, and another one is still served.
TEST_P(Messages, OfIdleFlowsHoldNobodyUp) {
  std::vector<Flow*> idle;
  for (int i = 0; i < 64; ++i) {
    idle.push_back(connect());
    send(*idle.back(), 0, kRegion / 4);
    settle();
  }
  Flow* late = connect();
  for (int i = 0; i < 4; ++i) send(*late, 0, kRegion);
  settle();
  EXPECT_EQ(got[65].size(), 4 * kRegion);
  EXPECT_TRUE(failed.empty());
  EXPECT_EQ(network.not_ready, 0u);
}

// Goal: a receiver takes no more flows than it has slots for, and says so to the one too many; when
// one has ended there is room again.
TEST_P(Messages, OfTooManyFlowsAreRefused) {
  for (std::uint64_t i = 0; i < kRegion / kSlot / 2; ++i) ASSERT_NE(connect(), nullptr);
  EXPECT_FALSE(sender_failed);
  connect();
  ASSERT_TRUE(sender_failed) << opened.size();
  EXPECT_EQ(sender_failed->code, LANDFALL_REASON_peer_takes_no_more);
  receiver.queue->close(*opened[0], false);
  settle();
  sender_failed.reset();
  Flow* flow = connect();
  EXPECT_FALSE(sender_failed);
  send(*flow, 0, 100);
  settle();
  EXPECT_EQ(sent, 1u);
}

// Goal: whatever breaks the rules of the wire fails its flow, with the reason, and no other; and
// the slots that it took are there for others.
TEST_P(Messages, ThatBreakTheRulesFailTheirFlowOnly) {
  using Kind = Immediate::Kind;
  Flow* good = connect();
  const std::uint32_t number = 1;  // the second flow's
  const struct {
    Immediate what;
    std::size_t length;
    int times;
  } kBroken[] = {
      {{.kind = Kind::data, .flow = number}, 0, 1},                  // data without bytes
      {{.kind = Kind::data, .flow = number}, kSlot, 3},              // without a credit
      {{.kind = Kind::data, .flow = 77}, 10, 1},                     // in another's name
      {{.kind = Kind::data, .count = 1, .flow = number}, 10, 1},     // grants itself something
      {{.kind = Kind::end, .flow = number}, 10, 1},                  // an end with bytes
      {{.kind = Kind::returned, .count = 2, .flow = number}, 0, 1},  // more than it has
      {{.kind = Kind::returned, .flow = number}, 0, 1},              // nothing
      {{.kind = static_cast<Kind>(3), .flow = number}, 0, 1},        // no such kind
  };
  for (const auto& broken : kBroken) {
    Flow* bad = connect();
    // Without a receive of its own for it, it does not even arrive.
    if (!network.shares_receives && broken.times > 2) continue;
    for (int i = 0; i < broken.times; ++i) say(*bad, broken.what, broken.length);
    settle();
    ASSERT_EQ(failed.size(), 1u) << static_cast<int>(broken.what.kind) << ' ' << broken.length;
    EXPECT_EQ(failed[0].code, LANDFALL_REASON_peer_broke_wire);
    failed.clear();
    receiver.queue->close(*opened.back(), false);
    settle();
  }
  send(*good, 0, kRegion);
  send(*good, 0, kRegion);
  settle();
  EXPECT_EQ(got[1].size(), 2 * kRegion);
  EXPECT_TRUE(failed.empty());
}

// Goal: a receiver that grants more than it said, or nonsense, fails the sender.
TEST_P(Messages, OfAReceiverThatBreaksTheRulesFailTheSender) {
  using Kind = Immediate::Kind;
  for (const Immediate what :
       {Immediate{.kind = Kind::credits, .count = 500}, Immediate{.kind = Kind::credits},
        Immediate{.kind = Kind::close, .count = 1}, Immediate{.kind = Kind::recall, .flow = 1}}) {
    sender_failed.reset();
    connect();
    receiver.fabric().deliver(static_cast<FakeLink&>(*opened.back()->link), {}, encode(what));
    settle();
    ASSERT_TRUE(sender_failed);
    EXPECT_EQ(sender_failed->code, LANDFALL_REASON_peer_broke_wire);
  }
}

// Goal: what is said at a connection and is not landfall's is refused before there is a flow.
TEST_P(Messages, FromStrangersMakeNoFlow) {
  for (const Hello& hello :
       {Hello{.role = Role::receiver, .slot_bytes = kSlot, .window = 1, .credits = 1},
        Hello{.role = Role::refusal}, Hello{.role = Role::sender, .flow = 3}}) {
    Link* link = nullptr;
    int nobody = 0;
    ASSERT_EQ(sender.fabric().prepare(&kPort, sizeof kPort, &nobody, &link, nullptr),
              LANDFALL_ERRC_ok);
    sender.fabric().connect(*link, encode(hello));
    std::array<landfall_record, 4> records;
    EXPECT_EQ(receiver.queue->poll(records), 0u);
    std::array<Event, 4> events;
    ASSERT_EQ(sender.fabric().poll(events), 1u);
    EXPECT_EQ(events[0].kind, Event::Kind::refused);
    sender.fabric().drop(*link, nullptr);
  }
}

// Goal: a receiver that has read everything and ends the connection before the sender's fabric has
// heard that the end arrived ends it well; if that is never heard, it was reset.
TEST_P(Messages, MayBeAnsweredBeforeTheyAreThrough) {
  for (const int number : {0, ECONNRESET}) {
    Flow* flow = connect();
    send(*flow, 0, 10);
    settle();
    network.sent_comes_late = true;
    sender.queue->finish(*flow);
    settle();
    network.sent_comes_late = false;
    receiver.queue->close(*opened.back(), false);
    settle();
    EXPECT_EQ(closed_by_receiver, 0u) << "before the end is through";
    sender.fabric().tell_sent(number);
    settle();
    EXPECT_EQ(closed_by_receiver, number == 0 ? 1u : 0u);
    EXPECT_EQ(ends_through, number == 0 ? 1u : 0u);
    EXPECT_EQ(sender_failed.has_value(), number != 0);
    if (sender_failed) {
      EXPECT_EQ(sender_failed->code, LANDFALL_REASON_peer_reset);
    }
    closed_by_receiver = ends_through = 0;
  }
}

// Goal: a device that goes takes every flow with it, each with the reason, and each can be closed.
TEST_P(Messages, EndWithTheirDevice) {
  keep = true;
  for (int i = 0; i < 3; ++i) send(*connect(), 0, 3 * kSlot);
  settle();
  receiver.fabric().lose();
  settle();
  ASSERT_EQ(failed.size(), 3u);
  EXPECT_EQ(failed[0].code, LANDFALL_REASON_rdma_device_lost);
  for (Flow* flow : opened) receiver.queue->close(*flow, false);
  EXPECT_EQ(closed, 0u) << "extents are out";
  receiver.queue->give_back(kept);
  settle();
  EXPECT_EQ(closed, 3u);
}

// Goal: an end without the end of the stream is a reset, for either side.
TEST_P(Messages, ThatEndEarlyAreReset) {
  Flow* flow = connect();
  send(*flow, 0, 10);
  settle();
  sender.queue->close(*flow, true);
  settle();
  ASSERT_EQ(failed.size(), 1u);
  EXPECT_EQ(failed[0].code, LANDFALL_REASON_peer_reset);
  EXPECT_EQ(ended, 0u);
  connect();
  receiver.queue->close(*opened[1], true);
  settle();
  ASSERT_TRUE(sender_failed);
  EXPECT_EQ(sender_failed->code, LANDFALL_REASON_peer_reset);
}

}  // namespace
}  // namespace landfall::messages::test
