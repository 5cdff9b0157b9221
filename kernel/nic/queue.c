// SPDX-License-Identifier: GPL-2.0
/* RX queues: their memory, starting, stopping, restarting, ring size and number. */
#include <linux/log2.h>

#include "lf_nic.h"

static bool lf_refill_one(struct lf_port *port, struct lf_rx_mem *mem,
			  struct lf_rx_stats *stats, gfp_t gfp)
{
	struct lf_desc *desc;
	netmem_ref netmem;
	u8 *va;
	u32 at;

	if (lf_fault_due(port->slot, LF_FAULT_ALLOC))
		return false;
	netmem = page_pool_alloc_netmems(mem->pool, gfp);
	if (!netmem)
		return false;

	va = lf_netmem_va(&port->slot->pdev->dev, netmem);
	if (!va) {
		page_pool_put_full_netmem(mem->pool, netmem, false);
		if (stats)
			lf_rx_add(stats, LF_RX_UNREACHABLE, 1);
		return false;
	}

	at = mem->head + mem->posted;
	if (at >= mem->size)
		at -= mem->size;
	desc = &mem->ring[at];
	desc->netmem = netmem;
	desc->va = va;
	WRITE_ONCE(mem->posted, mem->posted + 1);
	return true;
}

/* Posts buffers until the ring is full or the pool has none. */
void lf_rx_mem_refill(struct lf_port *port, struct lf_rx_mem *mem,
		      struct lf_rx_stats *stats, gfp_t gfp)
{
	while (mem->posted < mem->size) {
		if (lf_refill_one(port, mem, stats, gfp | __GFP_NOWARN))
			continue;
		if (stats)
			lf_rx_add(stats, LF_RX_ALLOC_FAIL, 1);
		return;
	}
}

int lf_rx_mem_init(struct lf_port *port, struct lf_rx_mem *mem, unsigned int idx,
		   u32 ring, u32 buf_bytes)
{
	struct page_pool_params params = {
		.flags = PP_FLAG_DMA_MAP | PP_FLAG_DMA_SYNC_DEV,
		.order = get_order(buf_bytes),
		.pool_size = ring,
		.nid = NUMA_NO_NODE,
		.dev = &port->slot->pdev->dev,
		.netdev = port->dev,
		.queue_idx = idx,
		.dma_dir = DMA_FROM_DEVICE,
		.max_len = buf_bytes,
	};

	/* Headers must stay readable. 6.12 leaves it to the driver to refuse a provider. */
	if (lf_hds_enabled(port->dev, port->hds))
		params.flags |= PP_FLAG_ALLOW_UNREADABLE_NETMEM;

	memset(mem, 0, sizeof(*mem));
	mem->ring = kvcalloc(ring, sizeof(*mem->ring), GFP_KERNEL);
	if (!mem->ring)
		return -ENOMEM;
	mem->size = ring;
	mem->buf_bytes = buf_bytes;

	mem->pool = page_pool_create(&params);
	if (IS_ERR(mem->pool)) {
		int err = PTR_ERR(mem->pool);

		mem->pool = NULL;
		kvfree(mem->ring);
		mem->ring = NULL;
		return err;
	}
	mem->provider = lf_pool_has_provider(mem->pool);
	if (mem->provider)
		port->slot->had_provider = true;

	/*
	 * Filled ahead. What cannot be had now is asked for again when packets arrive: a
	 * provider's pool may be smaller than the ring.
	 */
	lf_rx_mem_refill(port, mem, NULL, GFP_KERNEL);
	return 0;
}

void lf_rx_mem_free(struct lf_rx_mem *mem)
{
	if (!mem->pool)
		return;
	while (mem->posted) {
		page_pool_put_full_netmem(mem->pool, mem->ring[mem->head].netmem, false);
		if (++mem->head == mem->size)
			mem->head = 0;
		mem->posted--;
	}
	page_pool_destroy(mem->pool);
	kvfree(mem->ring);
	memset(mem, 0, sizeof(*mem));
}

static u32 lf_queue_buf_bytes(struct lf_port *port, unsigned int idx)
{
#ifdef LF_HAVE_QUEUE_CONFIG
	struct netdev_queue_config qcfg;

	netdev_queue_config(port->dev, idx, &qcfg);
	return qcfg.rx_page_size;
#else
	return PAGE_SIZE;
#endif
}

static void lf_queue_kick(struct lf_rxq *rxq)
{
	local_bh_disable();
	napi_schedule(&rxq->napi);
	local_bh_enable();
}

static void lf_queue_enable(struct lf_rxq *rxq)
{
	struct net_device *dev = rxq->port->dev;

	netif_napi_add_config_locked(dev, &rxq->napi, lf_poll, rxq->idx);
	netif_queue_set_napi(dev, rxq->idx, NETDEV_QUEUE_TYPE_RX, &rxq->napi);
	netif_queue_set_napi(dev, rxq->idx, NETDEV_QUEUE_TYPE_TX, &rxq->napi);
	page_pool_enable_direct_recycling(rxq->mem.pool, &rxq->napi);
	napi_enable_locked(&rxq->napi);
	WRITE_ONCE(rxq->active, true);
}

/* Starts queues [from, to); on failure none of them runs. */
int lf_queues_start(struct lf_port *port, unsigned int from, unsigned int to)
{
	unsigned int i;
	int err;

	for (i = from; i < to; i++) {
		err = lf_rx_mem_init(port, &port->rxq[i].mem, i, port->rx_ring,
				     lf_queue_buf_bytes(port, i));
		if (err)
			goto fail;
	}
	for (i = from; i < to; i++)
		lf_queue_enable(&port->rxq[i]);
	return 0;

fail:
	while (i-- > from)
		lf_rx_mem_free(&port->rxq[i].mem);
	return err;
}

static void lf_queue_purge(struct lf_rxq *rxq)
{
	struct sk_buff *skb;

	lf_take_wire(rxq);
	while ((skb = __skb_dequeue(&rxq->arrived)))
		lf_xmit_done(rxq, skb, 0);
	rxq->src.skb = NULL;
	atomic_set(&rxq->wire_segs, 0);
}

void lf_queues_stop(struct lf_port *port, unsigned int from, unsigned int to)
{
	unsigned int i;

	for (i = from; i < to; i++)
		WRITE_ONCE(port->rxq[i].active, false);
	synchronize_net();	/* no sender is in the middle of lf_start_xmit() */

	for (i = from; i < to; i++) {
		struct lf_rxq *rxq = &port->rxq[i];

		napi_disable_locked(&rxq->napi);
		hrtimer_cancel(&rxq->timer);
		netif_queue_set_napi(port->dev, i, NETDEV_QUEUE_TYPE_RX, NULL);
		netif_queue_set_napi(port->dev, i, NETDEV_QUEUE_TYPE_TX, NULL);
		lf_queue_purge(rxq);
		page_pool_disable_direct_recycling(rxq->mem.pool);
		netif_napi_del_locked(&rxq->napi);
		lf_rx_mem_free(&rxq->mem);
	}
}

static void lf_queue_halt(struct lf_rxq *rxq)
{
	napi_disable_locked(&rxq->napi);
	hrtimer_cancel(&rxq->timer);
	page_pool_disable_direct_recycling(rxq->mem.pool);
}

static void lf_queue_resume(struct lf_rxq *rxq)
{
	page_pool_enable_direct_recycling(rxq->mem.pool, &rxq->napi);
	napi_enable_locked(&rxq->napi);
	lf_queue_kick(rxq);
}

/* Changes the number of descriptors. Each queue pauses while its memory is exchanged. */
int lf_set_ring(struct lf_port *port, u32 ring)
{
	unsigned int count = port->dev->real_num_rx_queues;
	struct lf_rx_mem *mem;
	unsigned int i;
	int err = 0;

	if (ring == port->rx_ring)
		return 0;
	if (!netif_running(port->dev)) {
		port->rx_ring = ring;
		return 0;
	}

	mem = kvcalloc(count, sizeof(*mem), GFP_KERNEL);
	if (!mem)
		return -ENOMEM;
	for (i = 0; i < count; i++) {
		err = lf_rx_mem_init(port, &mem[i], i, ring, port->rxq[i].mem.buf_bytes);
		if (err)
			goto out;
	}
	for (i = 0; i < count; i++) {
		lf_queue_halt(&port->rxq[i]);
		swap(mem[i], port->rxq[i].mem);
		lf_queue_resume(&port->rxq[i]);
	}
	port->rx_ring = ring;
out:
	for (i = 0; i < count; i++)
		lf_rx_mem_free(&mem[i]);
	kvfree(mem);
	return err;
}

/* Changes the number of channels; queues that stay are not touched. */
int lf_set_channels(struct lf_port *port, unsigned int count)
{
	struct net_device *dev = port->dev;
	unsigned int old = dev->real_num_rx_queues;
	int err;

	if (count > old && netif_running(dev)) {
		err = lf_queues_start(port, old, count);
		if (err)
			return err;
	}
	if (count < old)
		lf_rss_default_table(port, count);

	err = netif_set_real_num_queues(dev, count, count);
	if (err) {
		if (count > old && netif_running(dev))
			lf_queues_stop(port, old, count);
		lf_rss_default_table(port, old);
		return err;
	}
	if (count < old && netif_running(dev))
		lf_queues_stop(port, count, old);
	if (count > old) {
		if (netif_running(dev))
			netif_tx_start_all_queues(dev);
		lf_rss_default_table(port, count);
	}
	return 0;
}

/*
 * A refusal is not possible on the way back to ordinary pages: the kernel cannot take no for an
 * answer there and warns.
 */
static bool lf_restart_refused(struct lf_port *port, unsigned int idx)
{
	if (port->rxq[idx].mem.provider && !lf_queue_wants_provider(port->dev, idx))
		return false;
	return lf_fault_due(port->slot, LF_FAULT_RESTART);
}

static int lf_queue_mem_new(struct net_device *dev, void *new, int idx, u32 buf_bytes)
{
	struct lf_port *port = netdev_priv(dev);

	if (lf_restart_refused(port, idx))
		return -ENOMEM;
	return lf_rx_mem_init(port, new, idx, port->rx_ring, buf_bytes);
}

static void lf_queue_mem_free(struct net_device *dev, void *mem)
{
	lf_rx_mem_free(mem);
}

static void lf_queue_install(struct net_device *dev, void *mem, int idx)
{
	struct lf_port *port = netdev_priv(dev);

	port->rxq[idx].mem = *(struct lf_rx_mem *)mem;
	memset(mem, 0, sizeof(struct lf_rx_mem));
	lf_queue_resume(&port->rxq[idx]);
}

static int lf_queue_stop(struct net_device *dev, void *mem, int idx)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_rxq *rxq = &port->rxq[idx];

	lf_queue_halt(rxq);
	*(struct lf_rx_mem *)mem = rxq->mem;
	memset(&rxq->mem, 0, sizeof(rxq->mem));
	return 0;
}

#ifdef LF_HAVE_QUEUE_CONFIG

static int lf_queue_mem_alloc(struct net_device *dev, struct netdev_queue_config *qcfg,
			      void *mem, int idx)
{
	return lf_queue_mem_new(dev, mem, idx, qcfg->rx_page_size);
}

static int lf_queue_start(struct net_device *dev, struct netdev_queue_config *qcfg,
			  void *mem, int idx)
{
	lf_queue_install(dev, mem, idx);
	return 0;
}

static void lf_default_qcfg(struct net_device *dev, struct netdev_queue_config *qcfg)
{
	qcfg->rx_page_size = PAGE_SIZE;
}

static int lf_validate_qcfg(struct net_device *dev, struct netdev_queue_config *qcfg,
			    struct netlink_ext_ack *extack)
{
	if (!is_power_of_2(qcfg->rx_page_size) || qcfg->rx_page_size < PAGE_SIZE ||
	    get_order(qcfg->rx_page_size) > MAX_PAGE_ORDER) {
		NL_SET_ERR_MSG(extack, "rx-page-size is not a power of two of whole pages");
		return -ERANGE;
	}
	return 0;
}

const struct netdev_queue_mgmt_ops lf_queue_mgmt_ops = {
	.ndo_queue_mem_size	= sizeof(struct lf_rx_mem),
	.ndo_queue_mem_alloc	= lf_queue_mem_alloc,
	.ndo_queue_mem_free	= lf_queue_mem_free,
	.ndo_queue_start	= lf_queue_start,
	.ndo_queue_stop		= lf_queue_stop,
	.ndo_default_qcfg	= lf_default_qcfg,
	.ndo_validate_qcfg	= lf_validate_qcfg,
	.supported_params	= QCFG_RX_PAGE_SIZE,
};

#else /* 6.12 */

static int lf_queue_mem_alloc(struct net_device *dev, void *mem, int idx)
{
	return lf_queue_mem_new(dev, mem, idx, PAGE_SIZE);
}

static int lf_queue_start(struct net_device *dev, void *mem, int idx)
{
	lf_queue_install(dev, mem, idx);
	return 0;
}

const struct netdev_queue_mgmt_ops lf_queue_mgmt_ops = {
	.ndo_queue_mem_size	= sizeof(struct lf_rx_mem),
	.ndo_queue_mem_alloc	= lf_queue_mem_alloc,
	.ndo_queue_mem_free	= lf_queue_mem_free,
	.ndo_queue_start	= lf_queue_start,
	.ndo_queue_stop		= lf_queue_stop,
};

#endif
