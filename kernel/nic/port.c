// SPDX-License-Identifier: GPL-2.0
/* A port as a network device: creation, opening, closing, removal. */
#include <linux/rtnetlink.h>

#include "lf_nic.h"

static void lf_update_carrier(struct lf_slot *slot)
{
	struct lf_port *a, *b;
	bool up;

	rcu_read_lock();
	a = rcu_dereference(slot->port);
	b = rcu_dereference(slot->peer->port);
	up = a && b && netif_running(a->dev) && netif_running(b->dev);
	if (a)
		up ? netif_carrier_on(a->dev) : netif_carrier_off(a->dev);
	if (b)
		up ? netif_carrier_on(b->dev) : netif_carrier_off(b->dev);
	rcu_read_unlock();
}

static int lf_open(struct net_device *dev)
{
	struct lf_port *port = netdev_priv(dev);
	int err;

	err = lf_queues_start(port, 0, dev->real_num_rx_queues);
	if (err)
		return err;
	netif_tx_start_all_queues(dev);
	lf_update_carrier(port->slot);
	return 0;
}

static int lf_stop(struct net_device *dev)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_port *peer;

	/* netif_running() is false by now, also for the peer that looks. */
	netif_carrier_off(dev);
	rcu_read_lock();
	peer = rcu_dereference(port->slot->peer->port);
	if (peer)
		netif_carrier_off(peer->dev);
	rcu_read_unlock();

	netif_tx_disable(dev);
	lf_queues_stop(port, 0, dev->real_num_rx_queues);
	return 0;
}

static int lf_change_mtu(struct net_device *dev, int mtu)
{
	WRITE_ONCE(dev->mtu, mtu);
	return 0;
}

static netdev_features_t lf_features_check(struct sk_buff *skb, struct net_device *dev,
					   netdev_features_t features)
{
	/* The segmentation engine edits plain TCP headers only. */
	if (skb_is_gso(skb) && skb->encapsulation)
		return features & ~NETIF_F_GSO_MASK;
	return features;
}

static const struct net_device_ops lf_netdev_ops = {
	.ndo_open		= lf_open,
	.ndo_stop		= lf_stop,
	.ndo_start_xmit		= lf_start_xmit,
	.ndo_features_check	= lf_features_check,
	.ndo_get_stats64	= lf_get_stats64,
	.ndo_change_mtu		= lf_change_mtu,
	.ndo_set_mac_address	= eth_mac_addr,
	.ndo_validate_addr	= eth_validate_addr,
};

static int lf_port_alloc(struct lf_port *port)
{
	unsigned int i;
	int err;

	port->rxq = kvcalloc(lf_max_queues, sizeof(*port->rxq), GFP_KERNEL);
	port->tx_stats = kvcalloc(lf_max_queues, sizeof(*port->tx_stats), GFP_KERNEL);
	if (!port->rxq || !port->tx_stats)
		return -ENOMEM;

	for (i = 0; i < lf_max_queues; i++) {
		struct lf_rxq *rxq = &port->rxq[i];

		rxq->port = port;
		rxq->idx = i;
		init_llist_head(&rxq->wire);
		__skb_queue_head_init(&rxq->arrived);
		hrtimer_setup(&rxq->timer, lf_rx_timer, CLOCK_MONOTONIC, HRTIMER_MODE_ABS);
		u64_stats_init(&rxq->stats.sync);
		u64_stats_init(&port->tx_stats[i].sync);
	}

	err = lf_rss_init(port);
	if (!err)
		err = lf_rules_init(port);
	return err;
}

static void lf_port_free(struct lf_port *port)
{
	lf_rules_free(port);
	lf_rss_free(port);
	kvfree(port->tx_stats);
	kvfree(port->rxq);
	free_netdev(port->dev);
}

static void lf_setup_features(struct net_device *dev)
{
	dev->hw_features = NETIF_F_SG | NETIF_F_HW_CSUM | NETIF_F_TSO | NETIF_F_TSO6 |
			   NETIF_F_TSO_ECN | NETIF_F_RXCSUM | NETIF_F_RXHASH |
			   NETIF_F_NTUPLE | NETIF_F_GRO_HW;
	dev->features = dev->hw_features | NETIF_F_HIGHDMA;
	dev->priv_flags |= IFF_LIVE_ADDR_CHANGE;
	dev->min_mtu = ETH_MIN_MTU;
	dev->max_mtu = LF_MAX_MTU;
	dev->mtu = lf_mtu;
#ifdef LF_HAVE_NETMEM_TX
	dev->netmem_tx = NETMEM_TX_DMA;
#endif
}

struct lf_port *lf_port_create(struct lf_slot *slot)
{
	struct net_device *dev;
	struct lf_port *port;
	char name[IFNAMSIZ];
	int err;

	/* A name of our own is stable; where it is taken the kernel finds another. */
	snprintf(name, sizeof(name), "lf%u", slot->idx);
	rcu_read_lock();
	if (dev_get_by_name_rcu(&init_net, name))
		strscpy(name, "lf%d", sizeof(name));
	rcu_read_unlock();

	dev = alloc_netdev_mqs(sizeof(*port), name, NET_NAME_PREDICTABLE, ether_setup,
			       lf_max_queues, lf_max_queues);
	if (!dev)
		return ERR_PTR(-ENOMEM);

	port = netdev_priv(dev);
	port->dev = dev;
	port->slot = slot;
	port->rx_ring = lf_ring;
	port->pause = true;

	SET_NETDEV_DEV(dev, &slot->pdev->dev);
	dev->dev_port = slot->idx & 1;
	dev->netdev_ops = &lf_netdev_ops;
	dev->ethtool_ops = &lf_ethtool_ops;
	dev->stat_ops = &lf_stat_ops;
	dev->queue_mgmt_ops = &lf_queue_mgmt_ops;
	eth_hw_addr_random(dev);
	lf_setup_features(dev);
	netif_carrier_off(dev);

	err = lf_port_alloc(port);
	if (err)
		goto fail;
	err = netif_set_real_num_tx_queues(dev, lf_queues);
	if (!err)
		err = netif_set_real_num_rx_queues(dev, lf_queues);
	if (err)
		goto fail;

	/* Visible to the peer before it can be opened. */
	rcu_assign_pointer(slot->port, port);
	err = register_netdev(dev);
	if (err) {
		RCU_INIT_POINTER(slot->port, NULL);
		synchronize_net();
		goto fail;
	}
	return port;

fail:
	lf_port_free(port);
	return ERR_PTR(err);
}

void lf_port_destroy(struct lf_port *port)
{
	/* First the wire is cut: a device that is being removed has no queues to choose from. */
	RCU_INIT_POINTER(port->slot->port, NULL);
	synchronize_net();
	unregister_netdev(port->dev);
	lf_port_free(port);
}
