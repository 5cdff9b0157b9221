// SPDX-License-Identifier: Apache-2.0
// Goal: a flow gets a rule of its own that goes with it; rules of others are neither replaced nor
// removed; and a NIC that will not says why.
#include "nic/steering.hpp"

#include <arpa/inet.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <netinet/in.h>

#include "landfall_test/loopback.hpp"
#include "nic/sim_nic.hpp"

namespace landfall::nic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t kIndex = 7;

FlowKey key4(const char* local, std::uint16_t port, const char* remote = nullptr,
             std::uint16_t remote_port = 0) {
  FlowKey key;
  key.local.port = port;
  key.local.any_address = ::inet_pton(AF_INET, local, key.local.address.data()) != 1;
  key.any_remote = remote == nullptr;
  if (remote != nullptr) ::inet_pton(AF_INET, remote, key.remote.address.data());
  key.remote.port = remote_port;
  return key;
}

class SteeringTest : public ::testing::Test {
 protected:
  SteeringTest() { sim_->add(kIndex, "eth7", 4); }
  std::vector<Rule>& rules() { return sim_->at(kIndex).rules; }
  void add_foreign(const FlowKey& key, std::uint32_t queue_id, std::uint32_t location) {
    Rule rule = rule_of(key, queue_id);
    rule.spec.location = location;
    rules().push_back(rule);
  }
  Error refused(const FlowKey& key, std::uint32_t queue_id = 3) {
    const std::size_t before = rules().size();
    const auto steered = steering_->steer(std::span{&key, 1}, queue_id);
    EXPECT_FALSE(steered);
    EXPECT_EQ(rules().size(), before);
    return steered ? Error{Errc::ok, ""} : steered.error();
  }

  std::shared_ptr<SimNic> sim_ = std::make_shared<SimNic>();
  std::unique_ptr<Steering> steering_ =
      Steering::open(sim_, kIndex, {.patience = std::chrono::milliseconds{0}});
  const FlowKey flow_ = key4("192.0.2.7", 5201, "192.0.2.9", 40000);
};

TEST_F(SteeringTest, ARuleGoesWithItsFlow) {
  {
    auto steered = steering_->steer(std::span{&flow_, 1}, 3);
    ASSERT_TRUE(steered) << steered.error().describe();
    EXPECT_THAT(steered->locations(), ElementsAre(0));
    ASSERT_EQ(rules().size(), 1u);
    EXPECT_EQ(rules()[0].spec.flow_type, std::uint32_t{TCP_V4_FLOW});
    EXPECT_EQ(rules()[0].spec.ring_cookie, 3u);
    EXPECT_EQ(ntohs(rules()[0].spec.h_u.tcp_ip4_spec.pdst), 5201);
    EXPECT_EQ(ntohs(rules()[0].spec.h_u.tcp_ip4_spec.psrc), 40000);
    Steered moved = std::move(*steered);
    Steered assigned;
    assigned = std::move(moved);
    steering_.reset();
    EXPECT_EQ(rules().size(), 1u) << "it outlives its Steering";
  }
  EXPECT_THAT(rules(), IsEmpty());
}

TEST_F(SteeringTest, FlowsOfOnePortAreSteeredApart) {
  const FlowKey other = key4("192.0.2.7", 5201, "192.0.2.9", 40001);
  const auto first = steering_->steer(std::span{&flow_, 1}, 3);
  const auto second = steering_->steer(std::span{&other, 1}, 2);
  EXPECT_TRUE(first);
  EXPECT_TRUE(second);
  EXPECT_EQ(rules().size(), 2u);
}

// Goal: a socket's rule has the addresses that are on the wire, also of IPv4 within IPv6.
TEST_F(SteeringTest, KnowsTheKeysOfSockets) {
  const test::ListeningSocket listening;
  const Fd client = test::try_connect_to(listening.address);
  const auto connected = keys_of(client.get());
  ASSERT_TRUE(connected) << connected.error().describe();
  ASSERT_EQ(connected->size(), 1u);
  EXPECT_FALSE(connected->front().any_remote);
  EXPECT_THAT(connected->front().describe(), HasSubstr("tcp 127.0.0.1:"));

  const Fd both{::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  const auto unbound = keys_of(both.get());
  ASSERT_FALSE(unbound);
  EXPECT_EQ(unbound.error().reason(), ReasonCode::not_connected);
  ASSERT_EQ(::listen(both.get(), 1), 0);
  const auto dual = keys_of(both.get());
  ASSERT_TRUE(dual);
  ASSERT_EQ(dual->size(), 2u);
  EXPECT_EQ((*dual)[0].family, AF_INET6);
  EXPECT_EQ((*dual)[1].family, AF_INET);
  EXPECT_TRUE((*dual)[1].local.any_address);
  const auto steered = steering_->steer(both.get(), 3);
  ASSERT_TRUE(steered);
  EXPECT_EQ(rules().size(), 2u);
  EXPECT_EQ(rules()[1].spec.m_u.tcp_ip4_spec.ip4dst, 0u);

  sockaddr_in remote{};
  remote.sin_family = AF_INET;
  remote.sin_port = htons(80);
  remote.sin_addr.s_addr = htonl(0xc0000209);
  const auto planned = keys_of(both.get(), reinterpret_cast<const sockaddr*>(&remote));
  ASSERT_TRUE(planned);
  EXPECT_THAT(planned->front().describe(), HasSubstr(" from 192.0.2.9:80"));

  const Fd udp{::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0)};
  const auto wrong = keys_of(udp.get());
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().reason(), ReasonCode::not_a_tcp_socket);
}

TEST_F(SteeringTest, MappedAddressesAreIpv4) {
  sockaddr_in6 mapped{};
  mapped.sin6_family = AF_INET6;
  mapped.sin6_port = htons(80);
  ASSERT_EQ(::inet_pton(AF_INET6, "::ffff:192.0.2.9", &mapped.sin6_addr), 1);
  const Fd socket{::socket(AF_INET6, SOCK_STREAM | SOCK_CLOEXEC, 0)};
  sockaddr_in6 local{};
  local.sin6_family = AF_INET6;
  ASSERT_EQ(::bind(socket.get(), reinterpret_cast<sockaddr*>(&local), sizeof local), 0);
  const auto keys = keys_of(socket.get(), reinterpret_cast<const sockaddr*>(&mapped));
  ASSERT_TRUE(keys);
  EXPECT_EQ(keys->front().family, AF_INET);
  EXPECT_EQ(rule_of(keys->front(), 1).spec.h_u.tcp_ip4_spec.ip4src, htonl(0xc0000209));
}

TEST_F(SteeringTest, LeavesTheRulesOfOthersAlone) {
  add_foreign(flow_, 1, 5);
  const Error same_match = refused(flow_);
  EXPECT_EQ(same_match.reason(), ReasonCode::rule_conflict);
  EXPECT_EQ(same_match.code(), Errc::busy);
  EXPECT_THAT(std::string{same_match.cause()}, HasSubstr("location 5"));

  // One that does the same already is enough, and stays.
  rules()[0].spec.ring_cookie = 3;
  {
    const auto steered = steering_->steer(std::span{&flow_, 1}, 3);
    ASSERT_TRUE(steered);
    EXPECT_THAT(steered->locations(), IsEmpty());
  }
  EXPECT_EQ(rules().size(), 1u);
}

// Goal: the rule of a process that was killed, which its guard is about to remove, is not taken for
// one that stays.
TEST_F(SteeringTest, WaitsForARuleThatIsAboutToGo) {
  add_foreign(flow_, 3, 5);
  steering_ = Steering::open(sim_, kIndex, {.patience = std::chrono::seconds{60}});
  sim_->after_next_call([this] { rules().clear(); });
  const auto steered = steering_->steer(std::span{&flow_, 1}, 3);
  ASSERT_TRUE(steered) << steered.error().describe();
  EXPECT_THAT(steered->locations(), ElementsAre(0));
}

TEST_F(SteeringTest, SeesARuleThatComesFirst) {
  add_foreign(key4("*", 5201), 1, 0);
  EXPECT_EQ(refused(flow_).reason(), ReasonCode::rule_conflict);
  // One for other packets, or for a part of them only, is none of ours.
  rules().clear();
  add_foreign(key4("*", 5202), 1, 0);
  EXPECT_TRUE(steering_->steer(std::span{&flow_, 1}, 3));
  rules().clear();
  add_foreign(key4("192.0.2.7", 5201, "192.0.2.8", 1), 1, 0);
  const FlowKey port = key4("192.0.2.7", 5201);
  EXPECT_TRUE(steering_->steer(std::span{&port, 1}, 3));
}

// Goal: a rule that someone replaced or removed meanwhile is not ours to remove.
TEST_F(SteeringTest, RemovesOnlyWhatItPutThere) {
  auto steered = steering_->steer(std::span{&flow_, 1}, 3);
  ASSERT_TRUE(steered);
  rules()[0].spec.ring_cookie = 1;
  *steered = Steered{};
  EXPECT_EQ(rules().size(), 1u);
  rules().clear();
  auto again = steering_->steer(std::span{&flow_, 1}, 3);
  rules().clear();
  add_foreign(key4("*", 80), 1, again->locations()[0]);
  *again = Steered{};
  EXPECT_EQ(rules().size(), 1u);
}

TEST_F(SteeringTest, WithoutTheDriversChoiceItTakesPlacesFromTheEnd) {
  sim_->at(kIndex).state.rule_table->picks_location = false;
  add_foreign(key4("*", 80), 1, 15);
  auto steered = steering_->steer(std::span{&flow_, 1}, 3);
  ASSERT_TRUE(steered);
  EXPECT_THAT(steered->locations(), ElementsAre(14));
  std::vector<Steered> more;
  for (std::uint16_t port = 1; port < 7; ++port) {
    const FlowKey key = key4("*", port);
    auto one = steering_->steer(std::span{&key, 1}, 3);
    ASSERT_TRUE(one) << port;
    more.push_back(std::move(*one));
  }
  EXPECT_EQ(more.back().locations()[0], 8u) << "the lower half is not ours";
  EXPECT_EQ(refused(key4("*", 7)).reason(), ReasonCode::rules_full);
}

// Goal: each refusal has its reason, and a second key that fails takes the first back.
TEST_F(SteeringTest, NamesEachRefusal) {
  sim_->privileged = false;
  EXPECT_EQ(refused(flow_).reason(), ReasonCode::not_permitted);
  sim_->privileged = true;
  sim_->at(kIndex).state.ntuple = false;
  EXPECT_EQ(refused(flow_).reason(), ReasonCode::ntuple_off);
  EXPECT_THAT(std::string{refused(flow_).remedy()}, HasSubstr("eth7"));
  sim_->at(kIndex).state.ntuple = true;
  sim_->at(kIndex).matches_tcp = false;
  EXPECT_EQ(refused(flow_).reason(), ReasonCode::rule_refused);
  sim_->at(kIndex).matches_tcp = true;
  EXPECT_EQ(refused(flow_, 99).code(), Errc::not_supported);
  sim_->at(kIndex).state.rule_table->size = 1;
  const FlowKey keys[] = {flow_, key4("*", 80)};
  const auto full = steering_->steer(keys, 3);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().reason(), ReasonCode::rules_full);
  EXPECT_EQ(full.error().code(), Errc::limit_reached);
  EXPECT_THAT(rules(), IsEmpty());
  sim_->remove(kIndex);
  const auto gone = steering_->steer(keys, 3);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().reason(), ReasonCode::interface_unknown);
}

// Goal: whichever call fails, the error comes through and no rule stays that nobody owns.
TEST_F(SteeringTest, SurvivesEachFailure) {
  sim_->at(kIndex).state.rule_table->picks_location = false;
  for (std::uint32_t call = 0; call < 6; ++call) {
    SCOPED_TRACE(call);
    sim_->fail(call, EBUSY);
    { const auto steered = steering_->steer(std::span{&flow_, 1}, 3); }
    // Only where the removal itself failed it is left, and then it is the guard's.
    EXPECT_LE(rules().size(), call >= 3 ? 1u : 0u);
    rules().clear();
  }
}

}  // namespace
}  // namespace landfall::nic
