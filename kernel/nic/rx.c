// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving: takes frames from the wire, one segment at a time, and does what a NIC's DMA engine
 * does: headers to the linear part, payload to the posted buffers.
 */
#include <linux/etherdevice.h>
#include <net/busy_poll.h>
#include <net/gro.h>

#include "rx.h"

static void lf_complete(struct lf_rxq *rxq, struct sk_buff *skb, u32 hash, bool l4_hash)
{
	struct net_device *dev = rxq->port->dev;

	skb->protocol = eth_type_trans(skb, dev);
	skb_record_rx_queue(skb, rxq->idx);
	if (dev->features & NETIF_F_RXHASH)
		skb_set_hash(skb, hash, l4_hash ? PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
}

void lf_deliver(struct lf_rxq *rxq, struct sk_buff *skb, u32 hash, bool l4_hash)
{
	lf_complete(rxq, skb, hash, l4_hash);
	napi_gro_receive(&rxq->napi, skb);
}

/* What is large already: to the stack at once, unless that would overtake what is held for GRO. */
void lf_deliver_large(struct lf_rxq *rxq, struct sk_buff *skb, u32 hash, bool l4_hash)
{
	lf_complete(rxq, skb, hash, l4_hash);
	if (lf_gro_holds(&rxq->napi)) {
		napi_gro_receive(&rxq->napi, skb);
		return;
	}
	skb_mark_napi_id(skb, &rxq->napi);
	netif_receive_skb(skb);
}

/* A packet with the headers of the segment and room for more in its linear part. */
static struct sk_buff *lf_build(struct lf_rxq *rxq, const struct lf_seg *seg, u32 more)
{
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);
	struct sk_buff *skb;

	skb = napi_alloc_skb(&rxq->napi, cb->hdr_len + more);
	if (!skb) {
		lf_rx_add(&rxq->stats, LF_RX_DROP_NO_SKB, 1);
		return NULL;
	}
	skb_copy_bits(seg->wire, 0, __skb_put(skb, cb->hdr_len), cb->hdr_len);
	if (skb_is_gso(seg->wire))
		lf_segment_headers(skb->data, cb, seg);
	return skb;
}

static void lf_add_frag(struct lf_rxq *rxq, struct sk_buff *skb, u32 offset, u32 bytes)
{
	struct lf_rx_mem *mem = &rxq->mem;
	struct lf_desc *desc = &mem->ring[mem->head];

	lf_source_copy(&rxq->src, desc->va + offset, bytes);
	skb_add_rx_frag_netmem(skb, skb_shinfo(skb)->nr_frags, desc->netmem, offset, bytes,
			       mem->buf_bytes);
	if (netmem_is_net_iov(desc->netmem))
		lf_rx_add(&rxq->stats, LF_RX_PAYLOAD_PROVIDER, bytes);
	else
		lf_rx_add(&rxq->stats, LF_RX_PAYLOAD_PAGE, bytes);

	mem->tail = desc->va + offset + bytes;
	mem->room = mem->buf_bytes - offset - bytes;
	if (++mem->head == mem->size)
		mem->head = 0;
	WRITE_ONCE(mem->posted, mem->posted - 1);
}

/* Continues in the buffer that was filled last. */
u32 lf_fill_tail(struct lf_rxq *rxq, struct sk_buff *skb, u32 bytes)
{
	skb_frag_t *frag = &skb_shinfo(skb)->frags[skb_shinfo(skb)->nr_frags - 1];
	struct lf_rx_mem *mem = &rxq->mem;
	u32 n = min(bytes, mem->room);

	if (!n)
		return 0;
	lf_source_copy(&rxq->src, mem->tail, n);
	skb_frag_size_add(frag, n);
	skb->len += n;
	skb->data_len += n;
	mem->tail += n;
	mem->room -= n;
	if (netmem_is_net_iov(skb_frag_netmem(frag)))
		lf_rx_add(&rxq->stats, LF_RX_PAYLOAD_PROVIDER, n);
	else
		lf_rx_add(&rxq->stats, LF_RX_PAYLOAD_PAGE, n);
	return n;
}

u32 lf_buffers_for(const struct lf_rxq *rxq, u32 offset, u32 bytes)
{
	return DIV_ROUND_UP(offset + bytes, rxq->mem.buf_bytes);
}

/* True: that many buffers are posted, if need be after asking the pool once more. */
bool lf_have_buffers(struct lf_rxq *rxq, u32 need)
{
	if (likely(rxq->mem.posted >= need))
		return true;
	lf_rx_mem_refill(rxq->port, &rxq->mem, &rxq->stats, GFP_ATOMIC);
	return rxq->mem.posted >= need;
}

/* Payload to buffers; the caller knows that there are enough. */
void lf_place(struct lf_rxq *rxq, struct sk_buff *skb, u32 offset, u32 bytes)
{
	while (bytes) {
		u32 n = min(bytes, rxq->mem.buf_bytes - offset);

		lf_add_frag(rxq, skb, offset, n);
		bytes -= n;
		offset = 0;
	}
}

static void lf_finish(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg,
		      bool merge)
{
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);

	if (!lf_checksum(rxq, skb, seg)) {
		lf_rx_add(&rxq->stats, LF_RX_DROP_CSUM, 1);
		dev_kfree_skb_any(skb);
		return;
	}
	if (merge)
		lf_gro_begin(rxq, skb, seg);
	else
		lf_deliver(rxq, skb, cb->hash, cb->l4_hash);
}

static void lf_receive_linear(struct lf_rxq *rxq, const struct lf_seg *seg)
{
	struct sk_buff *skb;

	lf_gro_flush(rxq);
	skb = lf_build(rxq, seg, seg->payload);
	if (!skb) {
		lf_source_copy(&rxq->src, NULL, seg->payload);
		return;
	}
	lf_source_copy(&rxq->src, __skb_put(skb, seg->payload), seg->payload);
	lf_rx_add(&rxq->stats, LF_RX_PAYLOAD_LINEAR, seg->payload);
	lf_finish(rxq, skb, seg, false);
}

static void lf_receive_split(struct lf_rxq *rxq, const struct lf_seg *seg, u32 offset)
{
	bool merge = lf_gro_eligible(rxq, seg);
	struct sk_buff *skb;

	if (merge && lf_gro_append(rxq, seg))
		return;
	lf_gro_flush(rxq);

	if (!lf_have_buffers(rxq, lf_buffers_for(rxq, offset, seg->payload))) {
		lf_rx_add(&rxq->stats, LF_RX_DROP_NO_BUFFER, 1);
		lf_source_copy(&rxq->src, NULL, seg->payload);
		return;
	}
	skb = lf_build(rxq, seg, 0);
	if (!skb) {
		lf_source_copy(&rxq->src, NULL, seg->payload);
		return;
	}
	lf_place(rxq, skb, offset, seg->payload);
	skb_mark_for_recycle(skb);
	lf_finish(rxq, skb, seg, merge);
}

/* A frame that is not split: no TCP or UDP over plain IP, or a fragment. */
static void lf_receive_whole(struct lf_rxq *rxq, struct sk_buff *wire)
{
	const struct lf_wire_cb *cb = lf_wire_cb(wire);
	struct sk_buff *skb;

	lf_gro_flush(rxq);
	skb = napi_alloc_skb(&rxq->napi, wire->len);
	if (!skb) {
		lf_rx_add(&rxq->stats, LF_RX_DROP_NO_SKB, 1);
		return;
	}
	lf_source_copy(&rxq->src, __skb_put(skb, wire->len), wire->len);
	if (wire->ip_summed == CHECKSUM_PARTIAL) {
		lf_set_partial(skb, wire);
		lf_rx_add(&rxq->stats, LF_RX_CSUM_PARTIAL, 1);
	} else {
		lf_rx_add(&rxq->stats, LF_RX_CSUM_NONE, 1);
	}
	lf_deliver(rxq, skb, cb->hash, cb->l4_hash);
}

/* Where does the payload go: 0 or the room kept for headers, or -1 for the linear part. */
static int lf_payload_offset(struct lf_rxq *rxq, u32 hdr_len, u32 payload)
{
	struct lf_port *port = rxq->port;
	u32 thresh;

	if (!payload)
		return -1;
	if (rxq->mem.provider)
		return 0;
	if (!lf_hds_enabled(port->dev, port->hds))
		return hdr_len + payload <= LF_COPYBREAK ? -1 : hdr_len;
	thresh = lf_hds_thresh(port->dev);
	return hdr_len + payload <= thresh ? -1 : 0;
}

/* Segments have left the wire. */
void lf_take_segs(struct lf_rxq *rxq, u32 count, u32 bytes)
{
	atomic_sub(count, &rxq->wire_segs);

	u64_stats_update_begin(&rxq->stats.sync);
	u64_stats_add(&rxq->stats.count[LF_RX_PACKETS], count);
	u64_stats_add(&rxq->stats.count[LF_RX_BYTES], bytes);
	u64_stats_update_end(&rxq->stats.sync);
}

/* Receives the next segment of a frame, and up to max where they go the same way. */
static u32 lf_receive(struct lf_rxq *rxq, struct sk_buff *wire, u32 max)
{
	struct lf_slot *slot = rxq->port->slot;
	struct lf_wire_cb *cb = lf_wire_cb(wire);
	u32 total = wire->len - cb->hdr_len;
	struct lf_seg seg = {
		.wire = wire,
		.idx = cb->next_seg,
		.count = 1,
		.payload = total,
	};
	int offset;

	if (!rxq->src.skb)
		lf_source_start(&rxq->src, &slot->peer->pdev->dev, wire, cb->hdr_len);
	seg.last = true;
	if (skb_is_gso(wire)) {
		u32 mss = skb_shinfo(wire)->gso_size;

		seg.count = lf_gro_run(rxq, wire, max);
		seg.payload = min(seg.count * mss, total - seg.idx * mss);
		seg.last = seg.idx * mss + seg.payload == total;
	}
	cb->next_seg += seg.count;
	lf_take_segs(rxq, seg.count, seg.count * cb->hdr_len + seg.payload);
	if (!cb->hdr_len) {
		lf_receive_whole(rxq, wire);
		return 1;
	}
	if (seg.count > 1 && lf_gro_append(rxq, &seg))
		return seg.count;
	offset = lf_payload_offset(rxq, cb->hdr_len, seg.payload);
	if (seg.payload) {
		seg.corrupt = lf_fault_due(slot, LF_FAULT_CORRUPT);
		if (lf_fault_due(slot, LF_FAULT_LINEAR))
			offset = -1;
	}
	if (offset < 0)
		lf_receive_linear(rxq, &seg);
	else
		lf_receive_split(rxq, &seg, offset);
	return seg.count;
}

void lf_take_wire(struct lf_rxq *rxq)
{
	struct llist_node *node;
	struct sk_buff *skb, *next;

	if (llist_empty(&rxq->wire))
		return;
	node = llist_reverse_order(llist_del_all(&rxq->wire));
	llist_for_each_entry_safe(skb, next, node, ll_node)
		__skb_queue_tail(&rxq->arrived, skb);
}

static struct sk_buff *lf_next_frame(struct lf_rxq *rxq)
{
	if (skb_queue_empty(&rxq->arrived))
		lf_take_wire(rxq);
	return skb_peek(&rxq->arrived);
}

/* What was behind the end of the sending NIC's memory may be in it by now. */
static void lf_advance(struct lf_rxq *rxq, u64 now)
{
	struct sk_buff *skb;

	lf_take_wire(rxq);
	skb_queue_reverse_walk(&rxq->arrived, skb) {
		if (lf_wire_cb(skb)->left)
			return;
		lf_leave_host(skb, now);
	}
}

static u32 lf_segs_in(const struct lf_wire_cb *cb, u64 now)
{
	u64 in;

	if (now <= cb->start_ns)
		return 0;
	in = div_u64(now - cb->start_ns, max_t(u32, cb->seg_ns, 1));
	return in > cb->next_seg ? min_t(u64, in, cb->segs) - cb->next_seg : 0;
}

/* Of how many segments of the frame has the last bit come in? On a wire with a rate, 0 waits. */
static u32 lf_segs_due(struct lf_rxq *rxq, struct sk_buff *skb, u64 *now)
{
	const struct lf_wire_cb *cb = lf_wire_cb(skb);
	u32 due;

	if (!cb->start_ns)
		return cb->segs - cb->next_seg;
	due = lf_segs_in(cb, *now);
	if (due)
		return due;
	*now = ktime_get_ns();
	due = lf_segs_in(cb, *now);
	if (due)
		return due;
	lf_advance(rxq, *now);
	hrtimer_start(&rxq->timer,
		      ns_to_ktime(cb->start_ns + (u64)(cb->next_seg + 1) * cb->seg_ns +
				  READ_ONCE(rxq->port->slot->rx_usecs) * NSEC_PER_USEC),
		      HRTIMER_MODE_ABS);
	return 0;
}

enum hrtimer_restart lf_rx_timer(struct hrtimer *timer)
{
	struct lf_rxq *rxq = container_of(timer, struct lf_rxq, timer);

	napi_schedule(&rxq->napi);
	return HRTIMER_NORESTART;
}

int lf_poll(struct napi_struct *napi, int budget)
{
	struct lf_rxq *rxq = container_of(napi, struct lf_rxq, napi);
	struct sk_buff *skb;
	u64 now = 0;
	int work = 0;

	while (work < budget) {
		u32 due;

		skb = lf_next_frame(rxq);
		due = skb ? lf_segs_due(rxq, skb, &now) : 0;
		if (!due)
			break;
		if (lf_may_pass(rxq, skb, due)) {
			lf_pass(rxq, skb);
			work++;
			continue;
		}
		work += lf_receive(rxq, skb, min_t(u32, due, budget - work));
		if (lf_wire_cb(skb)->next_seg == lf_wire_cb(skb)->segs) {
			if (rxq->gro.from == skb)
				rxq->gro.from = NULL;
			rxq->src.skb = NULL;
			__skb_unlink(skb, &rxq->arrived);
			lf_xmit_done(rxq, skb, budget);
		}
	}
	lf_gro_flush(rxq);
	if (budget && rxq->mem.posted < rxq->mem.size)
		lf_rx_mem_refill(rxq->port, &rxq->mem, &rxq->stats, GFP_ATOMIC);
	/* Buffers come back without a sign: an empty ring has to look for them. */
	if (unlikely(!rxq->mem.posted) && !hrtimer_active(&rxq->timer))
		hrtimer_start(&rxq->timer, ns_to_ktime(LF_RETRY_NS), HRTIMER_MODE_REL);
	if (work < budget)
		napi_complete_done(napi, work);
	return work;
}
