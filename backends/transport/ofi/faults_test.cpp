// SPDX-License-Identifier: Apache-2.0
// What fails on purpose.
#include <map>
#include <numeric>

#include "landfall_test/census.hpp"
#include "ofi/ofi_rig_test.hpp"

namespace landfall::messages::test {
namespace {

/// One small transfer with everything that belongs to it; true: it went through.
bool small_transfer(const std::function<int(std::string_view)>& at_receiver,
                    const std::function<int(std::string_view)>& at_sender) {
  Pair pair{{.region_bytes = 1u << 20, .fault = at_receiver},
            {.region_bytes = 1u << 20, .fault = at_sender}};
  if (!pair.open() || pair.sender.connect(pair.receiver.address(), 1) != LANDFALL_ERRC_ok)
    return false;
  FlowState& sent = pair.sender.flows[1];
  const auto received = [&] { return &pair.receiver.flows[1]; };
  pair.sender.set_rooms(30'000);
  bool finished = false;
  const auto feed = [&] {
    while (sent.opened && !sent.ended() && sent.handed < 300'000 && pair.sender.send(1, 30'000)) {
    }
    if (sent.handed == 300'000 && !std::exchange(finished, true)) pair.sender.finish(1);
  };
  // A fault may leave one side with nothing to hear of: what is asked is that nothing is lost in
  // silence, and that all of it goes away.
  EXPECT_TRUE(pump(
      {&pair.receiver, &pair.sender},
      [&] { return received()->ended() || sent.ended() || pair.receiver.lost || pair.sender.lost; },
      feed, std::chrono::seconds{2}));
  const bool whole = received()->finished;
  EXPECT_TRUE(received()->intact);
  EXPECT_TRUE(!whole || received()->bytes == 300'000u);
  if (received()->handle != nullptr) pair.receiver.close(1);
  if (sent.handle != nullptr) pair.sender.close(1);
  pump(
      {&pair.receiver, &pair.sender}, [&] { return received()->closed && sent.closed; }, {},
      std::chrono::milliseconds{20});
  return whole;
}

// Goal: each outside call may fail once, on either side, and nothing crashes, hangs or leaks.
// Without connections, where opening takes long, the first times and one in the midst of all.
TEST_P(OfiCase, EachCallMayFail) {
  // Nor does `tcp` free what it has of a connection that it has not told of (1.17).
  const LeaksOfOthers leaks{true};
  // `ofi_rxm` leaves the socket of a connection open that came when nothing was read any more
  // (1.17).
  const int left = has_connections() ? 0 : 1;
  for (const bool receives : {true, false}) {
    landfall::test::FaultPlan plan;
    plan.clear();
    ASSERT_TRUE(small_transfer(receives ? plan.hook() : nullptr, receives ? nullptr : plan.hook()));
    std::map<std::string, std::size_t> made;
    for (const std::string& site : plan.seen()) ++made[site];
    std::map<std::string, int> tried;
    for (const auto& [site, times] : made) {
      const std::size_t first = has_connections() ? times : std::min<std::size_t>(times, 3);
      std::vector<std::size_t> calls(first);
      std::iota(calls.begin(), calls.end(), 0);
      if (first < times) calls.push_back(times / 2);
      for (const std::size_t call : calls) {
        landfall::test::FdCensus fds;
        plan.fail(call, EIO, site);
        small_transfer(receives ? plan.hook() : nullptr, receives ? nullptr : plan.hook());
        if (plan.hit()) ++tried[site];
        plan.clear();
        EXPECT_LE(fds.leaked(), left);
        if (!testing::Test::HasFailure()) continue;
        ADD_FAILURE() << (receives ? "the receiver's " : "the sender's ") << site << ", " << call;
        return;
      }
    }
    std::vector<const char*> sites{"fi_getinfo",    "fi_fabric",  "fi_domain",
                                   "fi_mr_regattr", "fi_cq_open", "fi_endpoint",
                                   "fi_ep_bind",    "fi_enable",  "fi_cq_read"};
    if (has_connections())
      sites.insert(sites.end(), {"fi_eq_open", "fi_eq_read", "fi_recv", "fi_sendmsg"});
    else if (receives)
      sites.insert(sites.end(), {"fi_av_open", "fi_getname", "fi_recv", "accept4", "recv", "send"});
    else
      sites.insert(sites.end(),
                   {"fi_av_insert", "socket", "connect", "recv", "send", "fi_sendmsg"});
    for (const char* site : sites) EXPECT_GT(tried[site], 0) << site;
  }
}

// Goal: a provider that takes no more for a while costs nothing but time.
TEST_P(OfiCase, SendsWaitForAProviderThatTakesNoMore) {
  landfall::test::FaultPlan plan;
  for (std::size_t call = 0; call < 12; ++call) {
    plan.fail(call, EAGAIN, "fi_sendmsg");
    EXPECT_TRUE(small_transfer(plan.hook(), nullptr)) << call;
    plan.fail(call, EAGAIN, "fi_sendmsg");
    EXPECT_TRUE(small_transfer(nullptr, plan.hook())) << call;
  }
}

}  // namespace
}  // namespace landfall::messages::test
