/* SPDX-License-Identifier: GPL-2.0 */
/*
 * landfall_nic: a software NIC whose receive side behaves like hardware.
 *
 * Ports come in pairs, joined by a wire. A slot is the place where a port is
 * plugged in; it outlives the port, as a PCI slot outlives its card, and holds
 * what must survive an unplug: the wire, the faults and their counters.
 */
#ifndef LF_NIC_H
#define LF_NIC_H

#include <linux/atomic.h>
#include <linux/debugfs.h>
#include <linux/etherdevice.h>
#include <linux/mutex.h>
#include <linux/platform_device.h>
#include <linux/skbuff.h>

#include "compat.h"
#include "stats.h"

#define LF_NAME			"landfall_nic"
#define LF_MAX_PAIRS		16
#define LF_MAX_QUEUES		128
#define LF_MAX_RING		8192
#define LF_MIN_RING		16
#define LF_MAX_MTU		9600
#define LF_RSS_ENTRIES		128
#define LF_RSS_KEY_BYTES	40
#define LF_RSS_CONTEXTS		64	/* context ids 1..63 */
#define LF_HASH_INPUT_BYTES	36	/* two IPv6 addresses and two ports */
#define LF_HDS_THRESH_MAX	4096
#define LF_COPYBREAK		256	/* without header split: short frames are copied */
#define LF_TX_FIFO_NS		(20 * NSEC_PER_MSEC)	/* on a wire with a rate */
#define LF_WIRE_LATE_NS		(4 * NSEC_PER_MSEC)	/* of a sender: the wire's gap is made up */
#define LF_RETRY_NS		(2 * NSEC_PER_MSEC)	/* until an empty pool is asked again */
#define LF_WIRE_OVERHEAD	24	/* preamble 8, frame check sequence 4, gap 12 */

/* Parameters of the module, checked by lf_init(). */
extern unsigned int lf_queues;
extern unsigned int lf_max_queues;
extern unsigned int lf_ring;
extern unsigned int lf_mtu;
extern unsigned int lf_rules;

enum lf_fault_id {
	LF_FAULT_LINEAR,	/* n-th payload stays in the linear part */
	LF_FAULT_CORRUPT,	/* n-th payload is altered, its checksum is not */
	LF_FAULT_ALLOC,		/* n-th request to the page pool is refused */
	LF_FAULT_RESTART,	/* n-th queue restart is refused */
	LF_FAULT_MOVE,		/* every n packets flows change to another queue, or back */
	LF_FAULT_RULES_FULL,	/* no rule can be inserted */
	LF_FAULT_UNPLUG,	/* the device is gone */
	LF_FAULTS,
};

struct lf_fault {
	u32		every;	/* 0: off */
	atomic_t	seen;	/* occasions since it was armed */
	atomic64_t	hits;
};

struct lf_slot {
	unsigned int		idx;
	struct lf_slot		*peer;
	struct lf_port __rcu	*port;		/* NULL: unplugged */
	struct platform_device	*pdev;		/* the DMA device */
	struct dentry		*dir;
	bool			had_provider;

	/* What this slot's port sends. */
	u32			rate_mbit;	/* 0: as fast as it goes */
	spinlock_t		wire_lock;	/* protects the two below */
	u64			wire_free_ns;
	u64			wire_idle_ns;	/* without a frame to carry, while it had a rate */
	atomic_t		tx_ring;
	atomic_t		*tx_inflight;	/* by TX queue: frames not yet received */

	u32			rx_usecs;	/* interrupt moderation on a wire with a rate */
	struct lf_fault		fault[LF_FAULTS];
	char			classify[128];	/* last answer of the debugfs file */
};

/* What the parser finds in a frame. Offsets are from the start of the frame. */
struct lf_flow {
	union {
		struct {
			u8	src[16];
			u8	dst[16];
			__be16	sport;
			__be16	dport;
			u8	l3;	/* 4, 6 or 0 */
			u8	l4;	/* IPPROTO_TCP, IPPROTO_UDP, other, 0 for a fragment */
			u8	pad[2];
		};
		u64		words[5];
	};
	u8	l3_off;
	u8	l4_off;
	u16	hdr_len;	/* up to the payload; 0: cannot be split */
};

/* skb->cb of a frame on the wire. */
struct lf_wire_cb {
	u64	start_ns;	/* when its first bit leaves; 0: no rate */
	u32	seg_ns;		/* time on the wire of one segment */
	u32	hash;
	u16	segs;
	u16	next_seg;
	u16	txq;
	u16	hdr_len;
	u8	l3_off;
	u8	l4_off;
	u8	l3;
	u8	l4;
	bool	l4_hash;
	bool	left;		/* the host, for the NIC's memory: the socket may send more */
};

static inline struct lf_wire_cb *lf_wire_cb(struct sk_buff *skb)
{
	BUILD_BUG_ON(sizeof(struct lf_wire_cb) > sizeof(skb->cb));
	return (struct lf_wire_cb *)skb->cb;
}

/* A buffer that the NIC may write a payload to. */
struct lf_desc {
	netmem_ref	netmem;
	u8		*va;
};

/* The memory of one RX queue: all that a queue restart exchanges. */
struct lf_rx_mem {
	struct page_pool	*pool;
	struct lf_desc		*ring;
	u32			size;
	u32			head;	/* next buffer that the NIC fills */
	u32			posted;
	u32			buf_bytes;
	bool			provider;
	u32			room;	/* left in the buffer that was filled last */
	u8			*tail;	/* there */
};

/* Where the next payload byte of a frame on the wire is read. */
struct lf_source {
	struct sk_buff	*skb;	/* NULL: not yet begun */
	struct device	*dma;	/* the sender's */
	int		frag;	/* -1: linear part */
	const u8	*at;
	u32		left;	/* in this piece */
};

/* A packet that grows by hardware GRO. */
struct lf_gro {
	struct sk_buff	*skb;
	struct sk_buff	*from;		/* frame on the wire that the last segment came from */
	u32		next_seq;
	u32		mss;
	u32		segs;
	u16		hdr_len;
	u8		l3_off;
	u8		l4_off;
	u8		l3;
};

struct lf_rxq {
	struct napi_struct	napi;
	struct lf_port		*port;
	u16			idx;
	bool			active;		/* takes frames from the wire */
	struct lf_rx_mem	mem;
	struct sk_buff_head	arrived;	/* NAPI's own */
	struct lf_source	src;		/* of the first frame of arrived */
	struct lf_gro		gro;
	struct hrtimer		timer;
	struct lf_rx_stats	stats;

	/* Written by senders. */
	struct llist_head	wire ____cacheline_aligned_in_smp;	/* the last one first */
	atomic_t		wire_segs;
	atomic64_t		overruns;
	atomic64_t		pauses;
	atomic64_t		rule_drops;
};

/* Toeplitz: the contribution of each half byte of the input. */
struct lf_toeplitz {
	u32	of[LF_HASH_INPUT_BYTES * 2][16];
};

struct lf_rss {
	struct rcu_head		rcu;
	u32			indir[LF_RSS_ENTRIES];
	u8			key[LF_RSS_KEY_BYTES];
	struct lf_toeplitz	toeplitz;
};

enum lf_hash_type {
	LF_HASH_TCP4, LF_HASH_UDP4, LF_HASH_IP4,
	LF_HASH_TCP6, LF_HASH_UDP6, LF_HASH_IP6,
	LF_HASH_TYPES,
};

/* One n-tuple rule as the classifier sees it. */
struct lf_match {
	u64	key[5];
	u64	mask[5];
	u64	cookie;		/* queue, or offset into the context, or RX_CLS_FLOW_DISC */
	u32	location;
	u32	context;
	bool	by_context;
};

struct lf_ruleset {
	struct rcu_head	rcu;
	u32		count;
	struct lf_match	match[] __counted_by(count);
};

struct lf_port {
	struct net_device	*dev;
	struct lf_slot		*slot;
	struct lf_rxq		*rxq;		/* lf_max_queues of them */
	struct lf_tx_stats	*tx_stats;
	u32			rx_ring;
	u8			hds;		/* 6.12 only */
	bool			pause;

	struct lf_rss __rcu	*rss[LF_RSS_CONTEXTS];
	u8			hash_fields[LF_HASH_TYPES];	/* RXH_* */
	struct lf_ruleset __rcu	*ruleset;
	struct ethtool_rx_flow_spec **rules;	/* lf_rules of them, by location */
	u32			*rule_context;
	u32			rule_count;
};

/* main.c */
int lf_slot_plug(struct lf_slot *slot);
void lf_slot_unplug(struct lf_slot *slot);
extern struct mutex lf_plug_lock;	/* protects lf_slot::port against change */

/* port.c */
struct lf_port *lf_port_create(struct lf_slot *slot);
void lf_port_destroy(struct lf_port *port);

/* parse.c */
void lf_parse(const struct sk_buff *skb, struct lf_flow *flow);
void lf_source_start(struct lf_source *src, struct device *dma, struct sk_buff *skb,
		     u32 offset);
void lf_source_copy(struct lf_source *src, u8 *to, u32 len);
void *lf_netmem_va(struct device *dev, netmem_ref netmem);

/* xmit.c */
void lf_leave_host(struct sk_buff *skb, u64 now);
netdev_tx_t lf_start_xmit(struct sk_buff *skb, struct net_device *dev);
void lf_xmit_left(struct lf_rxq *rxq, u16 txq);
void lf_xmit_done(struct lf_rxq *rxq, struct sk_buff *skb, int budget);

/* queue.c */
extern const struct netdev_queue_mgmt_ops lf_queue_mgmt_ops;
int lf_rx_mem_init(struct lf_port *port, struct lf_rx_mem *mem, unsigned int idx,
		   u32 ring, u32 buf_bytes);
void lf_rx_mem_free(struct lf_rx_mem *mem);
void lf_rx_mem_refill(struct lf_port *port, struct lf_rx_mem *mem,
		      struct lf_rx_stats *stats, gfp_t gfp);
int lf_queues_start(struct lf_port *port, unsigned int from, unsigned int to);
void lf_queues_stop(struct lf_port *port, unsigned int from, unsigned int to);
int lf_set_ring(struct lf_port *port, u32 ring);
int lf_set_channels(struct lf_port *port, unsigned int count);

/* rx.c */
void lf_take_wire(struct lf_rxq *rxq);
int lf_poll(struct napi_struct *napi, int budget);
enum hrtimer_restart lf_rx_timer(struct hrtimer *timer);

/* rss.c */
struct lf_target {
	u32	hash;
	bool	l4_hash;
	int	queue;		/* -1: a rule says drop */
	int	location;	/* of the rule that matched, -1: none */
};

int lf_rss_init(struct lf_port *port);
void lf_rss_free(struct lf_port *port);
void lf_rss_default_table(struct lf_port *port, unsigned int channels);
bool lf_rss_fits(struct lf_port *port, unsigned int channels);
u32 lf_rss_max_queue(struct lf_port *port, u32 context);
void lf_classify(struct lf_port *port, const struct lf_flow *flow, struct lf_target *target);

/* match.c */
bool lf_matches(const struct lf_match *match, const struct lf_flow *flow);
int lf_match_from_spec(const struct ethtool_rx_flow_spec *fs, struct lf_match *match);

/* rules.c */
const struct lf_match *lf_rules_lookup(struct lf_port *port, const struct lf_flow *flow);
int lf_rules_init(struct lf_port *port);
void lf_rules_free(struct lf_port *port);
bool lf_rules_fit(struct lf_port *port, unsigned int channels);
bool lf_rules_allow_table(struct lf_port *port, u32 context, u32 max_entry);
int lf_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info, u32 *locations);
int lf_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info);

/* rss.c for ethtool.c */
u32 lf_rxfh_key_size(struct net_device *dev);
u32 lf_rxfh_indir_size(struct net_device *dev);
int lf_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh);
int lf_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		struct netlink_ext_ack *extack);
int lf_create_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			   const struct ethtool_rxfh_param *rxfh,
			   struct netlink_ext_ack *extack);
int lf_modify_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			   const struct ethtool_rxfh_param *rxfh,
			   struct netlink_ext_ack *extack);
int lf_remove_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			   u32 context, struct netlink_ext_ack *extack);
int lf_hash_fields_get(struct lf_port *port, u32 flow_type, u64 *fields);
int lf_hash_fields_set(struct lf_port *port, u32 flow_type, u64 fields);

/* ethtool.c */
extern const struct ethtool_ops lf_ethtool_ops;

/* fault.c */
void lf_fault_files(struct lf_slot *slot);
const char *lf_fault_name(enum lf_fault_id id);
void lf_fault_hit(struct lf_slot *slot, enum lf_fault_id id);
bool lf_fault_moved(struct lf_slot *slot);
bool __lf_fault_due(struct lf_slot *slot, enum lf_fault_id id);

/* Counts an occasion; true: this one fails. */
static inline bool lf_fault_due(struct lf_slot *slot, enum lf_fault_id id)
{
	return unlikely(READ_ONCE(slot->fault[id].every)) && __lf_fault_due(slot, id);
}

#endif /* LF_NIC_H */
