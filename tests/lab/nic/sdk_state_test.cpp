// SPDX-License-Identifier: Apache-2.0
// Goal: what is read of an interface is what was set there, and each reason against a queue turns
// up when its cause is there, and goes with it.
#include <gmock/gmock.h>

#include <algorithm>

#include "nic/binding.hpp"
#include "sdk_rig.hpp"
#include "xdp.hpp"

namespace landfall::nic::lab {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

std::vector<ReasonCode> codes(const std::vector<Reason>& reasons) {
  std::vector<ReasonCode> result;
  for (const Reason& reason : reasons) result.push_back(reason.code);
  return result;
}

using SdkState = SdkOnNic;

TEST_F(SdkState, ReadsWhatWasSet) {
  run("ethtool -G lf0 rx 512");
  run("ethtool -L lf0 combined 5");
  run("ethtool -X lf0 equal 3");
  const std::uint32_t rules_before = state().rule_table->rules;
  run("ethtool -N lf0 flow-type tcp4 dst-port 9 action 1 >/dev/null");
  const NicState found = state();
  EXPECT_EQ(found.name, "lf0");
  EXPECT_TRUE(found.up && found.carrier);
  EXPECT_FALSE(found.bus.empty());
  EXPECT_EQ(found.mtu_bytes, 4148u);
  ASSERT_TRUE(found.rings && found.channels);
  EXPECT_EQ(found.rings->rx, 512u);
  EXPECT_EQ(found.rings->header_split, HeaderSplit::on);
  EXPECT_EQ(found.channels->combined, 5u);
  EXPECT_EQ(found.ntuple, true);
  EXPECT_EQ(found.gro_hw, true);
  ASSERT_FALSE(found.rss.empty());
  EXPECT_EQ(found.rss[0].table.size(), 128u);
  EXPECT_EQ(std::ranges::max(found.rss[0].table), 2u);
  EXPECT_FALSE(found.rss[0].key.empty());
  ASSERT_EQ(found.queues.size(), 5u);
  for (std::uint32_t id = 0; id < 5; ++id) {
    EXPECT_EQ(found.queues[id].id, id);
    EXPECT_NE(found.queues[id].napi_id, 0u);
  }
  EXPECT_GE(found.pools.size(), 5u);
  EXPECT_EQ(found.rule_table->rules, rules_before + 1);
  EXPECT_TRUE(found.rule_table->picks_location);
  EXPECT_TRUE(found.kernel_binds_rx);

  run("ethtool -X lf0 context new equal 2 >/dev/null");
  EXPECT_EQ(state().rss.size(), 2u);
  EXPECT_EQ(state().rss[1].id, 1u);
  run("ethtool -X lf0 context 1 delete");
  run("ethtool -N lf0 delete 0");
  run("ethtool -K lf0 rx-gro-hw off");
  EXPECT_EQ(state().gro_hw, false);
  run("ethtool -K lf0 rx-gro-hw on");
  run("ethtool -X lf0 equal 2");
  run("ethtool -L lf0 combined 4");
  run("ethtool -G lf0 rx 256");
}

TEST_F(SdkState, FindsTheInterfaces) {
  const auto names = nic_->interfaces();
  ASSERT_TRUE(names);
  EXPECT_TRUE(std::ranges::any_of(*names, [](const auto& one) { return one.name == "lf0"; }));
  EXPECT_EQ(names->front().name, "lo");
  const auto gone = nic_->read(9999);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().reason(), ReasonCode::interface_unknown);
}

TEST_F(SdkState, QueuesOutsideTheTableAreUsable) {
  const InterfaceUse found = use();
  EXPECT_THAT(codes(found.reasons), IsEmpty());
  ASSERT_EQ(found.queues.size(), 4u);
  EXPECT_THAT(codes(found.queues[1].reasons), ElementsAre(ReasonCode::queue_in_rss));
  EXPECT_TRUE(found.usable(found.queues[3]));
  // The remedy is a command: it helps as it stands.
  run(found.queues[1].reasons[0].fix);
  EXPECT_TRUE(use().queues[1].reasons.empty());
  run(use().queues[0].reasons[0].fix);
  EXPECT_TRUE(use().queues[0].reasons.empty());
}

TEST_F(SdkState, NamesEachReasonOfTheInterface) {
  header_split("off");
  EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::header_split_off));
  if (has_threshold_) {
    header_split("on 100");
    EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::hds_threshold));
  }
  split_on();
  run("ethtool -K lf0 ntuple off");
  EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::ntuple_off));
  run(use().reasons[0].fix);
  {
    const Fd xdp{landfall::lab::attach_xdp(index_)};
    ASSERT_TRUE(xdp);
    EXPECT_THAT(codes(use().reasons), ElementsAre(ReasonCode::xdp_attached));
    const Udmabuf memory;
    const std::uint32_t queues[] = {3};
    const auto refused = nic_->bind_rx({index_, queues, memory.fd.get(), 0});
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().reason(), ReasonCode::xdp_attached);
  }
  EXPECT_THAT(codes(use().reasons), IsEmpty());
}

TEST_F(SdkState, NamesWhoHasAQueue) {
  const Udmabuf memory;
  const std::uint32_t queues[] = {3};
  {
    const auto binding = Binding::open(*nic_, {index_, queues, memory.fd.get(), 0});
    ASSERT_TRUE(binding) << binding.error().describe();
    const auto found = use();
    ASSERT_THAT(codes(found.queues[3].reasons), ElementsAre(ReasonCode::queue_busy));
    EXPECT_THAT(found.queues[3].reasons[0].text,
                HasSubstr("binding " + std::to_string(binding->dmabuf_id())));
    EXPECT_TRUE(std::ranges::any_of(found.state.pools, [&](const PagePool& pool) {
      return pool.dmabuf_id == binding->dmabuf_id();
    }));
  }
  EXPECT_TRUE(use().queues[3].reasons.empty());
  const Fd socket{landfall::lab::open_xdp_socket(index_, 3)};
  ASSERT_TRUE(socket);
  if (has_threshold_) {  // Linux 6.12 does not list AF_XDP
    const auto found = use();
    ASSERT_THAT(codes(found.queues[3].reasons), ElementsAre(ReasonCode::queue_busy));
    EXPECT_THAT(found.queues[3].reasons[0].text, HasSubstr("AF_XDP"));
  }
  const auto refused = nic_->bind_rx({index_, queues, memory.fd.get(), 0});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().reason(), ReasonCode::queue_busy);
}

TEST_F(SdkState, FindsByTrialWhoCannot) {
  run("ip link add lab0 type dummy && ip link add lab1 type veth peer name lab2");
  for (const char* name : {"lab0", "lab1"}) {
    const auto found = assess(*nic_, ::if_nametoindex(name));
    ASSERT_TRUE(found);
    EXPECT_THAT(codes(found->reasons), ElementsAre(ReasonCode::no_memory_provider)) << name;
  }
  run("ip link del lab0 && ip link del lab1");
}

}  // namespace
}  // namespace landfall::nic::lab
