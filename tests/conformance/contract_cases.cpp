// SPDX-License-Identifier: Apache-2.0
// The copy contract, revocation, and every outside call failing once.
#include <algorithm>

#include "conformance/rig.hpp"
#include "landfall_test/census.hpp"
#include "landfall_test/fault_plan.hpp"

namespace landfall::test {
namespace {

class Contracts : public Transport {};
LANDFALL_CONFORMANCE(Contracts);

constexpr CopyContract kStrict{.kind = CopyContract::Kind::require_direct};

// Goal: require_direct is refused at once where no extent can be direct: by the Group with a
// Decision, by the flow with an error.
TEST_P(Contracts, RequireDirectIsRefusedWhereNothingIsDirect) {
  if (GetParam().can(Cap::direct)) return;
  auto context = GetParam().context();
  ASSERT_OK(context);
  auto region = Region::allocate(*context, {.source = GetParam().memory, .size_bytes = 4u << 20});
  ASSERT_OK(region);
  Decision decision;
  GroupOptions options;
  options.transports = {GetParam().transport};
  options.options = GetParam().options;
  options.contract = kStrict;
  Result<Group> group = Group::open(*context, options, *region, &decision);
  ASSERT_FALSE(group);
  EXPECT_TRUE(static_cast<bool>(*region)) << "taken only on success";
  const auto candidate =
      std::find_if(decision.candidates.begin(), decision.candidates.end(),
                   [](const auto& one) { return one.transport == GetParam().transport; });
  ASSERT_NE(candidate, decision.candidates.end());
  EXPECT_FALSE(candidate->usable);
  ASSERT_FALSE(candidate->reasons.empty());
  EXPECT_EQ(candidate->reasons[0].code, ReasonCode::contract_needs_direct);

  if (!GetParam().can(Cap::sockets)) return;
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  SocketPair pair = GetParam().pair();
  EXPECT_REFUSED((*rig)->receiver().attach(pair.ours, {.contract = kStrict}), contract_broken,
                 contract_needs_direct);
  EXPECT_TRUE(pair.ours);
}

// Goal: it holds on a direct transport; linear bytes within their allowance are no breach.
TEST_P(Contracts, RequireDirectHoldsWithinTheLinearAllowance) {
  LANDFALL_NEEDS(direct);
  // What is unsure is held to be copied, and whether a head is noticed there is chance.
  if (GetParam().can(Cap::unsure)) return;
  CopyContract contract = kStrict;
  contract.max_linear_ppm = 500'000;
  auto rig = Rig::open(GetParam(), {.contract = contract});
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(4u << 20, true);
  EXPECT_TRUE((*rig)->until([&] { return stream->ended || stream->failed; }));
  EXPECT_FALSE(stream->failed) << stream->error.describe();
}

// Goal: past the grace, more linear bytes than allowed are an error on the flow, never silence.
TEST_P(Contracts, TooManyLinearBytesFailTheFlow) {
  LANDFALL_NEEDS(linear);
  CopyContract contract = kStrict;
  contract.max_linear_ppm = 0;
  contract.grace_bytes = 2u << 20;
  auto rig = Rig::open(GetParam(), {.contract = contract});
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(64u << 20, true);
  EXPECT_TRUE((*rig)->until([&] { return stream->ended || stream->failed; }));
  ASSERT_TRUE(stream->failed);
  EXPECT_EQ(stream->error.code(), Errc::contract_broken);
  EXPECT_EQ(stream->error.reason(), ReasonCode::contract_linear) << stream->error.describe();
  EXPECT_GE(stream->received, contract.grace_bytes) << "failed within the grace";
  EXPECT_TRUE((*rig)->close(*stream));
}

// Goal: prefer_direct with a bound on copies holds transports to it that copy everything.
TEST_P(Contracts, TooManyCopiesFailTheFlow) {
  if (GetParam().can(Cap::direct)) return;
  auto rig =
      Rig::open(GetParam(),
                {.contract = {.kind = CopyContract::Kind::prefer_direct, .max_copied_ppm = 1000}});
  ASSERT_OK(rig);
  Stream* small = (*rig)->connect();
  ASSERT_NE(small, nullptr);
  small->send(1000, true);
  EXPECT_TRUE((*rig)->until([&] { return small->ended || small->failed; }));
  EXPECT_FALSE(small->failed) << "failed within the grace";
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->send(4u << 20, true);
  EXPECT_TRUE((*rig)->until([&] { return stream->ended || stream->failed; }));
  ASSERT_TRUE(stream->failed);
  EXPECT_EQ(stream->error.code(), Errc::contract_broken);
  EXPECT_EQ(stream->error.reason(), ReasonCode::contract_copied) << stream->error.describe();
}

// Goal: a binding that is taken away is reported; nothing is received any more; Buffers stay.
TEST_P(Contracts, ARevokedBindingIsReported) {
  LANDFALL_NEEDS(revocable);
  auto rig = Rig::open(GetParam());
  ASSERT_OK(rig);
  Stream* stream = (*rig)->connect();
  ASSERT_NE(stream, nullptr);
  stream->keep();
  stream->send(100'000, false);
  ASSERT_TRUE((*rig)->until([&] { return stream->received == 100'000; }));
  devmem_revoke();
  EXPECT_TRUE((*rig)->until([&] { return (*rig)->revocations == 1; }));
  stream->send(100'000, true);
  (*rig)->quiet();
  EXPECT_EQ(stream->received, 100'000u);
  EXPECT_EQ((*rig)->revocations, 1u);
  for (const Held& held : stream->held) EXPECT_TRUE(held.unchanged());
  stream->held.clear();
  EXPECT_TRUE((*rig)->close(*stream));
}

/// A whole life: open, connect, receive, close. Ends early where something fails.
void live_once(const Subject& subject, FaultPlan& plan) {
  auto rig = Rig::open(subject, {.region_bytes = 1 << 20, .fault = plan.hook()});
  if (!rig) {
    EXPECT_NE(rig.error().code(), Errc::ok);
    return;
  }
  SocketPair pair = subject.pair();
  Stream& stream = (*rig)->add_stream(socket_peer(Fd{}));
  if (subject.can(Cap::sockets)) {
    stream.peer = socket_peer(std::move(pair.theirs));
    Result<Flow*> flow = (*rig)->receiver().attach(pair.ours, {.user = &stream});
    if (!flow) {
      EXPECT_TRUE(pair.ours) << "taken only on success";
      return;
    }
    stream.flow = *flow;
    stream.opened = true;
  } else {
    Result<Address> address = (*rig)->group->listen({subject.here.ipv4, 0}, {.user = &stream});
    if (!address) return;
    stream.peer = subject.peer_to(*address);
  }
  stream.send(50'000, true);
  const bool over =
      (*rig)->until([&] { return stream.ended || stream.failed || (*rig)->orphan_failures != 0; });
  EXPECT_TRUE(over || (*rig)->poll_error) << "neither the bytes nor an error came";
  if (stream.ended) {
    EXPECT_EQ(stream.received, 50'000u);
  }
  if (!(*rig)->poll_error && stream.flow != nullptr) {
    EXPECT_TRUE((*rig)->close(stream) || (*rig)->poll_error);
  }
}

// Goal: each outside call from open to close fails once: an error, no crash, no hang, no leak.
TEST_P(Contracts, EveryOutsideCallMayFail) {
  constexpr std::array kErrors{EIO, ENOMEM, EMFILE};
  FaultPlan plan;
  for (std::size_t call = 0; call < GetParam().outside_calls; ++call) {
    const FdCensus fds;
    const MapCensus maps;
    plan.fail(call, kErrors[call % kErrors.size()]);
    live_once(GetParam(), plan);
    if (!plan.hit()) {
      EXPECT_GT(call, 3u) << "the transport does not ask the fault seam";
      return;
    }
    const std::vector<std::string> seen = plan.seen();
    const int leaked = GetParam().can(Cap::keeps_sockets) ? 0 : fds.leaked();
    ASSERT_EQ(leaked, 0) << "call " << call << " failed: " << seen[call];
    ASSERT_EQ(maps.leaked(), 0) << "call " << call << " failed: " << seen[call];
    ASSERT_FALSE(HasFailure()) << "call " << call << " failed: " << seen[call];
  }
}

}  // namespace
}  // namespace landfall::test
