// SPDX-License-Identifier: Apache-2.0
// Peers that break the wire's rules: one side is the transport through its plug-in, the other side
// this transport's own Fabric, which says whatever a test wants.
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>

#include "messages/rig_test.hpp"
#include "messages/wire.hpp"
#include "ofi/descriptor.hpp"
#include "ofi/device.hpp"

namespace landfall::ofi {
namespace {

using namespace messages::test;
using messages::Event;
using messages::Hello;
using messages::Immediate;
using messages::Role;

constexpr const char* kMsg = "tcp";
constexpr const char* kRdm = "tcp;ofi_rxm";
/// The provider of the test that runs.
const char* g_provider = kMsg;

DomainSetup with_provider(DomainSetup setup) {
  setup.options = std::string{"provider="} + g_provider + "\n";
  return setup;
}

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
    options.provider = g_provider;
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
  messages::test::Domain memory_{*ops(), with_provider({.region_bytes = kRoom})};
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

class Hostile : public testing::TestWithParam<const char*> {
 protected:
  static bool has_connections() { return g_provider == kMsg; }
  void SetUp() override {
    messages::test::Domain domain{*ops(), with_provider({})};
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
    expect_others_served();
  }
  void expect_others_served() {
    const std::uint64_t tag = queue_->flows.size() + 1;
    Domain other{*ops(), with_provider({})};
    ASSERT_EQ(other.open(), LANDFALL_ERRC_ok);
    Queue sender{other, {.sends = true}};
    ASSERT_EQ(sender.open(), LANDFALL_ERRC_ok);
    ASSERT_EQ(sender.connect(queue_->address(), tag), LANDFALL_ERRC_ok);
    sender.set_rooms(1000);
    ASSERT_TRUE(pump({queue_.get(), &sender}, [&] { return sender.flows[tag].opened; }));
    ASSERT_TRUE(sender.send(tag, 1000));
    EXPECT_TRUE(pump({queue_.get(), &sender}, [&] { return queue_->flows[tag].bytes == 1000; }));
  }

  const char* const provider_ = g_provider = GetParam();  // before what is made with it
  messages::test::Domain domain_{*ops(), with_provider({})};
  std::unique_ptr<Queue> queue_;
  Peer peer_;
};

std::uint32_t data(const Hello& theirs) {
  return encode(Immediate{.flow = theirs.flow});
}

// Goal: an immediate of no kind ends its flow.
TEST_P(Hostile, AnImmediateOfNoKind) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(3u << 30 | peer_.theirs.flow, 100), 0);
  expect_caught();
}

// Goal: a message for another flow than the connection's ends the connection's.
TEST_P(Hostile, AMessageForAnotherFlow) {
  if (!has_connections()) GTEST_SKIP() << "it names the only flow that it can be of";
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(data(peer_.theirs) + 1, 100), 0);
  expect_caught();
}

// Goal: a message longer than a slot reaches no byte behind the slot. Where a provider does not say
// whose it was, its flow waits for it for good, as for a sender that is idle.
TEST_P(Hostile, AMessageThatIsTooLong) {
  ASSERT_TRUE(attack());
  std::memset(domain_.bytes(), 0x5a, domain_.memory().size_bytes);
  ASSERT_EQ(peer_.say(data(peer_.theirs), peer_.theirs.slot_bytes + 1), 0);
  if (has_connections()) expect_caught();
  expect_others_served();
  std::uint64_t touched = 0;
  for (std::uint64_t i = 0; i < domain_.memory().size_bytes; ++i)
    touched += domain_.bytes()[i] != std::byte{0x5a} ? 1 : 0;
  EXPECT_LE(touched, peer_.theirs.slot_bytes + 2000u) << "a slot, and the honest senders' bytes";
}

// Goal: credits that it never had cannot be given back.
TEST_P(Hostile, CreditsThatItDoesNotHave) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(encode(Immediate{
                .kind = Immediate::Kind::returned, .count = 511, .flow = peer_.theirs.flow})),
            0);
  expect_caught();
}

// Goal: a message that says nothing at all ends its flow.
TEST_P(Hostile, BytesAndNothingSaid) {
  ASSERT_TRUE(attack());
  ASSERT_EQ(peer_.say(encode(Immediate{.flow = peer_.theirs.flow})), 0);  // data without bytes
  expect_caught();
}

// Goal: who sends without credits waits, and what of it was received is in order.
// It can be got rid of though its answers are stuck behind what it sent.
TEST_P(Hostile, MoreMessagesThanCredits) {
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
TEST_P(Hostile, NoHello) {
  if (!has_connections()) GTEST_SKIP() << "see Stranger";
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
TEST_P(HostileReceiver, GrantsBeyondItsWindow) {
  ASSERT_TRUE(attack_sender(honest_));
  ASSERT_EQ(peer_.say(encode(Immediate{.kind = Immediate::Kind::credits, .count = 100})), 0);
  expect_sender_fails();
}

// Goal: a receiver has nothing to say with bytes: nobody has memory for them.
TEST_P(HostileReceiver, SendsBytes) {
  if (!has_connections()) GTEST_SKIP() << "its words have no room for any";
  ASSERT_TRUE(attack_sender(honest_));
  ASSERT_EQ(peer_.say(encode(Immediate{.kind = Immediate::Kind::credits, .count = 1}), 100), 0);
  expect_sender_fails();
}

// Goal: a Hello with numbers out of range is refused before it is used.
TEST_P(HostileReceiver, AHelloOutOfRange) {
  Hello hello = honest_;
  hello.credits = 9;
  EXPECT_FALSE(attack_sender(hello));
  EXPECT_TRUE(peer_.refused);
}

// ---- without connections: TCP connections to their listeners

class Stranger : public Hostile {
 protected:
  void SetUp() override {
    Hostile::SetUp();
    if (IsSkipped()) return;
    queue_ = std::make_unique<Queue>(domain_, QueueSetup{});
    ASSERT_EQ(queue_->open(), LANDFALL_ERRC_ok);
    ASSERT_EQ(queue_->listen(loopback(AF_INET)), LANDFALL_ERRC_ok);
  }
  void call() {
    socket_.reset(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    ASSERT_EQ(::connect(socket_.get(), reinterpret_cast<const sockaddr*>(queue_->address().data()),
                        sizeof(sockaddr_in)),
              0);
  }
  void say(std::span<const std::byte> bytes) {
    EXPECT_EQ(::send(socket_.get(), bytes.data(), bytes.size(), MSG_NOSIGNAL),
              static_cast<ssize_t>(bytes.size()));
  }
  /// What it hears until it is hung up on; nothing: it is not.
  std::optional<std::vector<std::byte>> hear() {
    std::vector<std::byte> heard;
    const auto until = std::chrono::steady_clock::now() + std::chrono::seconds{10};
    while (std::chrono::steady_clock::now() < until) {
      queue_->poll();
      std::array<std::byte, 256> bytes;
      const ssize_t got = ::recv(socket_.get(), bytes.data(), bytes.size(), MSG_DONTWAIT);
      if (got == 0 || (got < 0 && errno != EAGAIN)) return heard;
      if (got > 0) heard.insert(heard.end(), bytes.begin(), bytes.begin() + got);
    }
    return std::nullopt;
  }
  static std::vector<std::byte> contact(const Hello& hello, std::size_t name_bytes = 0) {
    const auto head = messages::encode_contact(encode(hello), name_bytes);
    return {head.begin(), head.end()};
  }
  Descriptor socket_;
};

// Goal: what breaks the format is hung up on, and where it says who it is, it is told why.
TEST_P(Stranger, SaysWhatIsNoContact) {
  const std::vector<std::byte> honest = contact(Hello{.role = Role::sender});
  std::vector<std::byte> version = honest, longer = honest;
  version[4] = std::byte{9};
  longer.resize(100);
  const std::vector<std::byte> zeros(messages::kContactBytes);
  const std::vector<std::pair<std::vector<std::byte>, std::optional<messages::Refusal>>> contacts{
      {zeros, messages::Refusal::malformed},
      {version, messages::Refusal::version},
      {contact(Hello{.role = Role::receiver, .slot_bytes = 4096, .window = 8, .credits = 2}),
       messages::Refusal::role},
      {contact(Hello{.role = Role::sender}, 257), std::nullopt},
      {longer, std::nullopt}};
  for (const auto& [says, refusal] : contacts) {
    call();
    say(says);
    const auto heard = hear();
    ASSERT_TRUE(heard) << "it was not hung up on";
    ASSERT_EQ(heard->size(), refusal ? messages::kContactBytes : 0u);
    Hello theirs;
    if (refusal) {
      ASSERT_EQ(messages::decode(*heard, Role::receiver, &theirs), messages::Refusal::none);
      EXPECT_EQ(theirs.refusal, *refusal);
    }
  }
  EXPECT_TRUE(queue_->flows.empty());
}

// Goal: a sender that says more than it may by the connection is ended by name.
TEST_P(Stranger, SaysMore) {
  call();
  say(contact(Hello{.role = Role::sender}));
  FlowState& flow = queue_->flows[1];
  ASSERT_TRUE(pump({queue_.get()}, [&] { return flow.handle != nullptr; }));
  say(std::array{std::byte{0}});
  ASSERT_TRUE(pump({queue_.get()}, [&] { return flow.ended(); }));
  EXPECT_EQ(flow.code, std::uint32_t{LANDFALL_REASON_peer_broke_wire}) << flow.native;
}

// Goal: a contact may come byte by byte, and who never ends it costs nobody anything.
TEST_P(Stranger, SpeaksSlowly) {
  std::vector<Descriptor> silent(300);
  for (Descriptor& one : silent) {
    call();
    say(std::array{std::byte{'L'}});
    std::swap(one, socket_);
    queue_->poll();
  }
  call();
  for (const std::byte byte : contact(Hello{.role = Role::sender})) {
    say(std::array{byte});
    queue_->poll();
  }
  EXPECT_TRUE(pump({queue_.get()}, [&] { return queue_->flows[1].handle != nullptr; }));
}

// Goal: the word that the end has come is not believed of an end that was not sent.
TEST_P(HostileReceiver, SaysThatTheEndHasCome) {
  if (has_connections()) GTEST_SKIP() << "there is no such word";
  ASSERT_TRUE(attack_sender(honest_));
  ASSERT_EQ(peer_.say(messages::kEndHasCome), 0);
  expect_sender_fails();
}

std::string name_of(const testing::TestParamInfo<const char*>& provider) {
  return provider.param == kMsg ? "msg" : "rdm";
}
INSTANTIATE_TEST_SUITE_P(Ways, Hostile, testing::Values(kMsg, kRdm), name_of);
INSTANTIATE_TEST_SUITE_P(Ways, HostileReceiver, testing::Values(kMsg, kRdm), name_of);
INSTANTIATE_TEST_SUITE_P(Ways, Stranger, testing::Values(kRdm), name_of);

}  // namespace
}  // namespace landfall::ofi
