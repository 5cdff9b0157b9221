/* SPDX-License-Identifier: GPL-2.0 */
/* What a port counts. */
#ifndef LF_STATS_H
#define LF_STATS_H

#include <linux/netdevice.h>
#include <linux/u64_stats_sync.h>

struct lf_port;

enum lf_rx_counter {
	LF_RX_PACKETS,	/* on the wire */
	LF_RX_BYTES,
	LF_RX_PAYLOAD_PROVIDER,	/* payload bytes, by where they went */
	LF_RX_PAYLOAD_PAGE,
	LF_RX_PAYLOAD_LINEAR,
	LF_RX_DROP_NO_BUFFER,	/* ring and pool are empty */
	LF_RX_DROP_OVERRUN,	/* no pause frames, ring full */
	LF_RX_PAUSE,	/* pause frames, in their place */
	LF_RX_DROP_RULE,	/* a rule says so */
	LF_RX_DROP_CSUM,	/* wrong, and behind the NIC nobody could tell */
	LF_RX_DROP_NO_SKB,
	LF_RX_ALLOC_FAIL,	/* the pool had no buffer */
	LF_RX_UNREACHABLE,	/* it had one that the CPU cannot write */
	LF_RX_CSUM_PARTIAL,
	LF_RX_CSUM_UNNECESSARY,
	LF_RX_CSUM_NONE,
	LF_RX_CSUM_BAD,
	LF_RX_GRO_PACKETS,	/* merged */
	LF_RX_GRO_BYTES,
	LF_RX_GRO_WIRE_PACKETS,
	LF_RX_GRO_WIRE_BYTES,
	LF_RX_COUNTERS,
};

enum lf_tx_counter {
	LF_TX_PACKETS,
	LF_TX_BYTES,
	LF_TX_DROPS,
	LF_TX_CSUM_NONE,
	LF_TX_NEEDS_CSUM,
	LF_TX_GSO_PACKETS,
	LF_TX_GSO_BYTES,
	LF_TX_GSO_WIRE_PACKETS,
	LF_TX_GSO_WIRE_BYTES,
	LF_TX_NETMEM_BYTES,
	LF_TX_STOP,
	LF_TX_WAKE,
	LF_TX_COUNTERS,
};

struct lf_rx_stats {
	struct u64_stats_sync	sync;
	u64_stats_t		count[LF_RX_COUNTERS];
};

struct lf_tx_stats {
	struct u64_stats_sync	sync;
	u64_stats_t		count[LF_TX_COUNTERS];
};

extern const struct netdev_stat_ops lf_stat_ops;
void lf_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats);
int lf_stats_count(struct lf_port *port);
void lf_stats_strings(struct lf_port *port, u8 *data);
void lf_stats_values(struct lf_port *port, u64 *data);
u64 lf_stats_rx_total(struct lf_port *port, enum lf_rx_counter which);

static inline void lf_rx_add(struct lf_rx_stats *stats, enum lf_rx_counter which, u64 n)
{
	u64_stats_update_begin(&stats->sync);
	u64_stats_add(&stats->count[which], n);
	u64_stats_update_end(&stats->sync);
}

static inline void lf_tx_add(struct lf_tx_stats *stats, enum lf_tx_counter which, u64 n)
{
	u64_stats_update_begin(&stats->sync);
	u64_stats_add(&stats->count[which], n);
	u64_stats_update_end(&stats->sync);
}

#endif /* LF_STATS_H */
