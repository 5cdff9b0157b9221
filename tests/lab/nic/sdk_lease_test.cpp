// SPDX-License-Identifier: Apache-2.0
// Goal: a queue that is lent to a virtual interface is named as such here, and can be bound there.
#include <gmock/gmock.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>

#include <algorithm>

#include "nic/binding.hpp"
#include "nic/netlink.hpp"
#include "sdk_rig.hpp"

namespace landfall::nic::lab {
namespace {

// Numbers of netdev's queue-create, Linux 7.3, that only this test needs.
constexpr std::uint8_t kQueueCreate = 16;
constexpr int kQueueIfindex = 2, kQueueType = 3, kQueueLease = 8;
constexpr int kLeaseIfindex = 1, kLeaseQueue = 2, kQueueId = 1;

class SdkLease : public SdkOnNic {
 protected:
  void TearDown() override { run("ip link del lent 2>/dev/null || true"); }

  /// A pair of netkit interfaces with room for a queue.
  int make_netkit() {
    Message request{nlmsg_alloc_simple(RTM_NEWLINK, NLM_F_REQUEST | NLM_F_CREATE | NLM_F_EXCL),
                    nlmsg_free};
    ifinfomsg link{};
    nlmsg_append(request.get(), &link, sizeof link, NLMSG_ALIGNTO);
    nla_put_string(request.get(), IFLA_IFNAME, "lent");
    nla_put_u32(request.get(), IFLA_NUM_RX_QUEUES, 2);
    nlattr* info = nla_nest_start(request.get(), IFLA_LINKINFO);
    nla_put_string(request.get(), IFLA_INFO_KIND, "netkit");
    nla_nest_end(request.get(), info);
    return Netlink::open(NETLINK_ROUTE, nullptr)->ask(request.get()).refusal.number;
  }
  /// Lends a queue of lf0 to the interface; errno.
  int lend(std::uint32_t to, std::uint32_t queue_id) {
    auto netlink = Netlink::open(NETLINK_GENERIC, nullptr);
    const auto family = netlink->family("netdev");
    const Message request = generic_message(*family, kQueueCreate, 0);
    nl_msg* m = request.get();
    nla_put_u32(m, kQueueIfindex, to);
    nla_put_u32(m, kQueueType, 0);
    nlattr* lease = nla_nest_start(m, kQueueLease);
    nla_put_u32(m, kLeaseIfindex, index_);
    nlattr* queue = nla_nest_start(m, kLeaseQueue);
    nla_put_u32(m, kQueueId, queue_id);
    nla_put_u32(m, kQueueType, 0);
    nla_nest_end(m, queue);
    nla_nest_end(m, lease);
    return netlink->ask(m).refusal.number;
  }
};

TEST_F(SdkLease, ALentQueueIsTheBorrowersAlone) {
  if (!state().kernel_lends_queues) GTEST_SKIP() << "the kernel lends no queues (Linux 7 does)";
  ASSERT_EQ(make_netkit(), 0);
  const auto names = nic_->interfaces();
  ASSERT_TRUE(names);
  // One of the two takes queues: lent, or its peer nk0.
  std::uint32_t borrower = 0;
  for (const InterfaceName& name : *names)
    if (borrower == 0 && (name.name == "lent" || name.name == "nk0") && lend(name.index, 3) == 0)
      borrower = name.index;
  ASSERT_NE(borrower, 0u);

  const auto found = use();
  ASSERT_EQ(found.queues[3].reasons.size(), 1u);
  EXPECT_EQ(found.queues[3].reasons[0].code, ReasonCode::queue_leased);
  const Udmabuf memory;
  const std::uint32_t lent[] = {3}, borrowed[] = {1};
  const auto here = Binding::open(*nic_, {index_, lent, memory.fd.get(), 0});
  ASSERT_FALSE(here);
  EXPECT_EQ(here.error().reason(), ReasonCode::queue_leased) << here.error().describe();
  const auto there = Binding::open(*nic_, {borrower, borrowed, memory.fd.get(), 0});
  EXPECT_TRUE(there) << there.error().describe();
}

}  // namespace
}  // namespace landfall::nic::lab
