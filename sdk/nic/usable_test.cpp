// SPDX-License-Identifier: Apache-2.0
// Goal: of each interface and queue the one list of reasons says why it cannot take memory, and
// looking changes nothing.
#include "nic/usable.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "nic/sim_nic.hpp"

namespace landfall::nic {
namespace {

using ::testing::ElementsAre;
using ::testing::HasSubstr;
using ::testing::IsEmpty;

constexpr std::uint32_t kIndex = 7;

std::vector<ReasonCode> codes(const std::vector<Reason>& reasons) {
  std::vector<ReasonCode> result;
  for (const Reason& reason : reasons) {
    EXPECT_FALSE(reason.text.empty());
    EXPECT_FALSE(reason.fix.empty()) << reason.text;
    EXPECT_THAT(reason.fix, ::testing::Not(HasSubstr("IFACE")));
    result.push_back(reason.code);
  }
  return result;
}

class UsableTest : public ::testing::Test {
 protected:
  SimNic sim_;
  SimInterface& nic_ = sim_.add(kIndex, "eth7", 4);
  InterfaceUse use() {
    auto assessed = assess(sim_, kIndex);
    EXPECT_TRUE(assessed);
    EXPECT_EQ(sim_.bindings(), 0u);
    return assessed ? *assessed : InterfaceUse{};
  }
  std::vector<ReasonCode> interface_codes() { return codes(use().reasons); }
  std::vector<ReasonCode> queue_codes(std::uint32_t id) { return codes(use().queues[id].reasons); }
};

TEST_F(UsableTest, AQueueOutsideTheTableIsUsable) {
  const InterfaceUse found = use();
  EXPECT_THAT(found.reasons, IsEmpty());
  ASSERT_EQ(found.queues.size(), 4u);
  for (std::uint32_t id = 0; id < 3; ++id)
    EXPECT_THAT(codes(found.queues[id].reasons), ElementsAre(ReasonCode::queue_in_rss));
  EXPECT_TRUE(found.usable(found.queues[3]));
  EXPECT_FALSE(found.usable(found.queues[0]));
}

TEST_F(UsableTest, OtherRssContextsAreThereOnPurpose) {
  nic_.state.rss.push_back({.id = 1, .table = {3, 3}});
  EXPECT_THAT(queue_codes(3), IsEmpty());
}

TEST_F(UsableTest, NamesWhatIsWrongWithTheInterface) {
  nic_.state.rings->header_split = HeaderSplit::off;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::header_split_off));
  nic_.state.rings->header_split = HeaderSplit::unknown;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::header_split_off));
  nic_.state.rings->header_split = HeaderSplit::on;
  nic_.state.rings->hds_threshold_bytes = 200;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::hds_threshold));
  nic_.state.rings->hds_threshold_bytes.reset();  // Linux 6.12 has none
  EXPECT_THAT(interface_codes(), IsEmpty());
  nic_.state.xdp_attached = true;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::xdp_attached));
  nic_.state.xdp_attached = false;
  nic_.state.ntuple = false;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::ntuple_off));
}

TEST_F(UsableTest, FindsByTrialWhatReadingDoesNotTell) {
  nic_.restarts_queues = false;
  nic_.state.xdp_attached = true;  // mending that would not help
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::no_memory_provider));
  nic_.restarts_queues = true;
  nic_.state.xdp_attached = false;
  sim_.privileged = false;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::not_permitted));
  sim_.kernel_binds_rx = false;
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::kernel_too_old));
}

TEST_F(UsableTest, SendingFromMemoryIsTried) {
  EXPECT_THAT(use().sending, IsEmpty());
  nic_.does_dma = false;
  EXPECT_THAT(codes(use().sending), ElementsAre(ReasonCode::no_netmem_tx));
  nic_.sends_from_memory = false;
  EXPECT_THAT(codes(use().sending), ElementsAre(ReasonCode::no_netmem_tx));
  sim_.kernel_binds_tx = false;
  EXPECT_THAT(codes(use().sending), ElementsAre(ReasonCode::kernel_too_old));
}

TEST_F(UsableTest, WhatHasNoSettingsIsNoNic) {
  nic_.state.rings.reset();
  nic_.state.channels.reset();
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::no_memory_provider));
  EXPECT_THAT(use().queues, IsEmpty());
}

TEST_F(UsableTest, WithoutADeviceOnlyALentQueueHelps) {
  nic_.state.bus.clear();
  EXPECT_THAT(interface_codes(), ElementsAre(ReasonCode::no_memory_provider));
  nic_.state.kernel_lends_queues = true;
  EXPECT_THAT(interface_codes(), IsEmpty());
}

TEST_F(UsableTest, NamesWhoHasTheQueue) {
  QueueState& queue = nic_.state.queues[3];
  queue.dmabuf_id = 12;
  EXPECT_THAT(queue_codes(3), ElementsAre(ReasonCode::queue_busy));
  EXPECT_THAT(use().queues[3].reasons[0].text, HasSubstr("binding 12"));
  queue.dmabuf_id.reset();
  queue.io_uring = true;
  EXPECT_THAT(use().queues[3].reasons[0].text, HasSubstr("io_uring"));
  queue.io_uring = false;
  queue.af_xdp = true;
  EXPECT_THAT(use().queues[3].reasons[0].text, HasSubstr("AF_XDP"));
  queue.af_xdp = false;
  queue.leased_to = 9;
  EXPECT_THAT(queue_codes(3), ElementsAre(ReasonCode::queue_leased));
}

TEST_F(UsableTest, KnowsQueuesThatAreNotThere) {
  EXPECT_THAT(codes(queue_reasons(nic_.state, 4)), ElementsAre(ReasonCode::queue_unknown));
  nic_.state.queues.clear();  // it is down: the channels count
  EXPECT_THAT(codes(queue_reasons(nic_.state, 4)), ElementsAre(ReasonCode::queue_unknown));
  EXPECT_THAT(codes(queue_reasons(nic_.state, 3)), IsEmpty());
}

TEST_F(UsableTest, AnInterfaceThatGoesAwayIsAnError) {
  sim_.remove(kIndex);
  const auto gone = assess(sim_, kIndex);
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().reason(), ReasonCode::interface_unknown);
}

}  // namespace
}  // namespace landfall::nic
