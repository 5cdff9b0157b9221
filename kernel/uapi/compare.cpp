// SPDX-License-Identifier: Apache-2.0
// Compiled by compare.sh against newer kernel headers: it compiles if each fact is theirs.
#include <asm-generic/new_socket.h>
#include <linux/ethtool_netlink_generated.h>
#include <linux/netdev.h>
#include <linux/types.h>

#include <cstddef>
#include <string_view>

#include "dmabuf.h"
#include "landfall/uapi/devmem.hpp"
#include "landfall/uapi/ethtool.hpp"
#include "landfall/uapi/netdev.hpp"

namespace landfall::uapi {
namespace {

#define SAME(ours, theirs) static_assert(static_cast<int>(ours) == static_cast<int>(theirs))

static_assert(std::string_view{netdev::kFamily} == NETDEV_FAMILY_NAME);
SAME(netdev::kPagePoolGet, NETDEV_CMD_PAGE_POOL_GET);
SAME(netdev::kQueueGet, NETDEV_CMD_QUEUE_GET);
SAME(netdev::kQstatsGet, NETDEV_CMD_QSTATS_GET);
SAME(netdev::kBindRx, NETDEV_CMD_BIND_RX);
SAME(netdev::kBindTx, NETDEV_CMD_BIND_TX);
SAME(netdev::kQueueCreate, NETDEV_CMD_QUEUE_CREATE);
SAME(netdev::kRx, NETDEV_QUEUE_TYPE_RX);
SAME(netdev::kTx, NETDEV_QUEUE_TYPE_TX);
SAME(netdev::kQueueId, NETDEV_A_QUEUE_ID);
SAME(netdev::kQueueIfindex, NETDEV_A_QUEUE_IFINDEX);
SAME(netdev::kQueueType, NETDEV_A_QUEUE_TYPE);
SAME(netdev::kQueueNapiId, NETDEV_A_QUEUE_NAPI_ID);
SAME(netdev::kQueueDmabuf, NETDEV_A_QUEUE_DMABUF);
SAME(netdev::kQueueIoUring, NETDEV_A_QUEUE_IO_URING);
SAME(netdev::kQueueXsk, NETDEV_A_QUEUE_XSK);
SAME(netdev::kQueueLease, NETDEV_A_QUEUE_LEASE);
SAME(netdev::kLeaseIfindex, NETDEV_A_LEASE_IFINDEX);
SAME(netdev::kPoolId, NETDEV_A_PAGE_POOL_ID);
SAME(netdev::kPoolIfindex, NETDEV_A_PAGE_POOL_IFINDEX);
SAME(netdev::kPoolNapiId, NETDEV_A_PAGE_POOL_NAPI_ID);
SAME(netdev::kPoolInflight, NETDEV_A_PAGE_POOL_INFLIGHT);
SAME(netdev::kPoolInflightBytes, NETDEV_A_PAGE_POOL_INFLIGHT_MEM);
SAME(netdev::kPoolDetachTime, NETDEV_A_PAGE_POOL_DETACH_TIME);
SAME(netdev::kPoolDmabuf, NETDEV_A_PAGE_POOL_DMABUF);
SAME(netdev::kPoolIoUring, NETDEV_A_PAGE_POOL_IO_URING);
SAME(netdev::kDmabufIfindex, NETDEV_A_DMABUF_IFINDEX);
SAME(netdev::kDmabufQueues, NETDEV_A_DMABUF_QUEUES);
SAME(netdev::kDmabufFd, NETDEV_A_DMABUF_FD);
SAME(netdev::kDmabufId, NETDEV_A_DMABUF_ID);
SAME(netdev::kDmabufRxPageSize, NETDEV_A_DMABUF_RX_PAGE_SIZE);

static_assert(std::string_view{ethtool::kFamily} == ETHTOOL_GENL_NAME);
SAME(ethtool::kFeaturesGet, ETHTOOL_MSG_FEATURES_GET);
SAME(ethtool::kFeaturesSet, ETHTOOL_MSG_FEATURES_SET);
SAME(ethtool::kRingsGet, ETHTOOL_MSG_RINGS_GET);
SAME(ethtool::kRingsSet, ETHTOOL_MSG_RINGS_SET);
SAME(ethtool::kChannelsGet, ETHTOOL_MSG_CHANNELS_GET);
SAME(ethtool::kRssGet, ETHTOOL_MSG_RSS_GET);
SAME(ethtool::kHeaderDevIndex, ETHTOOL_A_HEADER_DEV_INDEX);
SAME(ethtool::kHeaderDevName, ETHTOOL_A_HEADER_DEV_NAME);
SAME(ethtool::kHeaderFlags, ETHTOOL_A_HEADER_FLAGS);
SAME(ethtool::kHeader, ETHTOOL_A_RINGS_HEADER);
SAME(ethtool::kHeader, ETHTOOL_A_CHANNELS_HEADER);
SAME(ethtool::kHeader, ETHTOOL_A_FEATURES_HEADER);
SAME(ethtool::kHeader, ETHTOOL_A_RSS_HEADER);
SAME(ethtool::kRingsRxMax, ETHTOOL_A_RINGS_RX_MAX);
SAME(ethtool::kRingsRx, ETHTOOL_A_RINGS_RX);
SAME(ethtool::kRingsRxBufLen, ETHTOOL_A_RINGS_RX_BUF_LEN);
SAME(ethtool::kRingsTcpDataSplit, ETHTOOL_A_RINGS_TCP_DATA_SPLIT);
SAME(ethtool::kRingsHdsThresh, ETHTOOL_A_RINGS_HDS_THRESH);
SAME(ethtool::kRingsHdsThreshMax, ETHTOOL_A_RINGS_HDS_THRESH_MAX);
SAME(ethtool::kSplitUnknown, ETHTOOL_TCP_DATA_SPLIT_UNKNOWN);
SAME(ethtool::kSplitDisabled, ETHTOOL_TCP_DATA_SPLIT_DISABLED);
SAME(ethtool::kSplitEnabled, ETHTOOL_TCP_DATA_SPLIT_ENABLED);
SAME(ethtool::kChannelsRxMax, ETHTOOL_A_CHANNELS_RX_MAX);
SAME(ethtool::kChannelsCombinedMax, ETHTOOL_A_CHANNELS_COMBINED_MAX);
SAME(ethtool::kChannelsRxCount, ETHTOOL_A_CHANNELS_RX_COUNT);
SAME(ethtool::kChannelsCombinedCount, ETHTOOL_A_CHANNELS_COMBINED_COUNT);
SAME(ethtool::kFeaturesHw, ETHTOOL_A_FEATURES_HW);
SAME(ethtool::kFeaturesWanted, ETHTOOL_A_FEATURES_WANTED);
SAME(ethtool::kFeaturesActive, ETHTOOL_A_FEATURES_ACTIVE);
SAME(ethtool::kBitsetNomask, ETHTOOL_A_BITSET_NOMASK);
SAME(ethtool::kBitsetBits, ETHTOOL_A_BITSET_BITS);
SAME(ethtool::kBitName, ETHTOOL_A_BITSET_BIT_NAME);
SAME(ethtool::kBitValue, ETHTOOL_A_BITSET_BIT_VALUE);
SAME(ethtool::kRssContext, ETHTOOL_A_RSS_CONTEXT);
SAME(ethtool::kRssHfunc, ETHTOOL_A_RSS_HFUNC);
SAME(ethtool::kRssIndir, ETHTOOL_A_RSS_INDIR);
SAME(ethtool::kRssHkey, ETHTOOL_A_RSS_HKEY);

SAME(devmem::kScmLinear, SCM_DEVMEM_LINEAR);
SAME(devmem::kScmDmabuf, SCM_DEVMEM_DMABUF);
SAME(devmem::kSoDontneed, SO_DEVMEM_DONTNEED);
SAME(sizeof(devmem::DmabufCmsg), sizeof(dmabuf_cmsg));
SAME(offsetof(devmem::DmabufCmsg, frag_offset), offsetof(dmabuf_cmsg, frag_offset));
SAME(offsetof(devmem::DmabufCmsg, frag_size), offsetof(dmabuf_cmsg, frag_size));
SAME(offsetof(devmem::DmabufCmsg, frag_token), offsetof(dmabuf_cmsg, frag_token));
SAME(offsetof(devmem::DmabufCmsg, dmabuf_id), offsetof(dmabuf_cmsg, dmabuf_id));
SAME(sizeof(devmem::DmabufToken), sizeof(dmabuf_token));
SAME(offsetof(devmem::DmabufToken, token_count), offsetof(dmabuf_token, token_count));

}  // namespace
}  // namespace landfall::uapi
