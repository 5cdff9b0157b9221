// SPDX-License-Identifier: GPL-2.0
/* Counters: per queue for netlink, as one list for ethtool -S, in sum for the link. */
#include <linux/ethtool.h>

#include "lf_nic.h"

static const char * const lf_rx_names[LF_RX_COUNTERS] = {
	[LF_RX_PACKETS] = "packets",
	[LF_RX_BYTES] = "bytes",
	[LF_RX_PAYLOAD_PROVIDER] = "payload_provider",
	[LF_RX_PAYLOAD_PAGE] = "payload_page",
	[LF_RX_PAYLOAD_LINEAR] = "payload_linear",
	[LF_RX_DROP_NO_BUFFER] = "drop_no_buffer",
	[LF_RX_DROP_OVERRUN] = "drop_overrun",
	[LF_RX_PAUSE] = "pause",
	[LF_RX_DROP_RULE] = "drop_rule",
	[LF_RX_DROP_CSUM] = "drop_csum",
	[LF_RX_DROP_NO_SKB] = "drop_no_skb",
	[LF_RX_ALLOC_FAIL] = "alloc_fail",
	[LF_RX_UNREACHABLE] = "unreachable",
	[LF_RX_CSUM_PARTIAL] = "csum_partial",
	[LF_RX_CSUM_UNNECESSARY] = "csum_unnecessary",
	[LF_RX_CSUM_NONE] = "csum_none",
	[LF_RX_CSUM_BAD] = "csum_bad",
	[LF_RX_GRO_PACKETS] = "gro_packets",
	[LF_RX_GRO_BYTES] = "gro_bytes",
	[LF_RX_GRO_WIRE_PACKETS] = "gro_wire_packets",
	[LF_RX_GRO_WIRE_BYTES] = "gro_wire_bytes",
};

static const char * const lf_tx_names[LF_TX_COUNTERS] = {
	[LF_TX_PACKETS] = "packets",
	[LF_TX_BYTES] = "bytes",
	[LF_TX_DROPS] = "drops",
	[LF_TX_CSUM_NONE] = "csum_none",
	[LF_TX_NEEDS_CSUM] = "needs_csum",
	[LF_TX_GSO_PACKETS] = "gso_packets",
	[LF_TX_GSO_BYTES] = "gso_bytes",
	[LF_TX_GSO_WIRE_PACKETS] = "gso_wire_packets",
	[LF_TX_GSO_WIRE_BYTES] = "gso_wire_bytes",
	[LF_TX_NETMEM_BYTES] = "netmem_bytes",
	[LF_TX_STOP] = "stop",
	[LF_TX_WAKE] = "wake",
};

/* Adds what a queue counted. */
static void lf_rx_read(struct lf_port *port, unsigned int idx, u64 *sum)
{
	struct lf_rxq *rxq = &port->rxq[idx];
	const struct lf_rx_stats *stats = &rxq->stats;
	u64 now[LF_RX_COUNTERS];
	unsigned int start, i;

	do {
		start = u64_stats_fetch_begin(&stats->sync);
		for (i = 0; i < LF_RX_COUNTERS; i++)
			now[i] = u64_stats_read(&stats->count[i]);
	} while (u64_stats_fetch_retry(&stats->sync, start));

	/* Senders count these. */
	now[LF_RX_DROP_OVERRUN] = atomic64_read(&rxq->overruns);
	now[LF_RX_PAUSE] = atomic64_read(&rxq->pauses);
	now[LF_RX_DROP_RULE] = atomic64_read(&rxq->rule_drops);
	for (i = 0; i < LF_RX_COUNTERS; i++)
		sum[i] += now[i];
}

static void lf_tx_read(struct lf_port *port, unsigned int idx, u64 *sum)
{
	const struct lf_tx_stats *stats = &port->tx_stats[idx];
	u64 now[LF_TX_COUNTERS];
	unsigned int start, i;

	do {
		start = u64_stats_fetch_begin(&stats->sync);
		for (i = 0; i < LF_TX_COUNTERS; i++)
			now[i] = u64_stats_read(&stats->count[i]);
	} while (u64_stats_fetch_retry(&stats->sync, start));

	for (i = 0; i < LF_TX_COUNTERS; i++)
		sum[i] += now[i];
}

static void lf_rx_sum(struct lf_port *port, unsigned int from, u64 *sum)
{
	unsigned int i;

	for (i = from; i < lf_max_queues; i++)
		lf_rx_read(port, i, sum);
}

static void lf_tx_sum(struct lf_port *port, unsigned int from, u64 *sum)
{
	unsigned int i;

	for (i = from; i < lf_max_queues; i++)
		lf_tx_read(port, i, sum);
}

u64 lf_stats_rx_total(struct lf_port *port, enum lf_rx_counter which)
{
	u64 rx[LF_RX_COUNTERS] = {};

	lf_rx_sum(port, 0, rx);
	return rx[which];
}

static u64 lf_rx_drops(const u64 *rx)
{
	return rx[LF_RX_DROP_NO_BUFFER] + rx[LF_RX_DROP_OVERRUN] + rx[LF_RX_DROP_RULE] +
	       rx[LF_RX_DROP_CSUM] + rx[LF_RX_DROP_NO_SKB];
}

void lf_get_stats64(struct net_device *dev, struct rtnl_link_stats64 *stats)
{
	struct lf_port *port = netdev_priv(dev);
	u64 rx[LF_RX_COUNTERS] = {}, tx[LF_TX_COUNTERS] = {};

	lf_rx_sum(port, 0, rx);
	lf_tx_sum(port, 0, tx);
	stats->rx_packets = rx[LF_RX_PACKETS];
	stats->rx_bytes = rx[LF_RX_BYTES];
	stats->rx_dropped = lf_rx_drops(rx) - rx[LF_RX_DROP_OVERRUN];
	stats->rx_missed_errors = rx[LF_RX_DROP_OVERRUN];
	stats->tx_packets = tx[LF_TX_PACKETS];
	stats->tx_bytes = tx[LF_TX_BYTES];
	stats->tx_dropped = tx[LF_TX_DROPS];
}

static void lf_qstats_rx(const u64 *rx, struct netdev_queue_stats_rx *stats)
{
	stats->packets = rx[LF_RX_PACKETS];
	stats->bytes = rx[LF_RX_BYTES];
	stats->alloc_fail = rx[LF_RX_ALLOC_FAIL];
	stats->hw_drops = lf_rx_drops(rx);
	stats->hw_drop_overruns = rx[LF_RX_DROP_OVERRUN];
	stats->csum_unnecessary = rx[LF_RX_CSUM_UNNECESSARY];
	stats->csum_none = rx[LF_RX_CSUM_NONE];
	stats->csum_bad = rx[LF_RX_CSUM_BAD];
	stats->hw_gro_packets = rx[LF_RX_GRO_PACKETS];
	stats->hw_gro_bytes = rx[LF_RX_GRO_BYTES];
	stats->hw_gro_wire_packets = rx[LF_RX_GRO_WIRE_PACKETS];
	stats->hw_gro_wire_bytes = rx[LF_RX_GRO_WIRE_BYTES];
}

static void lf_qstats_tx(const u64 *tx, struct netdev_queue_stats_tx *stats)
{
	stats->packets = tx[LF_TX_PACKETS];
	stats->bytes = tx[LF_TX_BYTES];
	stats->hw_drops = tx[LF_TX_DROPS];
	stats->csum_none = tx[LF_TX_CSUM_NONE];
	stats->needs_csum = tx[LF_TX_NEEDS_CSUM];
	stats->hw_gso_packets = tx[LF_TX_GSO_PACKETS];
	stats->hw_gso_bytes = tx[LF_TX_GSO_BYTES];
	stats->hw_gso_wire_packets = tx[LF_TX_GSO_WIRE_PACKETS];
	stats->hw_gso_wire_bytes = tx[LF_TX_GSO_WIRE_BYTES];
	stats->stop = tx[LF_TX_STOP];
	stats->wake = tx[LF_TX_WAKE];
}

static void lf_get_queue_stats_rx(struct net_device *dev, int idx,
				  struct netdev_queue_stats_rx *stats)
{
	u64 rx[LF_RX_COUNTERS] = {};

	lf_rx_read(netdev_priv(dev), idx, rx);
	lf_qstats_rx(rx, stats);
}

static void lf_get_queue_stats_tx(struct net_device *dev, int idx,
				  struct netdev_queue_stats_tx *stats)
{
	u64 tx[LF_TX_COUNTERS] = {};

	lf_tx_read(netdev_priv(dev), idx, tx);
	lf_qstats_tx(tx, stats);
}

/* What queues counted that do not exist any more. */
static void lf_get_base_stats(struct net_device *dev, struct netdev_queue_stats_rx *rx_stats,
			      struct netdev_queue_stats_tx *tx_stats)
{
	struct lf_port *port = netdev_priv(dev);
	u64 rx[LF_RX_COUNTERS] = {}, tx[LF_TX_COUNTERS] = {};

	lf_rx_sum(port, dev->real_num_rx_queues, rx);
	lf_tx_sum(port, dev->real_num_tx_queues, tx);
	lf_qstats_rx(rx, rx_stats);
	lf_qstats_tx(tx, tx_stats);
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

	return (1 + channels) * (LF_RX_COUNTERS + LF_TX_COUNTERS) + LF_FAULTS;
}

void lf_stats_strings(struct lf_port *port, u8 *data)
{
	unsigned int i, queue;

	for (i = 0; i < LF_RX_COUNTERS; i++)
		ethtool_sprintf(&data, "rx_%s", lf_rx_names[i]);
	for (i = 0; i < LF_TX_COUNTERS; i++)
		ethtool_sprintf(&data, "tx_%s", lf_tx_names[i]);
	for (i = 0; i < LF_FAULTS; i++)
		ethtool_sprintf(&data, "fault_%s", lf_fault_name(i));
	for (queue = 0; queue < port->dev->real_num_rx_queues; queue++) {
		for (i = 0; i < LF_RX_COUNTERS; i++)
			ethtool_sprintf(&data, "rx%u_%s", queue, lf_rx_names[i]);
		for (i = 0; i < LF_TX_COUNTERS; i++)
			ethtool_sprintf(&data, "tx%u_%s", queue, lf_tx_names[i]);
	}
}

void lf_stats_values(struct lf_port *port, u64 *data)
{
	unsigned int i;

	memset(data, 0, lf_stats_count(port) * sizeof(*data));
	lf_rx_sum(port, 0, data);
	data += LF_RX_COUNTERS;
	lf_tx_sum(port, 0, data);
	data += LF_TX_COUNTERS;
	for (i = 0; i < LF_FAULTS; i++)
		*data++ = atomic64_read(&port->slot->fault[i].hits);
	for (i = 0; i < port->dev->real_num_rx_queues; i++) {
		lf_rx_read(port, i, data);
		data += LF_RX_COUNTERS;
		lf_tx_read(port, i, data);
		data += LF_TX_COUNTERS;
	}
}
