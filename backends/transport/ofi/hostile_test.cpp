// SPDX-License-Identifier: Apache-2.0
// Peers that break the wire's rules: one side is the transport through its plug-in, the other side
// this transport's own Fabric, which says whatever a test wants.
#include <gtest/gtest.h>

#include "messages/rig_test.hpp"
#include "messages/wire.hpp"
#include "ofi/device.hpp"

namespace landfall::ofi {
namespace {

using namespace messages::test;
using messages::Event;
using messages::Hello;
using messages::Immediate;
using messages::Role;

constexpr const char* kTcp = "provider=tcp\n";

const landfall_transport_ops* ops() {
  static const landfall_transport_ops* const loaded = [] {
    std::string why;
    const auto* found = load(LANDFALL_OFI_PLUGIN, &why);
    if (found == nullptr) ADD_FAILURE() << why;
    return found;
  }();
  return loaded;
}

/// A peer without a conscience.
class Peer {
 public:
  static constexpr std::uint32_t kRoom = 1u << 20;

  bool open(bool receives) {
    messages::Options options;
    options.provider = "tcp";
    const landfall_domain_spec of_domain = memory_.spec();
    if (device_.open(of_domain, options, &why) != LANDFALL_ERRC_ok) return false;
    messages::FabricSpec spec{};
    spec.queue.slice_length = kRoom;
    spec.sends_per_link = 128;
    spec.links = 1;
    if (receives) {
      spec.slot_bytes = 4096;
      spec.slots = kRoom / 4096;
    } else {
      spec.receives_per_link = 513;
    }
    return device_.make(spec, &fabric_, &why) == LANDFALL_ERRC_ok;
  }
  bool connect(std::span<const std::byte> address, std::span<const std::byte> hello) {
    return fabric_->prepare(address.data(), static_cast<std::uint32_t>(address.size()), nullptr,
                            &link_, &why) == LANDFALL_ERRC_ok &&
           fabric_->connect(*link_, hello) == 0;
  }
  int say(std::uint32_t immediate, std::uint32_t length = 0) {
    return fabric_->send(*link_, {.immediate = immediate, .length = length});
  }
  /// What came since; keeps what the other side said at the connection.
  void poll() {
    std::array<Event, 64> events;
    const std::uint32_t count = fabric_->poll(events);
    for (const Event& event : std::span{events}.first(count)) {
      if (event.kind == Event::Kind::established) {
        established = true;
        messages::decode(event.data, Role::receiver, &theirs);
      }
      if (event.kind == Event::Kind::refused) {
        refused = true;
        messages::decode(event.data, Role::receiver, &theirs);
      }
      ended = ended || event.kind == Event::Kind::ended;
    }
  }
  messages::Fabric& fabric() { return *fabric_; }
  messages::Link& link() { return *link_; }

  bool established = false, refused = false, ended = false;
  Hello theirs{};
  landfall_why why{sizeof(landfall_why), 0, 0, 0, {}, {}};

 private:
  messages::test::Domain memory_{*ops(), {.region_bytes = kRoom, .options = kTcp}};
  OfiDevice device_{nullptr};
  std::unique_ptr<messages::Fabric> fabric_;
  messages::Link* link_ = nullptr;
};

/// Serves both until `done`; false: it takes too long.
bool serve(Queue& queue, Peer& peer, const std::function<bool()>& done) {
  const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
  while (!done()) {
    queue.poll();
    peer.poll();
    if (std::chrono::steady_clock::now() > until) return false;
  }
  return true;
}

class Hostile : public testing::Test {
 protected:
  void SetUp() override {
    messages::test::Domain domain{*ops(), {.options = kTcp}};
    landfall_needs needs{};
    if (domain.probe(&needs) != LANDFALL_ERRC_ok &&
        domain.why.code == LANDFALL_REASON_rdma_library_missing)
      GTEST_SKIP() << "libfabric.so.1 is not installed (Debian: libfabric1)";
    ASSERT_EQ(domain_.open(), LANDFALL_ERRC_ok) << domain_.why.text;
  }
  /// A queue that receives, and a peer that has connected as a sender.
  bool attack() {
    queue_ = std::make_unique<Queue>(domain_, QueueSetup{});
    queue_->patterned = false;
    return queue_->open() == LANDFALL_ERRC_ok &&
           queue_->listen(loopback(AF_INET)) == LANDFALL_ERRC_ok && peer_.open(false) &&
           peer_.connect(queue_->address(), encode(Hello{.role = Role::sender})) &&
           serve(*queue_, peer_, [this] { return peer_.established; }) &&
           peer_.fabric().post_empty(peer_.link(), 200) == 0;
  }
  void expect_caught() {
    ASSERT_TRUE(serve(*queue_, peer_, [this] { return queue_->flows[1].ended(); }));
    EXPECT_TRUE(queue_->flows[1].failed);
    EXPECT_EQ(queue_->flows[1].native, EPROTO);
    EXPECT_EQ(queue_->flows[1].code, std::uint32_t{LANDFALL_REASON_peer_broke_wire});
    EXPECT_TRUE(serve(*queue_, peer_, [this] { return peer_.ended; })) << "it was not hung up on";
    // Others are served.
    Domain other{*ops(), {.options = kTcp}};
    ASSERT_EQ(other.open(), LANDFALL_ERRC_ok);
    Queue sender{other, {.sends = true}};
    ASSERT_EQ(sender.open(), LANDFALL_ERRC_ok);
    ASSERT_EQ(sender.connect(queue_->address(), 2), LANDFALL_ERRC_ok);
    sender.set_rooms(1000);
    ASSERT_TRUE(pump({queue_.get(), &sender}, [&] { return sender.flows[2].opened; }));
    ASSERT_TRUE(sender.send(2, 1000));
    EXPECT_TRUE(pump({queue_.get(), &sender}, [&] { return queue_->flows[2].bytes == 1000; }));
  }

  messages::test::Domain domain_{*ops(), {.options = kTcp}};
  std::unique_ptr<Queue> queue_;
  Peer peer_;
};

std::uint32_t data(const Hello& theirs) {
  return encode(Immediate{.flow = theirs.flow});
}

// Goal: an immediate of no kind ends its flow.
TEST_F(Hostile, AnImmediateOfNoKind) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(UINT32_MAX, 100), 0);
  expect_caught();
}

// Goal: a message for another flow than the connection's ends the connection's.
TEST_F(Hostile, AMessageForAnotherFlow) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(data(peer_.theirs) + 1, 100), 0);
  expect_caught();
}

// Goal: a message longer than a slot reaches no byte behind the slot.
TEST_F(Hostile, AMessageThatIsTooLong) {
  ASSERT_TRUE(attack());
  std::memset(domain_.bytes(), 0x5a, domain_.memory().size_bytes);
  ASSERT_EQ(peer_.say(data(peer_.theirs), peer_.theirs.slot_bytes + 1), 0);
  expect_caught();
  std::uint64_t touched = 0;
  for (std::uint64_t i = 0; i < domain_.memory().size_bytes; ++i)
    touched += domain_.bytes()[i] != std::byte{0x5a} ? 1 : 0;
  EXPECT_LE(touched, peer_.theirs.slot_bytes + 1000u) << "a slot, and the honest sender's bytes";
}

// Goal: credits that it never had cannot be given back.
TEST_F(Hostile, CreditsThatItDoesNotHave) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(encode(Immediate{
                .kind = Immediate::Kind::returned, .count = 511, .flow = peer_.theirs.flow})),
            0);
  expect_caught();
}

// Goal: a message that says nothing at all ends its flow.
TEST_F(Hostile, BytesAndNothingSaid) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(encode(Immediate{.flow = peer_.theirs.flow})), 0);  // data without bytes
  expect_caught();
}

// Goal: who sends without credits waits in its own kernel, and what of it was received is in order.
// It can be got rid of though its answers are stuck behind what it sent.
TEST_F(Hostile, MoreMessagesThanCredits) {
  ASSERT_TRUE(attack());
  queue_->hold = true;
  std::uint32_t sent = 0;
  for (; sent < 120; ++sent) ASSERT_EQ(peer_.say(data(peer_.theirs), 1000), 0);
  FlowState& flow = queue_->flows[1];
  ASSERT_TRUE(serve(*queue_, peer_, [&] { return flow.records >= 2; }));
  for (int i = 0; i < 1000; ++i) {
    queue_->poll();
    peer_.poll();
  }
  EXPECT_FALSE(flow.ended());
  EXPECT_EQ(flow.held_bytes, flow.records * 1000);
  queue_->give_back(1);
  queue_->close(1, true);
  EXPECT_TRUE(serve(*queue_, peer_, [&] { return flow.closed && peer_.ended; }));
}

// Goal: what is not a Hello is refused, by name.
TEST_F(Hostile, NoHello) {
  queue_ = std::make_unique<Queue>(domain_, QueueSetup{});
  ASSERT_EQ(queue_->open(), LANDFALL_ERRC_ok);
  ASSERT_EQ(queue_->listen(loopback(AF_INET)), LANDFALL_ERRC_ok);
  auto version = encode(Hello{.role = Role::sender});
  version[4] = std::byte{9};
  const std::array<std::byte, 40> nothing{};
  const std::vector<std::pair<std::span<const std::byte>, messages::Refusal>> hellos{
      {std::span<const std::byte>{nothing}, messages::Refusal::malformed},
      {std::span<const std::byte>{nothing}.first(3), messages::Refusal::malformed},
      {std::span<const std::byte>{}, messages::Refusal::malformed},
      {std::span<const std::byte>{version}, messages::Refusal::version}};
  for (const auto& [hello, refusal] : hellos) {
    Peer peer;
    ASSERT_TRUE(peer.open(false)) << peer.why.text;
    ASSERT_TRUE(peer.connect(queue_->address(), hello));
    ASSERT_TRUE(serve(*queue_, peer, [&] { return peer.refused; }));
    EXPECT_EQ(peer.theirs.refusal, refusal) << hello.size();
  }
  EXPECT_TRUE(queue_->flows.empty());
}

/// A queue that sends, and a peer that has connected as a receiver with this Hello.
class HostileReceiver : public Hostile {
 protected:
  bool attack_sender(const Hello& hello) {
    queue_ = std::make_unique<Queue>(domain_, QueueSetup{.sends = true});
    return queue_->open() == LANDFALL_ERRC_ok &&
           queue_->listen(loopback(AF_INET)) == LANDFALL_ERRC_ok && peer_.open(true) &&
           peer_.connect(queue_->address(), encode(hello)) &&
           serve(*queue_, peer_, [this] { return peer_.established || peer_.refused; }) &&
           peer_.established;
  }
  void expect_sender_fails() {
    ASSERT_TRUE(serve(*queue_, peer_, [this] { return queue_->flows[1].ended(); }));
    EXPECT_TRUE(queue_->flows[1].failed);
    EXPECT_EQ(queue_->flows[1].code, std::uint32_t{LANDFALL_REASON_peer_broke_wire})
        << queue_->flows[1].native;
  }
  const Hello honest_{.role = Role::receiver, .slot_bytes = 4096, .window = 8, .credits = 2};
};

// Goal: a receiver that grants more than its own window is not believed.
TEST_F(HostileReceiver, GrantsBeyondItsWindow) {
  ASSERT_TRUE(attack_sender(honest_));
  ASSERT_EQ(peer_.say(encode(Immediate{.kind = Immediate::Kind::credits, .count = 100})), 0);
  expect_sender_fails();
}

// Goal: a receiver has nothing to say with bytes: nobody has memory for them.
TEST_F(HostileReceiver, SendsBytes) {
  ASSERT_TRUE(attack_sender(honest_));
  ASSERT_EQ(peer_.say(encode(Immediate{.kind = Immediate::Kind::credits, .count = 1}), 100), 0);
  expect_sender_fails();
}

// Goal: a Hello with numbers out of range is refused before it is used.
TEST_F(HostileReceiver, AHelloOutOfRange) {
  Hello hello = honest_;
  hello.credits = 9;
  EXPECT_FALSE(attack_sender(hello));
  EXPECT_TRUE(peer_.refused);
}

}  // namespace
}  // namespace landfall::ofi
