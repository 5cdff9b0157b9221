// SPDX-License-Identifier: Apache-2.0
// Goal: messages as the kernel writes them are read; refusals keep its words and what it points at;
// attributes of other lengths and orders than expected are left out.
#include "nic/decode.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "landfall/uapi/ethtool.hpp"
#include "landfall/uapi/netdev.hpp"

namespace landfall::nic {
namespace {

using ::testing::ElementsAre;
using ::testing::IsEmpty;

namespace ethtool = uapi::ethtool;
namespace netdev = uapi::netdev;

/// A message, written attribute by attribute.
class Writer {
 public:
  explicit Writer(std::uint16_t type, std::uint16_t flags = 0) : bytes_(NLMSG_HDRLEN) {
    header_.nlmsg_type = type;
    header_.nlmsg_flags = flags;
  }
  static Writer generic() {
    Writer writer{20};
    writer.fixed(genlmsghdr{1, 1, 0});
    return writer;
  }
  template <class T>
  Writer& fixed(const T& value) {
    append(&value, sizeof value);
    bytes_.resize(NLMSG_ALIGN(bytes_.size()));
    return *this;
  }
  Writer& put(std::uint16_t type, const void* data, std::size_t size) {
    const nlattr head{static_cast<std::uint16_t>(NLA_HDRLEN + size), type};
    append(&head, sizeof head);
    append(data, size);
    bytes_.resize(NLA_ALIGN(bytes_.size()));
    return *this;
  }
  template <class T>
  Writer& put(std::uint16_t type, T value) {
    return put(type, &value, sizeof value);
  }
  Writer& put(std::uint16_t type, const char* text) {
    return put(type, text, std::strlen(text) + 1);
  }
  template <class Fill>
  Writer& nest(std::uint16_t type, Fill&& fill) {
    Writer inner{0};
    inner.bytes_.clear();
    fill(inner);
    return put(type | NLA_F_NESTED, inner.bytes_.data(), inner.bytes_.size());
  }
  AnswerBytes done() {
    header_.nlmsg_len = static_cast<std::uint32_t>(bytes_.size());
    std::memcpy(bytes_.data(), &header_, sizeof header_);
    return bytes_;
  }
  std::size_t size() const { return bytes_.size(); }

 private:
  void append(const void* data, std::size_t size) {
    const auto* from = static_cast<const std::byte*>(data);
    if (size != 0) bytes_.insert(bytes_.end(), from, from + size);
  }
  nlmsghdr header_{};
  AnswerBytes bytes_;
};

TEST(DecodeRefusal, KeepsTheKernelsWordsAndWhatItPointsAt) {
  Writer request = Writer::generic();
  request.put<std::uint32_t>(netdev::kDmabufIfindex, 7);
  const std::size_t at = request.size();
  request.put<std::uint32_t>(netdev::kDmabufFd, 3);
  const AnswerBytes asked = request.done();
  const auto answer = Writer{NLMSG_ERROR, NLM_F_CAPPED | NLM_F_ACK_TLVS}
                          .fixed(nlmsgerr{-EINVAL, {}})
                          .put(NLMSGERR_ATTR_MSG, "tcp-data-split is disabled")
                          .put(NLMSGERR_ATTR_OFFS, static_cast<std::uint32_t>(at))
                          .done();
  const Refusal refusal = decode_refusal(answer, asked);
  EXPECT_EQ(refusal.number, EINVAL);
  EXPECT_EQ(refusal.text, "tcp-data-split is disabled");
  EXPECT_EQ(refusal.attribute, netdev::kDmabufFd);
  EXPECT_EQ(decode_refusal(answer, {}).attribute, 0);
}

TEST(DecodeRefusal, FindsItsWordsBehindACopyOfTheRequest) {
  nlmsgerr error{-EPERM, {}};
  error.msg.nlmsg_len = sizeof error.msg + 8;
  const auto answer = Writer{NLMSG_ERROR, NLM_F_ACK_TLVS}
                          .fixed(error)
                          .fixed(std::uint64_t{0})
                          .put(NLMSGERR_ATTR_MSG, "no")
                          .done();
  EXPECT_EQ(decode_refusal(answer, {}).text, "no");
}

TEST(DecodeRefusal, TellsAYesFromANo) {
  EXPECT_FALSE(decode_refusal(Writer{NLMSG_ERROR}.fixed(nlmsgerr{}).done(), {}));
  EXPECT_FALSE(decode_refusal(Writer{NLMSG_DONE}.fixed(0).done(), {}));
  EXPECT_EQ(decode_refusal(Writer{NLMSG_DONE}.fixed(-ENODEV).done(), {}).number, ENODEV);
  EXPECT_EQ(decode_refusal({}, {}).number, EBADMSG);
}

TEST(Decode, Link) {
  ifinfomsg link{};
  link.ifi_index = 7;
  link.ifi_flags = IFF_UP | IFF_LOWER_UP;
  NicState state;
  decode_link(Writer{RTM_NEWLINK}
                  .fixed(link)
                  .put(IFLA_IFNAME, "eth7")
                  .put<std::uint32_t>(IFLA_MTU, 4148)
                  .put(IFLA_PARENT_DEV_NAME, "0000:3b:00.0")
                  .nest(IFLA_XDP, [](Writer& w) { w.put<std::uint8_t>(IFLA_XDP_ATTACHED, 2); })
                  .done(),
              state);
  EXPECT_EQ(state.index, 7u);
  EXPECT_EQ(state.name, "eth7");
  EXPECT_EQ(state.mtu_bytes, 4148u);
  EXPECT_EQ(state.bus, "0000:3b:00.0");
  EXPECT_TRUE(state.up && state.carrier && state.xdp_attached);
  EXPECT_FALSE(state.loopback);
}

TEST(Decode, RingsAndChannels) {
  NicState state;
  decode_rings(Writer::generic()
                   .put<std::uint32_t>(ethtool::kRingsRx, 256)
                   .put<std::uint8_t>(ethtool::kRingsTcpDataSplit, ethtool::kSplitEnabled)
                   .put<std::uint32_t>(ethtool::kRingsHdsThresh, 0)
                   .done(),
               state);
  EXPECT_EQ(state.rings->rx, 256u);
  EXPECT_EQ(state.rings->rx_max, std::nullopt);
  EXPECT_EQ(state.rings->header_split, HeaderSplit::on);
  EXPECT_EQ(state.rings->hds_threshold_bytes, 0u);
  decode_rings(Writer::generic().put<std::uint8_t>(ethtool::kRingsTcpDataSplit, 1).done(), state);
  EXPECT_EQ(state.rings->header_split, HeaderSplit::off);
  decode_rings(Writer::generic().done(), state);
  EXPECT_EQ(state.rings->header_split, HeaderSplit::unknown);
  decode_channels(Writer::generic()
                      .put<std::uint32_t>(ethtool::kChannelsCombinedCount, 4)
                      .put<std::uint32_t>(ethtool::kChannelsRxCount, 2)
                      .done(),
                  state);
  EXPECT_EQ(state.queue_count(), 6u);
}

TEST(Decode, FeaturesWithAndWithoutAMask) {
  const auto features = [](bool masked, bool on) {
    return Writer::generic()
        .nest(ethtool::kFeaturesActive,
              [&](Writer& set) {
                if (!masked) set.put(ethtool::kBitsetNomask, nullptr, 0);
                set.nest(ethtool::kBitsetBits, [&](Writer& bits) {
                  if (masked || on)
                    bits.nest(1, [&](Writer& bit) {
                      bit.put(ethtool::kBitName, "rx-ntuple-filter");
                      if (masked && on) bit.put(ethtool::kBitValue, nullptr, 0);
                    });
                });
              })
        .done();
  };
  for (const bool masked : {false, true}) {
    for (const bool on : {false, true}) {
      NicState state;
      decode_features(features(masked, on), state);
      EXPECT_EQ(state.ntuple, on) << masked;
      EXPECT_EQ(state.gro_hw, false);
    }
  }
}

TEST(Decode, RssTables) {
  const std::uint32_t table[] = {0, 1, 2};
  const std::uint8_t key[] = {9, 8, 7};
  NicState state;
  decode_rss(Writer::generic()
                 .put<std::uint32_t>(ethtool::kRssContext, 5)
                 .put(ethtool::kRssIndir, table, sizeof table)
                 .put(ethtool::kRssHkey, key, sizeof key)
                 .done(),
             state);
  ASSERT_EQ(state.rss.size(), 1u);
  EXPECT_EQ(state.rss[0].id, 5u);
  EXPECT_THAT(state.rss[0].table, ElementsAre(0, 1, 2));
  EXPECT_THAT(state.rss[0].key, ElementsAre(9, 8, 7));
}

TEST(Decode, QueuesAndWhatIsBound) {
  NicState state;
  const auto queue = [](std::uint32_t id, std::uint32_t type) {
    Writer writer = Writer::generic();
    writer.put(netdev::kQueueId, id).put(netdev::kQueueType, type);
    return writer;
  };
  decode_queue(queue(0, netdev::kTx).done(), state);
  EXPECT_THAT(state.queues, IsEmpty());
  decode_queue(queue(1, netdev::kRx)
                   .put<std::uint32_t>(netdev::kQueueNapiId, 8193)
                   .put<std::uint32_t>(netdev::kQueueDmabuf, 12)
                   .done(),
               state);
  decode_queue(queue(2, netdev::kRx).nest(netdev::kQueueIoUring, [](Writer&) {}).done(), state);
  decode_queue(queue(3, netdev::kRx).nest(netdev::kQueueXsk, [](Writer&) {}).done(), state);
  decode_queue(queue(4, netdev::kRx)
                   .nest(netdev::kQueueLease,
                         [](Writer& lease) { lease.put<std::uint32_t>(netdev::kLeaseIfindex, 9); })
                   .done(),
               state);
  ASSERT_EQ(state.queues.size(), 4u);
  EXPECT_EQ(state.queues[0].napi_id, 8193u);
  EXPECT_EQ(state.queues[0].dmabuf_id, 12u);
  EXPECT_TRUE(state.queues[1].io_uring);
  EXPECT_TRUE(state.queues[2].af_xdp);
  EXPECT_EQ(state.queues[3].leased_to, 9u);
}

TEST(Decode, PoolsOfThisInterfaceWithNumbersOfBothWidths) {
  NicState state;
  state.index = 7;
  decode_pool(Writer::generic().put<std::uint32_t>(netdev::kPoolIfindex, 8).done(), state);
  EXPECT_THAT(state.pools, IsEmpty());
  decode_pool(Writer::generic()
                  .put<std::uint32_t>(netdev::kPoolIfindex, 7)
                  .put<std::uint32_t>(netdev::kPoolId, 3)
                  .put<std::uint64_t>(netdev::kPoolInflight, std::uint64_t{1} << 40)
                  .put<std::uint32_t>(netdev::kPoolDetachTime, 5)
                  .put<std::uint32_t>(netdev::kPoolDmabuf, 12)
                  .done(),
              state);
  ASSERT_EQ(state.pools.size(), 1u);
  EXPECT_EQ(state.pools[0].id, 3u);
  EXPECT_EQ(state.pools[0].inflight, std::uint64_t{1} << 40);
  EXPECT_EQ(state.pools[0].detach_time_s, 5u);
  EXPECT_EQ(state.pools[0].dmabuf_id, 12u);
}

TEST(Decode, FamilyAndBinding) {
  const Family family =
      decode_family(Writer::generic()
                        .put<std::uint16_t>(CTRL_ATTR_FAMILY_ID, 31)
                        .nest(CTRL_ATTR_OPS,
                              [](Writer& ops) {
                                for (const std::uint32_t id : {10u, 13u})
                                  ops.nest(static_cast<std::uint16_t>(id),
                                           [&](Writer& op) { op.put(CTRL_ATTR_OP_ID, id); });
                              })
                        .done());
  EXPECT_EQ(family.id, 31);
  EXPECT_THAT(family.commands, ElementsAre(10, 13));
  EXPECT_TRUE(family.has(netdev::kBindRx));
  EXPECT_FALSE(family.has(netdev::kBindTx));
  EXPECT_EQ(decode_dmabuf_id(Writer::generic().put<std::uint32_t>(netdev::kDmabufId, 4).done()),
            4u);
  EXPECT_EQ(decode_dmabuf_id(Writer::generic().put<std::uint8_t>(netdev::kDmabufId, 4).done()),
            std::nullopt);
}

// Goal: a message that is cut anywhere is read as far as it goes.
TEST(Decode, SurvivesCutMessages) {
  const AnswerBytes whole = Writer::generic()
                                .put<std::uint32_t>(netdev::kQueueId, 1)
                                .put<std::uint32_t>(netdev::kQueueType, netdev::kRx)
                                .put<std::uint32_t>(netdev::kQueueDmabuf, 12)
                                .done();
  for (std::size_t size = 0; size <= whole.size(); ++size) {
    // A copy of its own, so that a sanitizer sees a read behind it.
    const AnswerBytes cut{whole.begin(), whole.begin() + static_cast<std::ptrdiff_t>(size)};
    NicState state;
    decode_queue(cut, state);
    EXPECT_EQ(state.queues.size(), size >= whole.size() - 8 ? 1u : 0u) << size;
  }
}

}  // namespace
}  // namespace landfall::nic
