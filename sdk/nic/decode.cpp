// SPDX-License-Identifier: Apache-2.0
#include "nic/decode.hpp"

#include <linux/genetlink.h>
#include <linux/if.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>

#include <cerrno>
#include <cstring>

#include "landfall/uapi/ethtool.hpp"
#include "landfall/uapi/netdev.hpp"
#include "nic/attributes.hpp"

namespace landfall::nic {
namespace {

namespace ethtool = uapi::ethtool;
namespace netdev = uapi::netdev;

// net/core/rtnetlink.c, rtnl_xdp_fill: 0 stands for none.
constexpr std::uint8_t kXdpAttachedNone = 0;

template <class T>
std::optional<T> fixed_header(Bytes message, std::size_t skip) {
  if (message.size() < skip + sizeof(T)) return std::nullopt;
  T result{};
  std::memcpy(&result, message.data() + skip, sizeof result);
  return result;
}

/// The attribute of `request` that begins `offset` bytes into it.
std::uint16_t attribute_at(Bytes request, std::size_t offset) {
  if (offset < NLMSG_HDRLEN || offset % NLA_ALIGNTO != 0) return 0;
  const auto found = fixed_header<nlattr>(request, offset);
  return found ? found->nla_type & NLA_TYPE_MASK : 0;
}

/// A bitset without COMPACT: with NOMASK the bits that are set, else all, each with its value.
std::optional<bool> bit(const Attributes& bitset, std::string_view wanted) {
  if (!bitset.has(ethtool::kBitsetBits)) return std::nullopt;
  const bool only_set = bitset.has(ethtool::kBitsetNomask);
  bool result = false;
  bitset.each_item(ethtool::kBitsetBits, [&](const Attributes& one) {
    if (one.text(ethtool::kBitName) == wanted) result = only_set || one.has(ethtool::kBitValue);
  });
  return result;
}

}  // namespace

Refusal decode_refusal(Bytes message, Bytes request) {
  Refusal refusal;
  const auto header = fixed_header<nlmsghdr>(message, 0);
  if (!header) return {EBADMSG, "the answer is no netlink message", 0};
  // NLMSG_ERROR begins with a negative errno, and so does the end of a listing.
  const auto number = fixed_header<std::int32_t>(message, NLMSG_HDRLEN);
  if (!number || *number >= 0) return refusal;
  refusal.number = *number == INT32_MIN ? EIO : -*number;
  if ((header->nlmsg_flags & NLM_F_ACK_TLVS) == 0) return refusal;

  std::size_t fixed = sizeof(std::int32_t);
  if (header->nlmsg_type == NLMSG_ERROR) {
    const auto error = fixed_header<nlmsgerr>(message, NLMSG_HDRLEN);
    if (!error) return refusal;
    fixed = sizeof *error;
    // Without CAPPED the request follows as a whole.
    if ((header->nlmsg_flags & NLM_F_CAPPED) == 0 && error->msg.nlmsg_len > sizeof error->msg)
      fixed += error->msg.nlmsg_len - sizeof error->msg;
  }
  const auto attributes = Attributes::of(message, fixed);
  refusal.text = attributes.text(NLMSGERR_ATTR_MSG);
  if (const auto offset = attributes.u32(NLMSGERR_ATTR_OFFS))
    refusal.attribute = attribute_at(request, *offset);
  return refusal;
}

void decode_link(Bytes message, NicState& state) {
  const auto link = fixed_header<ifinfomsg>(message, NLMSG_HDRLEN);
  if (!link) return;
  state.index = static_cast<std::uint32_t>(link->ifi_index);
  state.up = (link->ifi_flags & IFF_UP) != 0;
  state.carrier = (link->ifi_flags & IFF_LOWER_UP) != 0;
  state.loopback = (link->ifi_flags & IFF_LOOPBACK) != 0;
  const auto attributes = Attributes::of(message, sizeof *link);
  state.name = attributes.text(IFLA_IFNAME);
  state.bus = attributes.text(IFLA_PARENT_DEV_NAME);
  state.mtu_bytes = attributes.u32(IFLA_MTU).value_or(0);
  const auto attached = attributes.nested(IFLA_XDP).value<std::uint8_t>(IFLA_XDP_ATTACHED);
  state.xdp_attached = attached.value_or(kXdpAttachedNone) != kXdpAttachedNone;
}

void decode_rings(Bytes message, NicState& state) {
  const auto attributes = Attributes::of_generic(message);
  Rings& rings = state.rings.emplace();
  rings.rx = attributes.u32(ethtool::kRingsRx);
  rings.rx_max = attributes.u32(ethtool::kRingsRxMax);
  rings.rx_buffer_bytes = attributes.u32(ethtool::kRingsRxBufLen);
  rings.hds_threshold_bytes = attributes.u32(ethtool::kRingsHdsThresh);
  rings.hds_threshold_max_bytes = attributes.u32(ethtool::kRingsHdsThreshMax);
  const auto split =
      attributes.value<std::uint8_t>(ethtool::kRingsTcpDataSplit).value_or(ethtool::kSplitUnknown);
  if (split == ethtool::kSplitEnabled) rings.header_split = HeaderSplit::on;
  if (split == ethtool::kSplitDisabled) rings.header_split = HeaderSplit::off;
}

void decode_channels(Bytes message, NicState& state) {
  const auto attributes = Attributes::of_generic(message);
  Channels& channels = state.channels.emplace();
  channels.rx = attributes.u32(ethtool::kChannelsRxCount).value_or(0);
  channels.rx_max = attributes.u32(ethtool::kChannelsRxMax).value_or(0);
  channels.combined = attributes.u32(ethtool::kChannelsCombinedCount).value_or(0);
  channels.combined_max = attributes.u32(ethtool::kChannelsCombinedMax).value_or(0);
}

void decode_features(Bytes message, NicState& state) {
  const auto active = Attributes::of_generic(message).nested(ethtool::kFeaturesActive);
  state.ntuple = bit(active, kNtupleFeature);
  state.gro_hw = bit(active, "rx-gro-hw");
}

void decode_rss(Bytes message, NicState& state) {
  const auto attributes = Attributes::of_generic(message);
  const auto table = attributes.binary(ethtool::kRssIndir);
  const auto key = attributes.binary(ethtool::kRssHkey);
  RssContext context;
  context.id = attributes.u32(ethtool::kRssContext).value_or(0);
  context.table.resize(table.size() / sizeof(std::uint32_t));
  if (!context.table.empty())
    std::memcpy(context.table.data(), table.data(), context.table.size() * sizeof(std::uint32_t));
  context.key.assign(key.begin(), key.end());
  state.rss.push_back(std::move(context));
}

void decode_queue(Bytes message, NicState& state) {
  const auto attributes = Attributes::of_generic(message);
  const auto id = attributes.u32(netdev::kQueueId);
  if (!id || attributes.u32(netdev::kQueueType) != netdev::kRx) return;
  QueueState queue;
  queue.id = *id;
  queue.napi_id = attributes.u32(netdev::kQueueNapiId).value_or(0);
  queue.dmabuf_id = attributes.u32(netdev::kQueueDmabuf);
  queue.io_uring = attributes.has(netdev::kQueueIoUring);
  queue.af_xdp = attributes.has(netdev::kQueueXsk);
  if (attributes.has(netdev::kQueueLease))
    queue.leased_to = attributes.nested(netdev::kQueueLease).u32(netdev::kLeaseIfindex).value_or(0);
  state.queues.push_back(queue);
}

void decode_pool(Bytes message, NicState& state) {
  const auto attributes = Attributes::of_generic(message);
  if (attributes.u32(netdev::kPoolIfindex) != state.index) return;
  PagePool pool;
  pool.id = attributes.uint(netdev::kPoolId).value_or(0);
  pool.napi_id = attributes.uint(netdev::kPoolNapiId).value_or(0);
  pool.inflight = attributes.uint(netdev::kPoolInflight).value_or(0);
  pool.inflight_bytes = attributes.uint(netdev::kPoolInflightBytes).value_or(0);
  pool.detach_time_s = attributes.uint(netdev::kPoolDetachTime);
  pool.dmabuf_id = attributes.u32(netdev::kPoolDmabuf);
  pool.io_uring = attributes.has(netdev::kPoolIoUring);
  state.pools.push_back(pool);
}

std::optional<std::uint32_t> decode_dmabuf_id(Bytes message) {
  return Attributes::of_generic(message).u32(netdev::kDmabufId);
}

Family decode_family(Bytes message) {
  const auto attributes = Attributes::of_generic(message);
  Family family;
  family.id = attributes.value<std::uint16_t>(CTRL_ATTR_FAMILY_ID).value_or(0);
  attributes.each_item(CTRL_ATTR_OPS, [&](const Attributes& op) {
    if (const auto command = op.u32(CTRL_ATTR_OP_ID)) family.commands.push_back(*command);
  });
  attributes.each_item(CTRL_ATTR_MCAST_GROUPS, [&](const Attributes& group) {
    if (const auto id = group.u32(CTRL_ATTR_MCAST_GRP_ID))
      family.groups.emplace_back(group.text(CTRL_ATTR_MCAST_GRP_NAME), *id);
  });
  return family;
}

}  // namespace landfall::nic
