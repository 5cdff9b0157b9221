// SPDX-License-Identifier: GPL-2.0
/* Counters: per queue for netlink, as one list for ethtool -S, in sum for the link. */
#include <linux/ethtool.h>

#include "lf_nic.h"

#define LF_ONE(name)	+ 1
enum {
	LF_RX_COUNT = 0 LF_RX_COUNTERS(LF_ONE),
	LF_TX_COUNT = 0 LF_TX_COUNTERS(LF_ONE),
};

struct lf_rx_values {
#define LF_VALUE(name)	u64 name;
	LF_RX_COUNTERS(LF_VALUE)
};

struct lf_tx_values {
	LF_TX_COUNTERS(LF_VALUE)
};

static void lf_rx_read(struct lf_port *port, unsigned int idx, struct lf_rx_values *v)
{
	struct lf_rxq *rxq = &port->rxq[idx];
	const struct lf_rx_stats *stats = &rxq->stats;
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&stats->sync);
#define LF_READ(name)	v->name = u64_stats_read(&stats->name);
		LF_RX_COUNTERS(LF_READ)
	} while (u64_stats_fetch_retry(&stats->sync, start));

	/* These two are counted by senders. */
	v->drop_overrun += atomic64_read(&rxq->overruns);
	v->drop_rule += atomic64_read(&rxq->rule_drops);
}

static void lf_tx_read(struct lf_port *port, unsigned int idx, struct lf_tx_values *v)
{
	const struct lf_tx_stats *stats = &port->tx_stats[idx];
	unsigned int start;

	do {
		start = u64_stats_fetch_begin(&stats->sync);
		LF_TX_COUNTERS(LF_READ)
	} while (u64_stats_fetch_retry(&stats->sync, start));
}

static void lf_rx_sum(struct lf_port *port, unsigned int from, struct lf_rx_values *sum)
{
	struct lf_rx_values v;
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = from; i < lf_max_queues; i++) {
		lf_rx_read(port, i, &v);
#define LF_ADD(name)	sum->name += v.name;
		LF_RX_COUNTERS(LF_ADD)
	}
}

static void lf_tx_sum(struct lf_port *port, unsigned int from, struct lf_tx_values *sum)
{
	struct lf_tx_values v;
	unsigned int i;

	memset(sum, 0, sizeof(*sum));
	for (i = from; i < lf_max_queues; i++) {
		lf_tx_read(port, i, &v);
		LF_TX_COUNTERS(LF_ADD)
	}
}

static u64 lf_rx_drops(const struct lf_rx_values *v)
{
	return v->drop_no_buffer + v->drop_overrun + v->drop_rule + v->drop_csum + v->drop_no_skb;
}

void lf_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_rx_values rx;
	struct lf_tx_values tx;

	lf_rx_sum(port, 0, &rx);
	lf_tx_sum(port, 0, &tx);
	stats->rx_packets = rx.packets;
	stats->rx_bytes = rx.bytes;
	stats->rx_dropped = lf_rx_drops(&rx) - rx.drop_overrun;
	stats->rx_missed_errors = rx.drop_overrun;
	stats->rx_crc_errors = 0;
	stats->tx_packets = tx.packets;
	stats->tx_bytes = tx.bytes;
	stats->tx_dropped = tx.drops;
}

static void lf_qstats_rx(const struct lf_rx_values *v, struct netdev_queue_stats_rx *stats)
{
	stats->packets = v->packets;
	stats->bytes = v->bytes;
	stats->alloc_fail = v->alloc_fail;
	stats->hw_drops = lf_rx_drops(v);
	stats->hw_drop_overruns = v->drop_overrun;
	stats->csum_unnecessary = v->csum_unnecessary;
	stats->csum_none = v->csum_none;
	stats->csum_bad = v->csum_bad;
	stats->hw_gro_packets = v->gro_packets;
	stats->hw_gro_bytes = v->gro_bytes;
	stats->hw_gro_wire_packets = v->gro_wire_packets;
	stats->hw_gro_wire_bytes = v->gro_wire_bytes;
}

static void lf_qstats_tx(const struct lf_tx_values *v, struct netdev_queue_stats_tx *stats)
{
	stats->packets = v->packets;
	stats->bytes = v->bytes;
	stats->hw_drops = v->drops;
	stats->csum_none = v->csum_none;
	stats->needs_csum = v->needs_csum;
	stats->hw_gso_packets = v->gso_packets;
	stats->hw_gso_bytes = v->gso_bytes;
	stats->hw_gso_wire_packets = v->gso_wire_packets;
	stats->hw_gso_wire_bytes = v->gso_wire_bytes;
	stats->stop = v->stop;
	stats->wake = v->wake;
}

static void lf_get_queue_stats_rx(struct net_device *dev, int idx,
				  struct netdev_queue_stats_rx *stats)
{
	struct lf_rx_values v;

	lf_rx_read(netdev_priv(dev), idx, &v);
	lf_qstats_rx(&v, stats);
}

static void lf_get_queue_stats_tx(struct net_device *dev, int idx,
				  struct netdev_queue_stats_tx *stats)
{
	struct lf_tx_values v;

	lf_tx_read(netdev_priv(dev), idx, &v);
	lf_qstats_tx(&v, stats);
}

/* What queues counted that do not exist any more. */
static void lf_get_base_stats(struct net_device *dev, struct netdev_queue_stats_rx *rx,
			      struct netdev_queue_stats_tx *tx)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_rx_values r;
	struct lf_tx_values t;

	lf_rx_sum(port, dev->real_num_rx_queues, &r);
	lf_tx_sum(port, dev->real_num_tx_queues, &t);
	lf_qstats_rx(&r, rx);
	lf_qstats_tx(&t, tx);
}

const struct netdev_stat_ops lf_stat_ops = {
	.get_queue_stats_rx	= lf_get_queue_stats_rx,
	.get_queue_stats_tx	= lf_get_queue_stats_tx,
	.get_base_stats		= lf_get_base_stats,
};

/* ethtool -S: sums, faults, then the existing queues. */
int lf_stats_count(struct lf_port *port)
{
	unsigned int channels = port->dev->real_num_rx_queues;

	return (1 + channels) * (LF_RX_COUNT + LF_TX_COUNT) + LF_FAULTS;
}

void lf_stats_strings(struct lf_port *port, u8 *data)
{
	unsigned int i, id;

#define LF_RX_SUM_NAME(name)	ethtool_puts(&data, "rx_" #name);
	LF_RX_COUNTERS(LF_RX_SUM_NAME)
#define LF_TX_SUM_NAME(name)	ethtool_puts(&data, "tx_" #name);
	LF_TX_COUNTERS(LF_TX_SUM_NAME)
	for (id = 0; id < LF_FAULTS; id++)
		ethtool_sprintf(&data, "fault_%s", lf_fault_name(id));
	for (i = 0; i < port->dev->real_num_rx_queues; i++) {
#define LF_RX_NAME(name)	ethtool_sprintf(&data, "rx%u_" #name, i);
		LF_RX_COUNTERS(LF_RX_NAME)
#define LF_TX_NAME(name)	ethtool_sprintf(&data, "tx%u_" #name, i);
		LF_TX_COUNTERS(LF_TX_NAME)
	}
}

void lf_stats_values(struct lf_port *port, u64 *data)
{
	struct lf_rx_values r;
	struct lf_tx_values t;
	unsigned int i, id;

	lf_rx_sum(port, 0, &r);
	lf_tx_sum(port, 0, &t);
#define LF_RX_PUT(name)	*data++ = r.name;
	LF_RX_COUNTERS(LF_RX_PUT)
#define LF_TX_PUT(name)	*data++ = t.name;
	LF_TX_COUNTERS(LF_TX_PUT)
	for (id = 0; id < LF_FAULTS; id++)
		*data++ = atomic64_read(&port->slot->fault[id].hits);
	for (i = 0; i < port->dev->real_num_rx_queues; i++) {
		lf_rx_read(port, i, &r);
		lf_tx_read(port, i, &t);
		LF_RX_COUNTERS(LF_RX_PUT)
		LF_TX_COUNTERS(LF_TX_PUT)
	}
}
