// SPDX-License-Identifier: Apache-2.0
// Goal: the writing half of sdk/nic sets what it says on a real kernel, says why where that
// refuses, and the simulated NIC of the unit tests refuses alike.
#include <gmock/gmock.h>

#include <algorithm>

#include "nic/settings.hpp"
#include "nic/sim_nic.hpp"
#include "sdk_rig.hpp"

namespace landfall::nic::lab {
namespace {

using ::testing::Each;
using ::testing::HasSubstr;
using ::testing::SizeIs;

class SdkSettings : public SdkOnNic {
 protected:
  void SetUp() override {
    SdkOnNic::SetUp();
    ASSERT_TRUE(nic_->set_rss_table(index_, {}));
  }
  void TearDown() override {
    (void)nic_->set_rss_table(index_, {});
    (void)nic_->set_channels(index_, 4);
    (void)nic_->set_rings(index_, {.rx = 1024});
    (void)nic_->set_ntuple(index_, true);
  }
  Settings now() {
    auto read = read_settings(*nic_, index_);
    EXPECT_TRUE(read) << read.error().describe();
    return read ? std::move(*read) : Settings{};
  }
};

TEST_F(SdkSettings, ChannelsRingsAndFeatures) {
  ASSERT_TRUE(nic_->set_channels(index_, 2));
  EXPECT_EQ(now().channels, 2u);
  EXPECT_TRUE(now().has_default_table()) << "the driver's table follows";
  ASSERT_TRUE(nic_->set_channels(index_, 4));
  EXPECT_EQ(*std::ranges::max_element(now().rss.at(0).table), 3u);

  ASSERT_TRUE(nic_->set_rings(index_, {.rx = 256}));
  EXPECT_EQ(now().rx_ring, 256u);
  ASSERT_TRUE(nic_->set_rings(index_, {.header_split = HeaderSplit::off}));
  EXPECT_EQ(now().header_split, HeaderSplit::off);
  EXPECT_EQ(now().rx_ring, 256u) << "what is left out stays";
  if (has_threshold_) {
    ASSERT_TRUE(nic_->set_rings(index_, {.hds_threshold_bytes = 100}));
    EXPECT_EQ(now().hds_threshold_bytes, 100u);
    ASSERT_TRUE(nic_->set_rings(index_, {.hds_threshold_bytes = 0}));
  }
  ASSERT_TRUE(nic_->set_ntuple(index_, false));
  EXPECT_EQ(now().ntuple, false);
  ASSERT_TRUE(nic_->set_ntuple(index_, true));
  EXPECT_EQ(now().ntuple, true);
}

TEST_F(SdkSettings, RssTableKeyAndContexts) {
  const Settings before = now();
  ASSERT_THAT(before.rss, SizeIs(1));
  const std::vector<std::uint32_t> table(before.rss[0].table.size(), 1);
  ASSERT_TRUE(nic_->set_rss_table(index_, table));
  EXPECT_THAT(now().rss[0].table, Each(1u));
  EXPECT_EQ(now().rss[0].key, before.rss[0].key) << "what is left out stays";

  std::vector<std::uint8_t> key = before.rss[0].key;
  ASSERT_FALSE(key.empty());
  key[0] ^= 0xff;
  ASSERT_TRUE(nic_->set_rss_key(index_, key));
  EXPECT_EQ(now().rss[0].key, key);
  EXPECT_THAT(now().rss[0].table, Each(1u));
  ASSERT_TRUE(nic_->set_rss_key(index_, before.rss[0].key));

  const std::vector<std::uint32_t> other(table.size(), 3);
  const auto id = nic_->add_rss_context(index_, other);
  ASSERT_TRUE(id) << id.error().describe();
  ASSERT_THAT(now().rss, SizeIs(2));
  EXPECT_EQ(now().rss[1].id, *id);
  EXPECT_THAT(now().rss[1].table, Each(3u));
  ASSERT_TRUE(nic_->remove_rss_context(index_, *id));
  ASSERT_TRUE(nic_->set_rss_table(index_, {}));
  EXPECT_TRUE(same_settings(now(), before));
}

/// The same requests of the kernel and of the simulated NIC: both say no, and as the same reason.
TEST_F(SdkSettings, WhatIsRefusedIsRefusedByTheSimulatedNicToo) {
  SimNic sim;
  SimInterface& at = sim.add(index_, "lf0", 4);
  at.state.channels->combined_max = state().channels->combined_max;
  at.state.rings->rx_max = state().rings->rx_max;
  at.use_default_table();
  const auto refused_alike = [&](const char* what, auto&& request) {
    const auto real = request(*nic_), simulated = request(static_cast<Nic&>(sim));
    ASSERT_FALSE(real) << what;
    ASSERT_FALSE(simulated) << what;
    EXPECT_EQ(real.error().reason(), ReasonCode::setting_refused) << real.error().describe();
    EXPECT_EQ(real.error().code(), simulated.error().code())
        << what << ": " << real.error().describe() << "; " << simulated.error().describe();
  };
  refused_alike("no channel", [&](Nic& nic) { return nic.set_channels(index_, 0); });
  refused_alike("too many channels", [&](Nic& nic) {
    return nic.set_channels(index_, 1 + state().channels->combined_max);
  });
  refused_alike("too large a ring", [&](Nic& nic) {
    return nic.set_rings(index_, {.rx = 1 + state().rings->rx_max.value_or(0)});
  });
  refused_alike("too small a ring", [&](Nic& nic) { return nic.set_rings(index_, {.rx = 8}); });
  const std::vector<std::uint32_t> beyond(now().rss[0].table.size(), 4);
  refused_alike("a table beyond the queues",
                [&](Nic& nic) { return nic.set_rss_table(index_, beyond); });
  refused_alike("a context beyond the queues",
                [&](Nic& nic) { return nic.add_rss_context(index_, beyond); });
  refused_alike("a context that is not there",
                [&](Nic& nic) { return nic.remove_rss_context(index_, 9); });

  const std::vector<std::uint32_t> last(beyond.size(), 3);
  ASSERT_TRUE(nic_->set_rss_table(index_, last));
  ASSERT_TRUE(sim.set_rss_table(index_, last));
  refused_alike("fewer channels than the table needs",
                [&](Nic& nic) { return nic.set_channels(index_, 2); });
  const auto said = nic_->set_channels(index_, 2);
  EXPECT_THAT(std::string{said.error().cause()}, HasSubstr("indirection table"));
}

}  // namespace
}  // namespace landfall::nic::lab
