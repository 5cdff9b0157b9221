// SPDX-License-Identifier: GPL-2.0
/*
 * Sending: a frame is put on the wire to the peer, in the list of the RX queue that the peer's
 * classifier chose. It stays there, with its reference to the socket, until the receiving NAPI
 * has copied it: so a sender feels the receiver's pace through its TX ring, as with link-level
 * flow control.
 */
#include <linux/tcp.h>
#include <linux/udp.h>

#include "lf_nic.h"

static u32 lf_wire_bytes(const struct sk_buff *skb, u32 hdr_len, u32 segs)
{
	u32 bytes = max_t(u32, skb->len, ETH_ZLEN);

	return bytes + (segs - 1) * hdr_len + segs * LF_WIRE_OVERHEAD;
}

/*
 * What fits into the NIC's own memory has left the host, so its socket may send more. Otherwise a
 * sender that is late for once, as emulated CPUs are, leaves the wire idle.
 */
void lf_leave_host(struct sk_buff *skb, u64 now)
{
	struct lf_wire_cb *cb = lf_wire_cb(skb);

	if (cb->start_ns >= now + LF_TX_FIFO_NS)
		return;
	cb->left = true;
	skb_orphan(skb);
}

/* Reserves the wire for a frame. Frames of all queues of a port leave one after the other. */
static void lf_wire_reserve(struct lf_slot *slot, struct sk_buff *skb, u32 hdr_len)
{
	struct lf_wire_cb *cb = lf_wire_cb(skb);
	u32 mbit = READ_ONCE(slot->rate_mbit);
	u64 duration, now;

	if (!mbit) {
		cb->start_ns = 0;
		if (READ_ONCE(slot->wire_free_ns))
			WRITE_ONCE(slot->wire_free_ns, 0);
		return;
	}
	duration = div_u64(lf_wire_bytes(skb, hdr_len, cb->segs) * 8000ULL, mbit);
	cb->seg_ns = div_u64(duration, cb->segs);

	now = ktime_get_ns();
	spin_lock(&slot->wire_lock);
	/* Up to a tick of the scheduler is no gap: a CPU that is emulated is late by as much. */
	if (now > slot->wire_free_ns + LF_WIRE_LATE_NS) {
		if (slot->wire_free_ns)
			slot->wire_idle_ns += now - slot->wire_free_ns;
		slot->wire_free_ns = now;
	}
	cb->start_ns = slot->wire_free_ns;
	slot->wire_free_ns = cb->start_ns + duration;
	spin_unlock(&slot->wire_lock);

	lf_leave_host(skb, now);
}

static void lf_tx_count(struct lf_tx_stats *stats, struct sk_buff *skb, u32 segs, u32 hdr_len)
{
	u32 bytes = skb->len + (segs - 1) * hdr_len;

	u64_stats_update_begin(&stats->sync);
	u64_stats_add(&stats->count[LF_TX_PACKETS], segs);
	u64_stats_add(&stats->count[LF_TX_BYTES], bytes);
	if (skb->ip_summed == CHECKSUM_PARTIAL)
		u64_stats_inc(&stats->count[LF_TX_NEEDS_CSUM]);
	else
		u64_stats_inc(&stats->count[LF_TX_CSUM_NONE]);
	if (segs > 1) {
		u64_stats_inc(&stats->count[LF_TX_GSO_PACKETS]);
		u64_stats_add(&stats->count[LF_TX_GSO_BYTES], skb->len);
		u64_stats_add(&stats->count[LF_TX_GSO_WIRE_PACKETS], segs);
		u64_stats_add(&stats->count[LF_TX_GSO_WIRE_BYTES], bytes);
	}
	if (!skb_frags_readable(skb))
		u64_stats_add(&stats->count[LF_TX_NETMEM_BYTES], skb->data_len);
	u64_stats_update_end(&stats->sync);
}

/* The receiving end; false: the peer has no place for the frame. */
static bool lf_arrive(struct lf_port *peer, struct sk_buff *skb, int queue)
{
	struct lf_wire_cb *cb = lf_wire_cb(skb);
	struct lf_rxq *rxq;
	int room;

	if (queue < 0) {
		atomic64_inc(&peer->rxq[0].rule_drops);
		return false;
	}
	rxq = &peer->rxq[queue];
	if (!READ_ONCE(rxq->active))
		return false;

	/* What the descriptors cannot take is lost, but for pause frames: then the sender waits. */
	room = (int)READ_ONCE(rxq->mem.posted) - atomic_read(&rxq->wire_segs);
	if (cb->segs > room) {
		if (READ_ONCE(peer->pause)) {
			atomic64_inc(&rxq->pauses);
		} else {
			atomic64_add(cb->segs - max(room, 0), &rxq->overruns);
			if (room <= 0)
				return false;
			cb->segs = room;
		}
	}
	atomic_add(cb->segs, &rxq->wire_segs);
	llist_add(&skb->ll_node, &rxq->wire);
	napi_schedule(&rxq->napi);
	return true;
}

static void lf_fill_cb(struct sk_buff *skb, const struct lf_flow *flow,
		       const struct lf_target *target)
{
	struct lf_wire_cb *cb = lf_wire_cb(skb);

	*cb = (struct lf_wire_cb) {
		.hash = target->hash,
		.l4_hash = target->l4_hash,
		.segs = 1,
		.txq = skb_get_queue_mapping(skb),
		.hdr_len = flow->hdr_len,
		.l3_off = flow->l3_off,
		.l4_off = flow->l4_off,
		.l3 = flow->l3,
		.l4 = flow->l4,
	};
	if (skb_is_gso(skb))
		cb->segs = DIV_ROUND_UP(skb->len - flow->hdr_len, skb_shinfo(skb)->gso_size);

	/* A checksum that lies in what would be payload: keep the frame in one piece. */
	if (skb->ip_summed == CHECKSUM_PARTIAL && !skb_is_gso(skb) &&
	    skb_checksum_start_offset(skb) + skb->csum_offset + 2 > cb->hdr_len)
		cb->hdr_len = 0;
}

netdev_tx_t lf_start_xmit(struct sk_buff *skb, struct net_device *dev)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_slot *slot = port->slot;
	u16 txq = skb_get_queue_mapping(skb);
	struct lf_tx_stats *stats = &port->tx_stats[txq];
	struct netdev_queue *queue = netdev_get_tx_queue(dev, txq);
	atomic_t *inflight = &slot->tx_inflight[txq];
	struct lf_target target;
	struct lf_port *peer;
	struct lf_flow flow;

	if (unlikely(skb_is_gso(skb) && !skb_is_gso_tcp(skb)))
		goto drop;

	rcu_read_lock();
	peer = rcu_dereference(slot->peer->port);
	if (unlikely(!peer))
		goto drop_unlock;

	lf_parse(skb, &flow);
	if (unlikely(skb_is_gso(skb) && (flow.l4 != IPPROTO_TCP || !flow.hdr_len)))
		goto drop_unlock;
	if (unlikely(!pskb_may_pull(skb, flow.hdr_len)))
		goto drop_unlock;
	lf_classify(peer, &flow, &target);
	lf_fill_cb(skb, &flow, &target);
	lf_wire_reserve(slot, skb, flow.hdr_len);
	skb_tx_timestamp(skb);
	lf_tx_count(stats, skb, lf_wire_cb(skb)->segs, flow.hdr_len);

	atomic_inc(inflight);
	if (!lf_arrive(peer, skb, target.queue)) {
		/* It was sent; nobody took it. */
		atomic_dec(inflight);
		dev_kfree_skb_any(skb);
	}
	rcu_read_unlock();

	if (netif_txq_maybe_stop(queue, atomic_read(&slot->tx_ring) - atomic_read(inflight),
				 1, 1) == 0)
		lf_tx_add(stats, LF_TX_STOP, 1);
	return NETDEV_TX_OK;

drop_unlock:
	rcu_read_unlock();
drop:
	lf_tx_add(stats, LF_TX_DROPS, 1);
	dev_kfree_skb_any(skb);
	return NETDEV_TX_OK;
}

/* The receiver has a frame: its descriptor in the sender's TX ring is free again. */
void lf_xmit_left(struct lf_rxq *rxq, u16 txq)
{
	struct lf_slot *slot = rxq->port->slot->peer;
	struct netdev_queue *queue;
	struct lf_port *sender;

	atomic_dec(&slot->tx_inflight[txq]);

	smp_mb__after_atomic();	/* pairs with the one in netif_txq_try_stop() */
	rcu_read_lock();
	sender = rcu_dereference(slot->port);
	if (sender && netif_running(sender->dev)) {
		queue = netdev_get_tx_queue(sender->dev, txq);
		if (unlikely(netif_tx_queue_stopped(queue))) {
			netif_tx_wake_queue(queue);
			lf_tx_add(&sender->tx_stats[txq], LF_TX_WAKE, 1);
		}
	}
	rcu_read_unlock();
}

/* It is done with it. */
void lf_xmit_done(struct lf_rxq *rxq, struct sk_buff *skb, int budget)
{
	u16 txq = lf_wire_cb(skb)->txq;

	if (budget)
		napi_consume_skb(skb, budget);
	else
		dev_kfree_skb_any(skb);
	lf_xmit_left(rxq, txq);
}
