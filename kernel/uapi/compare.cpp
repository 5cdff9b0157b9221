// SPDX-License-Identifier: Apache-2.0
// Compiled by compare.sh against newer kernel headers: it compiles if each fact is theirs.
#include <asm-generic/new_socket.h>
#include <linux/ethtool_netlink_generated.h>
#include <linux/io_uring.h>
#include <linux/io_uring/query.h>
#include <linux/netdev.h>
#include <linux/types.h>

#include <cstddef>
#include <string_view>

#include "dmabuf.h"
#include "landfall/uapi/devmem.hpp"
#include "landfall/uapi/ethtool.hpp"
#include "landfall/uapi/netdev.hpp"
#include "landfall/uapi/zcrx.hpp"

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
SAME(ethtool::kChannelsSet, ETHTOOL_MSG_CHANNELS_SET);
SAME(ethtool::kBitsetBit, ETHTOOL_A_BITSET_BITS_BIT);
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

SAME(zcrx::kRegisterIfq, IORING_REGISTER_ZCRX_IFQ);
SAME(zcrx::kRegisterCtrl, IORING_REGISTER_ZCRX_CTRL);
SAME(zcrx::kRegisterQuery, IORING_REGISTER_QUERY);
SAME(zcrx::kOpRecvZc, IORING_OP_RECV_ZC);
SAME(zcrx::kAreaShift, IORING_ZCRX_AREA_SHIFT);
SAME(zcrx::kAreaDmabuf, IORING_ZCRX_AREA_DMABUF);
SAME(zcrx::kRegionUser, IORING_MEM_REGION_TYPE_USER);
SAME(zcrx::kRegNoDevice, ZCRX_REG_NODEV);
SAME(zcrx::kEventAllocFail, ZCRX_EVENT_ALLOC_FAIL);
SAME(zcrx::kEventCopy, ZCRX_EVENT_COPY);
SAME(zcrx::kEventDescStats, ZCRX_EVENT_DESC_FLAG_STATS);
SAME(zcrx::kCtrlFlushRq, ZCRX_CTRL_FLUSH_RQ);
SAME(zcrx::kCtrlArmEvent, ZCRX_CTRL_ARM_EVENT);
SAME(zcrx::kQueryZcrx, IO_URING_QUERY_ZCRX);
SAME(zcrx::kFeatureRxPageSize, ZCRX_FEATURE_RX_PAGE_SIZE);
SAME(zcrx::kFeatureEvent, ZCRX_FEATURE_EVENT);
SAME(sizeof(zcrx::Rqe), sizeof(io_uring_zcrx_rqe));
SAME(sizeof(zcrx::Cqe), sizeof(io_uring_zcrx_cqe));
SAME(sizeof(zcrx::Area), sizeof(io_uring_zcrx_area_reg));
SAME(offsetof(zcrx::Area, token), offsetof(io_uring_zcrx_area_reg, rq_area_token));
SAME(offsetof(zcrx::Area, dmabuf_fd), offsetof(io_uring_zcrx_area_reg, dmabuf_fd));
SAME(sizeof(zcrx::Region), sizeof(io_uring_region_desc));
SAME(offsetof(zcrx::Region, flags), offsetof(io_uring_region_desc, flags));
SAME(sizeof(zcrx::Ifq), sizeof(io_uring_zcrx_ifq_reg));
SAME(offsetof(zcrx::Ifq, area), offsetof(io_uring_zcrx_ifq_reg, area_ptr));
SAME(offsetof(zcrx::Ifq, offsets), offsetof(io_uring_zcrx_ifq_reg, offsets));
SAME(offsetof(zcrx::Offsets, rqes), offsetof(io_uring_zcrx_offsets, rqes));
SAME(offsetof(zcrx::Ifq, zcrx_id), offsetof(io_uring_zcrx_ifq_reg, zcrx_id));
SAME(offsetof(zcrx::Ifq, event_desc), offsetof(io_uring_zcrx_ifq_reg, event_desc));
SAME(sizeof(zcrx::EventDesc), sizeof(zcrx_event_desc));
SAME(offsetof(zcrx::EventDesc, stats_offset), offsetof(zcrx_event_desc, stats_offset));
SAME(sizeof(zcrx::Stats), sizeof(zcrx_stats));
SAME(sizeof(zcrx::Ctrl), sizeof(zcrx_ctrl));
SAME(offsetof(zcrx::Ctrl, argument), offsetof(zcrx_ctrl, zc_arm_event));
SAME(sizeof(zcrx::QueryHeader), sizeof(io_uring_query_hdr));
SAME(offsetof(zcrx::QueryHeader, result), offsetof(io_uring_query_hdr, result));
SAME(sizeof(zcrx::Query), sizeof(io_uring_query_zcrx));
SAME(offsetof(zcrx::Query, features), offsetof(io_uring_query_zcrx, features));

}  // namespace
}  // namespace landfall::uapi
