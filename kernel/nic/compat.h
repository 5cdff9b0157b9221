/* SPDX-License-Identifier: GPL-2.0 */
/* What differs between the kernels that the module is built for: 7.3 and 6.12. */
#ifndef LF_COMPAT_H
#define LF_COMPAT_H

#include <linux/version.h>
#include <linux/ethtool.h>
#include <linux/ethtool_netlink.h>
#include <linux/hrtimer.h>
#include <linux/netdevice.h>
#include <net/netdev_queues.h>
#include <net/netdev_rx_queue.h>
#include <net/page_pool/helpers.h>

#ifdef CONFIG_HIGHMEM
#error "landfall_nic copies through the direct map and cannot serve highmem"
#endif

/* The split header came with netdev_config, the instance lock and queue configurations. */
#if LINUX_VERSION_CODE >= KERNEL_VERSION(7, 0, 0)
#define LF_HAVE_NETDEV_CONFIG	1
#define LF_HAVE_QUEUE_CONFIG	1
#define LF_HAVE_RXFH_FIELDS	1
#define LF_HAVE_NETMEM_TX	1
#include <net/netdev_lock.h>
#endif

#ifdef LF_HAVE_NETDEV_CONFIG

static inline bool lf_hds_enabled(const struct net_device *dev, u8 own)
{
	return READ_ONCE(dev->cfg->hds_config) == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
}

static inline u32 lf_hds_thresh(const struct net_device *dev)
{
	return READ_ONCE(dev->cfg->hds_thresh);
}

static inline bool lf_gro_holds(const struct napi_struct *napi)
{
	return napi->gro.bitmask || napi->gro.rx_count;
}

#else /* 6.12 */

static inline bool lf_gro_holds(const struct napi_struct *napi)
{
	return napi->gro_bitmask || napi->rx_count;
}

#define napi_enable_locked(n)			napi_enable(n)
#define napi_disable_locked(n)			napi_disable(n)
#define netif_napi_del_locked(n)		netif_napi_del(n)

#ifndef kvzalloc_obj
#define kvzalloc_obj(object, gfp)		kvzalloc(sizeof(object), gfp)
#endif

static inline void netif_napi_add_config_locked(struct net_device *dev, struct napi_struct *napi,
						int (*poll)(struct napi_struct *, int), int idx)
{
	netif_napi_add(dev, napi, poll);
}

static inline bool lf_hds_enabled(const struct net_device *dev, u8 own)
{
	return own == ETHTOOL_TCP_DATA_SPLIT_ENABLED;
}

static inline u32 lf_hds_thresh(const struct net_device *dev)
{
	return 0;
}

static inline void hrtimer_setup(struct hrtimer *timer,
				 enum hrtimer_restart (*fn)(struct hrtimer *),
				 clockid_t clock, enum hrtimer_mode mode)
{
	hrtimer_init(timer, clock, mode);
	timer->function = fn;
}

#ifndef LF_HAVE_ALLOC_NETMEMS
static inline netmem_ref page_pool_alloc_netmems(struct page_pool *pool, gfp_t gfp)
{
	return page_pool_alloc_netmem(pool, gfp);
}
#endif

static inline void page_pool_enable_direct_recycling(struct page_pool *pool,
						     struct napi_struct *napi)
{
	WRITE_ONCE(pool->p.napi, napi);
}

#endif

/* Memory comes from a provider (a dma-buf, io_uring): the CPU may not read it. */
static inline bool lf_pool_has_provider(const struct page_pool *pool)
{
#ifdef LF_HAVE_QUEUE_CONFIG
	return pool->mp_ops;
#else
	return pool->mp_priv;
#endif
}

static inline bool lf_queue_wants_provider(struct net_device *dev, unsigned int idx)
{
	struct netdev_rx_queue *rxq = __netif_get_rx_queue(dev, idx);

	return rxq->mp_params.mp_priv;
}

/* Does any queue? Newer kernels ask themselves. */
static inline bool lf_wants_provider(struct net_device *dev)
{
	unsigned int i;

	for (i = 0; i < dev->real_num_rx_queues; i++)
		if (lf_queue_wants_provider(dev, i))
			return true;
	return false;
}

#endif /* LF_COMPAT_H */
