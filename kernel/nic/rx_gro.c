// SPDX-License-Identifier: GPL-2.0
/* GRO in hardware: consecutive segments of a flow become one packet. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>

#include "rx.h"

/* Several segments were received as one packet. */
void lf_gro_count(struct lf_rxq *rxq, u32 bytes, u32 hdr_len, u32 segs)
{
	u64_stats_update_begin(&rxq->stats.sync);
	u64_stats_inc(&rxq->stats.count[LF_RX_GRO_PACKETS]);
	u64_stats_add(&rxq->stats.count[LF_RX_GRO_BYTES], bytes);
	u64_stats_add(&rxq->stats.count[LF_RX_GRO_WIRE_PACKETS], segs);
	u64_stats_add(&rxq->stats.count[LF_RX_GRO_WIRE_BYTES], bytes + (segs - 1) * hdr_len);
	u64_stats_update_end(&rxq->stats.sync);
}

void lf_gro_flush(struct lf_rxq *rxq)
{
	struct lf_gro *gro = &rxq->gro;
	struct sk_buff *skb = gro->skb;
	struct lf_wire_cb cb;

	if (!skb)
		return;
	gro->skb = NULL;
	gro->from = NULL;
	cb = *lf_wire_cb(skb);

	if (gro->segs > 1) {
		u32 l4_bytes = skb->len - cb.l4_off;

		lf_set_l3_length(skb->data, &cb, l4_bytes);
		lf_pseudo_csum(skb->data, &cb, l4_bytes);
		skb_shinfo(skb)->gso_size = gro->mss;
		skb_shinfo(skb)->gso_segs = gro->segs;
		skb_shinfo(skb)->gso_type = cb.l3 == 4 ? SKB_GSO_TCPV4 : SKB_GSO_TCPV6;
		lf_gro_count(rxq, skb->len, cb.hdr_len, gro->segs);
	}
	memset(skb->cb, 0, sizeof(skb->cb));
	lf_deliver(rxq, skb, cb.hash, cb.l4_hash);
}

/* May this segment take part in merging at all? */
bool lf_gro_eligible(const struct lf_rxq *rxq, const struct lf_seg *seg)
{
	const netdev_features_t need = NETIF_F_GRO_HW | NETIF_F_RXCSUM;
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);
	const struct tcphdr *th;
	struct tcphdr buf;

	if ((rxq->port->dev->features & need) != need || seg->corrupt ||
	    cb->l4 != IPPROTO_TCP || seg->wire->ip_summed != CHECKSUM_PARTIAL ||
	    (cb->l3 == 4 && cb->l4_off - cb->l3_off != sizeof(struct iphdr)))
		return false;
	th = skb_header_pointer(seg->wire, cb->l4_off, sizeof(buf), &buf);
	if (!th || !th->ack || th->syn || th->rst || th->urg || th->ece || th->cwr)
		return false;
	return !th->fin || !seg->last;
}

static bool lf_gro_same_flow(const struct sk_buff *skb, const struct lf_wire_cb *cb,
			     const u8 *frame)
{
	const struct lf_wire_cb *old = lf_wire_cb((struct sk_buff *)skb);
	const struct tcphdr *a = (struct tcphdr *)(skb->data + cb->l4_off);
	const struct tcphdr *b = (struct tcphdr *)(frame + cb->l4_off);

	if (old->hdr_len != cb->hdr_len || old->l3 != cb->l3 || old->l4_off != cb->l4_off ||
	    memcmp(skb->data, frame, cb->l3_off))
		return false;
	if (cb->l3 == 4) {
		const struct iphdr *x = (struct iphdr *)(skb->data + cb->l3_off);
		const struct iphdr *y = (struct iphdr *)(frame + cb->l3_off);

		if (x->saddr != y->saddr || x->daddr != y->daddr || x->tos != y->tos ||
		    x->ttl != y->ttl || x->frag_off != y->frag_off)
			return false;
	} else {
		const struct ipv6hdr *x = (struct ipv6hdr *)(skb->data + cb->l3_off);
		const struct ipv6hdr *y = (struct ipv6hdr *)(frame + cb->l3_off);

		if (memcmp(x, y, 4) || x->hop_limit != y->hop_limit ||
		    memcmp(&x->saddr, &y->saddr, 32))
			return false;
	}
	return a->source == b->source && a->dest == b->dest && a->ack_seq == b->ack_seq &&
	       !memcmp(a + 1, b + 1, cb->hdr_len - cb->l4_off - sizeof(*a));
}

/*
 * How many segments, from the next one on, are sure to be appended to the packet that grows: full
 * ones of the frame that it was fed from last. They are received at once, which saves most of the
 * work that a segment is.
 */
u32 lf_gro_run(struct lf_rxq *rxq, struct sk_buff *wire, u32 max)
{
	const struct lf_wire_cb *cb = lf_wire_cb(wire);
	const struct lf_slot *slot = rxq->port->slot;
	const struct lf_gro *gro = &rxq->gro;
	u32 mss, buffers, room;

	if (!gro->skb || gro->from != wire || READ_ONCE(slot->fault[LF_FAULT_LINEAR].every) ||
	    READ_ONCE(slot->fault[LF_FAULT_CORRUPT].every))
		return 1;
	mss = skb_shinfo(wire)->gso_size;
	if (mss != gro->mss)
		return 1;

	/* The last segment may be short and has flags of its own. */
	max = min(max, DIV_ROUND_UP(wire->len - cb->hdr_len, mss) - 1 - cb->next_seg);
	buffers = min_t(u32, MAX_SKB_FRAGS - skb_shinfo(gro->skb)->nr_frags, rxq->mem.posted);
	room = min_t(u32, rxq->mem.room + buffers * rxq->mem.buf_bytes,
		     IP_MAX_MTU + cb->l3_off - gro->skb->len);
	return max_t(u32, min(max, room / mss), 1);
}

/* Adds the segment to the packet that grows. False: it does not belong to it. */
bool lf_gro_append(struct lf_rxq *rxq, const struct lf_seg *seg)
{
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);
	struct lf_gro *gro = &rxq->gro;
	struct sk_buff *skb = gro->skb;
	u32 tail, need;
	bool push;
	u8 *frame;

	if (!skb || seg->payload > seg->count * gro->mss ||
	    skb->len + seg->payload - cb->l3_off > IP_MAX_MTU)
		return false;

	if (gro->from == seg->wire) {
		/* The next segment of the same frame differs in nothing else. */
		push = seg->last && ((struct tcphdr *)(seg->wire->data + cb->l4_off))->psh;
	} else {
		u8 buf[LF_COPYBREAK];

		if (cb->hdr_len > sizeof(buf) ||
		    skb_copy_bits(seg->wire, 0, buf, cb->hdr_len))
			return false;
		frame = buf;
		if (skb_is_gso(seg->wire))
			lf_segment_headers(frame, cb, seg);
		if (ntohl(((struct tcphdr *)(frame + cb->l4_off))->seq) != gro->next_seq ||
		    !lf_gro_same_flow(skb, cb, frame))
			return false;
		push = ((struct tcphdr *)(frame + cb->l4_off))->psh;
	}

	tail = min(seg->payload, rxq->mem.room);
	need = lf_buffers_for(rxq, 0, seg->payload - tail);
	if (skb_shinfo(skb)->nr_frags + need > MAX_SKB_FRAGS || !lf_have_buffers(rxq, need))
		return false;

	tail = lf_fill_tail(rxq, skb, seg->payload);
	lf_place(rxq, skb, 0, seg->payload - tail);
	gro->segs += seg->count;
	gro->next_seq += seg->payload;
	gro->from = seg->wire;
	if (push)
		((struct tcphdr *)(skb->data + cb->l4_off))->psh = 1;
	if (push || seg->payload < seg->count * gro->mss)
		lf_gro_flush(rxq);
	return true;
}

void lf_gro_begin(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg)
{
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);
	const struct tcphdr *th = (struct tcphdr *)(skb->data + cb->l4_off);
	struct lf_gro *gro = &rxq->gro;

	*lf_wire_cb(skb) = *cb;
	gro->skb = skb;
	gro->from = seg->wire;
	gro->mss = seg->payload;
	gro->segs = 1;
	gro->next_seq = ntohl(th->seq) + seg->payload;
	if (th->psh)
		lf_gro_flush(rxq);
}
