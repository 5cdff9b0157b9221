// SPDX-License-Identifier: GPL-2.0
/* What ethtool reads and sets: rings, channels, header split, flow control, counters. */
#include <linux/ethtool.h>

#include "lf_nic.h"

static void lf_get_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			     struct kernel_ethtool_ringparam *kernel_ring,
			     struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);

	ring->rx_max_pending = LF_MAX_RING;
	ring->tx_max_pending = LF_MAX_RING;
	ring->rx_pending = port->rx_ring;
	ring->tx_pending = atomic_read(&port->slot->tx_ring);
#ifdef LF_HAVE_NETDEV_CONFIG
	kernel_ring->hds_thresh_max = LF_HDS_THRESH_MAX;
	if (kernel_ring->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_UNKNOWN)
		kernel_ring->tcp_data_split = ETHTOOL_TCP_DATA_SPLIT_DISABLED;
#else
	kernel_ring->tcp_data_split = port->hds;
#endif
}

static int lf_set_ringparam(struct net_device *dev, struct ethtool_ringparam *ring,
			    struct kernel_ethtool_ringparam *kernel_ring,
			    struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);
	int err;

	if (ring->rx_pending < LF_MIN_RING || ring->tx_pending < LF_MIN_RING ||
	    ring->rx_mini_pending || ring->rx_jumbo_pending) {
		NL_SET_ERR_MSG(extack, "a ring has at least 16 descriptors");
		return -EINVAL;
	}
#ifndef LF_HAVE_NETDEV_CONFIG
	if (kernel_ring->tcp_data_split != ETHTOOL_TCP_DATA_SPLIT_ENABLED &&
	    lf_wants_provider(dev)) {
		NL_SET_ERR_MSG(extack, "a queue with a memory provider needs header split");
		return -EINVAL;
	}
#endif
	err = lf_set_ring(port, ring->rx_pending);
	if (err)
		return err;
	atomic_set(&port->slot->tx_ring, ring->tx_pending);
#ifndef LF_HAVE_NETDEV_CONFIG
	port->hds = kernel_ring->tcp_data_split == ETHTOOL_TCP_DATA_SPLIT_ENABLED ?
		    ETHTOOL_TCP_DATA_SPLIT_ENABLED : ETHTOOL_TCP_DATA_SPLIT_DISABLED;
#endif
	return 0;
}

static void lf_get_channels(struct net_device *dev, struct ethtool_channels *channels)
{
	channels->max_combined = lf_max_queues;
	channels->combined_count = dev->real_num_rx_queues;
}

static int lf_set_channels_op(struct net_device *dev, struct ethtool_channels *channels)
{
	struct lf_port *port = netdev_priv(dev);
	unsigned int count = channels->combined_count;

	if (!count || count > lf_max_queues || channels->rx_count || channels->tx_count ||
	    channels->other_count)
		return -EINVAL;
	if (count < dev->real_num_rx_queues &&
	    (!lf_rss_fits(port, count) || !lf_rules_fit(port, count)))
		return -EINVAL;
	return lf_set_channels(port, count);
}

static int lf_get_coalesce(struct net_device *dev, struct ethtool_coalesce *coal,
			   struct kernel_ethtool_coalesce *kernel_coal,
			   struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);

	coal->rx_coalesce_usecs = port->slot->rx_usecs;
	return 0;
}

static int lf_set_coalesce(struct net_device *dev, struct ethtool_coalesce *coal,
			   struct kernel_ethtool_coalesce *kernel_coal,
			   struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);

	if (coal->rx_coalesce_usecs > USEC_PER_SEC)
		return -EINVAL;
	WRITE_ONCE(port->slot->rx_usecs, coal->rx_coalesce_usecs);
	return 0;
}

static void lf_get_pauseparam(struct net_device *dev, struct ethtool_pauseparam *pause)
{
	struct lf_port *port = netdev_priv(dev);

	pause->rx_pause = true;
	pause->tx_pause = port->pause;
}

static int lf_set_pauseparam(struct net_device *dev, struct ethtool_pauseparam *pause)
{
	struct lf_port *port = netdev_priv(dev);

	if (pause->autoneg || !pause->rx_pause)
		return -EINVAL;
	WRITE_ONCE(port->pause, pause->tx_pause);
	return 0;
}

static void lf_get_pause_stats(struct net_device *dev, struct ethtool_pause_stats *stats)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_port *peer;

	stats->tx_pause_frames = lf_stats_rx_total(port, LF_RX_PAUSE);
	rcu_read_lock();
	peer = rcu_dereference(port->slot->peer->port);
	if (peer)
		stats->rx_pause_frames = lf_stats_rx_total(peer, LF_RX_PAUSE);
	rcu_read_unlock();
}

static int lf_get_link_ksettings(struct net_device *dev, struct ethtool_link_ksettings *link)
{
	struct lf_port *port = netdev_priv(dev);
	u32 rate = READ_ONCE(port->slot->rate_mbit);

	link->base.speed = rate ?: SPEED_100000;
	link->base.duplex = DUPLEX_FULL;
	link->base.port = PORT_OTHER;
	link->base.autoneg = AUTONEG_DISABLE;
	return 0;
}

static int lf_get_sset_count(struct net_device *dev, int set)
{
	return set == ETH_SS_STATS ? lf_stats_count(netdev_priv(dev)) : -EOPNOTSUPP;
}

static void lf_get_strings(struct net_device *dev, u32 set, u8 *data)
{
	if (set == ETH_SS_STATS)
		lf_stats_strings(netdev_priv(dev), data);
}

static void lf_get_ethtool_stats(struct net_device *dev, struct ethtool_stats *stats, u64 *data)
{
	lf_stats_values(netdev_priv(dev), data);
}

#ifdef LF_HAVE_RXFH_FIELDS

static u32 lf_get_rx_ring_count(struct net_device *dev)
{
	return dev->real_num_rx_queues;
}

static int lf_get_rxfh_fields(struct net_device *dev, struct ethtool_rxfh_fields *fields)
{
	u64 data;
	int err;

	err = lf_hash_fields_get(netdev_priv(dev), fields->flow_type, &data);
	if (!err)
		fields->data = data;
	return err;
}

static int lf_set_rxfh_fields(struct net_device *dev, const struct ethtool_rxfh_fields *fields,
			      struct netlink_ext_ack *extack)
{
	return lf_hash_fields_set(netdev_priv(dev), fields->flow_type, fields->data);
}

#endif

const struct ethtool_ops lf_ethtool_ops = {
	.supported_coalesce_params = ETHTOOL_COALESCE_RX_USECS,
#ifdef LF_HAVE_NETDEV_CONFIG
	.supported_ring_params	= ETHTOOL_RING_USE_TCP_DATA_SPLIT | ETHTOOL_RING_USE_HDS_THRS,
	/* These reach core functions that want the lock of all devices. */
	.op_needs_rtnl		= ETHTOOL_OP_NEEDS_RTNL_SCHANNELS | ETHTOOL_OP_NEEDS_RTNL_GLINK,
#else
	.supported_ring_params	= ETHTOOL_RING_USE_TCP_DATA_SPLIT,
#endif
	.rxfh_per_ctx_key	= true,
	.cap_rss_rxnfc_adds	= true,
	.rxfh_indir_space	= LF_RSS_ENTRIES,
	.rxfh_key_space		= LF_RSS_KEY_BYTES,
	.rxfh_max_num_contexts	= LF_RSS_CONTEXTS,
	.get_link		= ethtool_op_get_link,
	.get_link_ksettings	= lf_get_link_ksettings,
	.get_ringparam		= lf_get_ringparam,
	.set_ringparam		= lf_set_ringparam,
	.get_channels		= lf_get_channels,
	.set_channels		= lf_set_channels_op,
	.get_coalesce		= lf_get_coalesce,
	.set_coalesce		= lf_set_coalesce,
	.get_pause_stats	= lf_get_pause_stats,
	.get_pauseparam		= lf_get_pauseparam,
	.set_pauseparam		= lf_set_pauseparam,
	.get_sset_count		= lf_get_sset_count,
	.get_strings		= lf_get_strings,
	.get_ethtool_stats	= lf_get_ethtool_stats,
	.get_rxnfc		= lf_get_rxnfc,
	.set_rxnfc		= lf_set_rxnfc,
	.get_rxfh_key_size	= lf_rxfh_key_size,
	.get_rxfh_indir_size	= lf_rxfh_indir_size,
	.get_rxfh		= lf_get_rxfh,
	.set_rxfh		= lf_set_rxfh,
	.create_rxfh_context	= lf_create_rxfh_context,
	.modify_rxfh_context	= lf_modify_rxfh_context,
	.remove_rxfh_context	= lf_remove_rxfh_context,
#ifdef LF_HAVE_RXFH_FIELDS
	.get_rx_ring_count	= lf_get_rx_ring_count,
	.get_rxfh_fields	= lf_get_rxfh_fields,
	.set_rxfh_fields	= lf_set_rxfh_fields,
#endif
	.get_ts_info		= ethtool_op_get_ts_info,
};
