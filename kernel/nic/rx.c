// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving: takes frames from the wire, one segment at a time, and does what a NIC's DMA engine
 * does: headers to the linear part, payload to the posted buffers, checksum verified, consecutive
 * segments of a flow merged.
 */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/gro.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>

#include "lf_nic.h"

/* A segment that is being received. */
struct lf_seg {
	struct sk_buff	*wire;
	u32		idx;
	u32		payload;
	bool		last;
	bool		corrupt;
};

static void lf_deliver(struct lf_rxq *rxq, struct sk_buff *skb, u32 hash, bool l4_hash)
{
	struct net_device *dev = rxq->port->dev;

	skb->protocol = eth_type_trans(skb, dev);
	skb_record_rx_queue(skb, rxq->idx);
	if (dev->features & NETIF_F_RXHASH)
		skb_set_hash(skb, hash, l4_hash ? PKT_HASH_TYPE_L4 : PKT_HASH_TYPE_L3);
	napi_gro_receive(&rxq->napi, skb);
}

static void lf_pseudo_csum(u8 *frame, const struct lf_wire_cb *cb, u32 l4_bytes)
{
	struct tcphdr *th = (struct tcphdr *)(frame + cb->l4_off);

	if (cb->l3 == 4) {
		const struct iphdr *ih = (struct iphdr *)(frame + cb->l3_off);

		th->check = ~csum_tcpudp_magic(ih->saddr, ih->daddr, l4_bytes, IPPROTO_TCP, 0);
	} else {
		const struct ipv6hdr *ih = (struct ipv6hdr *)(frame + cb->l3_off);

		th->check = ~csum_ipv6_magic(&ih->saddr, &ih->daddr, l4_bytes, IPPROTO_TCP, 0);
	}
}

static void lf_set_l3_length(u8 *frame, const struct lf_wire_cb *cb, u32 l4_bytes)
{
	if (cb->l3 == 4) {
		struct iphdr *ih = (struct iphdr *)(frame + cb->l3_off);

		ih->tot_len = htons(cb->l4_off - cb->l3_off + l4_bytes);
		ip_send_check(ih);
	} else {
		struct ipv6hdr *ih = (struct ipv6hdr *)(frame + cb->l3_off);

		ih->payload_len = htons(l4_bytes);
	}
}

/* What the sender's segmentation engine does to the headers of one segment. */
static void lf_segment_headers(u8 *frame, const struct lf_wire_cb *cb, const struct lf_seg *seg)
{
	const struct skb_shared_info *shinfo = skb_shinfo(seg->wire);
	struct tcphdr *th = (struct tcphdr *)(frame + cb->l4_off);
	u32 l4_bytes = cb->hdr_len - cb->l4_off + seg->payload;

	if (cb->l3 == 4 && !(shinfo->gso_type & SKB_GSO_TCP_FIXEDID)) {
		struct iphdr *ih = (struct iphdr *)(frame + cb->l3_off);

		ih->id = htons(ntohs(ih->id) + seg->idx);
	}
	th->seq = htonl(ntohl(th->seq) + seg->idx * shinfo->gso_size);
	if (!seg->last) {
		th->fin = 0;
		th->psh = 0;
	}
	if (seg->idx)
		th->cwr = 0;
	lf_set_l3_length(frame, cb, l4_bytes);
	lf_pseudo_csum(frame, cb, l4_bytes);
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
static u32 lf_fill_tail(struct lf_rxq *rxq, struct sk_buff *skb, u32 bytes)
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

static u32 lf_buffers_for(const struct lf_rxq *rxq, u32 offset, u32 bytes)
{
	return DIV_ROUND_UP(offset + bytes, rxq->mem.buf_bytes);
}

/* True: that many buffers are posted, if need be after asking the pool once more. */
static bool lf_have_buffers(struct lf_rxq *rxq, u32 need)
{
	if (likely(rxq->mem.posted >= need))
		return true;
	lf_rx_mem_refill(rxq->port, &rxq->mem, &rxq->stats, GFP_ATOMIC);
	return rxq->mem.posted >= need;
}

/* Payload to buffers; the caller knows that there are enough. */
static void lf_place(struct lf_rxq *rxq, struct sk_buff *skb, u32 offset, u32 bytes)
{
	while (bytes) {
		u32 n = min(bytes, rxq->mem.buf_bytes - offset);

		lf_add_frag(rxq, skb, offset, n);
		bytes -= n;
		offset = 0;
	}
}

static __wsum lf_sum_from(struct lf_rxq *rxq, const struct sk_buff *skb, u32 offset)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);
	u32 at = skb_headlen(skb) - offset;
	__wsum sum = csum_partial(skb->data + offset, at, 0);
	int i;

	for (i = 0; i < shinfo->nr_frags; i++) {
		const skb_frag_t *frag = &shinfo->frags[i];
		const u8 *va = lf_netmem_va(&rxq->port->slot->pdev->dev, skb_frag_netmem(frag));
		u32 bytes = skb_frag_size(frag);

		sum = csum_block_add(sum, csum_partial(va + skb_frag_off(frag), bytes, 0), at);
		at += bytes;
	}
	return sum;
}

static __sum16 lf_l4_csum(struct lf_rxq *rxq, const struct sk_buff *skb,
			  const struct lf_wire_cb *cb)
{
	u32 l4_bytes = skb->len - cb->l4_off;
	__wsum sum = lf_sum_from(rxq, skb, cb->l4_off);

	if (cb->l3 == 4) {
		const struct iphdr *ih = (struct iphdr *)(skb->data + cb->l3_off);

		return csum_tcpudp_magic(ih->saddr, ih->daddr, l4_bytes, cb->l4, sum);
	}
	return csum_ipv6_magic(&((struct ipv6hdr *)(skb->data + cb->l3_off))->saddr,
			       &((struct ipv6hdr *)(skb->data + cb->l3_off))->daddr,
			       l4_bytes, cb->l4, sum);
}

static __sum16 *lf_check_field(struct sk_buff *skb, const struct lf_wire_cb *cb)
{
	u8 *l4 = skb->data + cb->l4_off;

	if (cb->l4 == IPPROTO_TCP)
		return &((struct tcphdr *)l4)->check;
	return &((struct udphdr *)l4)->check;
}

static void lf_flip_last_byte(struct lf_rxq *rxq, struct sk_buff *skb)
{
	const struct skb_shared_info *shinfo = skb_shinfo(skb);
	const skb_frag_t *frag;
	u8 *va;

	if (!shinfo->nr_frags) {
		skb->data[skb->len - 1] ^= 0x5a;
		return;
	}
	frag = &shinfo->frags[shinfo->nr_frags - 1];
	va = lf_netmem_va(&rxq->port->slot->pdev->dev, skb_frag_netmem(frag));
	va[skb_frag_off(frag) + skb_frag_size(frag) - 1] ^= 0x5a;
}

static void lf_set_partial(struct sk_buff *skb, const struct sk_buff *wire)
{
	skb->ip_summed = CHECKSUM_PARTIAL;
	skb->csum_start = skb_headroom(skb) + skb_checksum_start_offset(wire);
	skb->csum_offset = wire->csum_offset;
}

/*
 * Checksum of a packet that is complete. One that never was computed stays so, as on any virtual
 * wire; otherwise it is verified here. False: it is wrong, and nobody behind the NIC could find
 * out, because the payload is in memory that the kernel cannot read.
 */
static bool lf_checksum(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg)
{
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);
	bool partial = seg->wire->ip_summed == CHECKSUM_PARTIAL;
	bool wanted = rxq->port->dev->features & NETIF_F_RXCSUM;
	bool unreadable = !skb_frags_readable(skb);
	__sum16 *check;

	if (partial && !seg->corrupt && (wanted || unreadable)) {
		lf_set_partial(skb, seg->wire);
		lf_rx_add(&rxq->stats, LF_RX_CSUM_PARTIAL, 1);
		return true;
	}

	check = lf_check_field(skb, cb);
	if (partial) {
		*check = 0;
		*check = lf_l4_csum(rxq, skb, cb) ?: CSUM_MANGLED_0;
	}
	if (seg->corrupt)
		lf_flip_last_byte(rxq, skb);

	if (!wanted && !unreadable) {
		lf_rx_add(&rxq->stats, LF_RX_CSUM_NONE, 1);
		return true;
	}
	if (cb->l4 == IPPROTO_UDP && !*check) {
		skb->ip_summed = unreadable ? CHECKSUM_UNNECESSARY : CHECKSUM_NONE;
		lf_rx_add(&rxq->stats, LF_RX_CSUM_NONE, 1);
		return true;
	}
	if (!lf_l4_csum(rxq, skb, cb)) {
		skb->ip_summed = CHECKSUM_UNNECESSARY;
		lf_rx_add(&rxq->stats, LF_RX_CSUM_UNNECESSARY, 1);
		return true;
	}
	lf_rx_add(&rxq->stats, LF_RX_CSUM_BAD, 1);
	return !unreadable;
}

static void lf_gro_flush(struct lf_rxq *rxq)
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

		u64_stats_update_begin(&rxq->stats.sync);
		u64_stats_inc(&rxq->stats.count[LF_RX_GRO_PACKETS]);
		u64_stats_add(&rxq->stats.count[LF_RX_GRO_BYTES], skb->len);
		u64_stats_add(&rxq->stats.count[LF_RX_GRO_WIRE_PACKETS], gro->segs);
		u64_stats_add(&rxq->stats.count[LF_RX_GRO_WIRE_BYTES],
			      skb->len + (gro->segs - 1) * cb.hdr_len);
		u64_stats_update_end(&rxq->stats.sync);
	}
	memset(skb->cb, 0, sizeof(skb->cb));
	lf_deliver(rxq, skb, cb.hash, cb.l4_hash);
}

/* May this segment take part in merging at all? */
static bool lf_gro_eligible(const struct lf_rxq *rxq, const struct lf_seg *seg)
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

/* Adds the segment to the packet that grows. False: it does not belong to it. */
static bool lf_gro_append(struct lf_rxq *rxq, const struct lf_seg *seg)
{
	const struct lf_wire_cb *cb = lf_wire_cb(seg->wire);
	struct lf_gro *gro = &rxq->gro;
	struct sk_buff *skb = gro->skb;
	u32 tail, need;
	bool push;
	u8 *frame;

	if (!skb || seg->payload > gro->mss ||
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
	gro->segs++;
	gro->next_seq += seg->payload;
	gro->from = seg->wire;
	if (push)
		((struct tcphdr *)(skb->data + cb->l4_off))->psh = 1;
	if (push || seg->payload < gro->mss)
		lf_gro_flush(rxq);
	return true;
}

static void lf_gro_begin(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg)
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

static void lf_receive(struct lf_rxq *rxq, struct sk_buff *wire)
{
	struct lf_slot *slot = rxq->port->slot;
	struct lf_wire_cb *cb = lf_wire_cb(wire);
	u32 total = wire->len - cb->hdr_len;
	struct lf_seg seg = {
		.wire = wire,
		.idx = cb->next_seg++,
		.payload = total,
	};
	int offset;

	if (!rxq->src.skb)
		lf_source_start(&rxq->src, &slot->peer->pdev->dev, wire, cb->hdr_len);
	seg.last = cb->next_seg == cb->segs;
	if (skb_is_gso(wire)) {
		u32 mss = skb_shinfo(wire)->gso_size;

		seg.payload = min(mss, total - seg.idx * mss);
	}
	atomic_dec(&rxq->wire_segs);

	u64_stats_update_begin(&rxq->stats.sync);
	u64_stats_inc(&rxq->stats.count[LF_RX_PACKETS]);
	u64_stats_add(&rxq->stats.count[LF_RX_BYTES], cb->hdr_len + seg.payload);
	u64_stats_update_end(&rxq->stats.sync);

	if (!cb->hdr_len) {
		lf_receive_whole(rxq, wire);
		return;
	}
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
}

static struct sk_buff *lf_next_frame(struct lf_rxq *rxq)
{
	if (skb_queue_empty(&rxq->arrived) && !skb_queue_empty_lockless(&rxq->wire)) {
		unsigned long flags;

		spin_lock_irqsave(&rxq->wire.lock, flags);
		skb_queue_splice_tail_init(&rxq->wire, &rxq->arrived);
		spin_unlock_irqrestore(&rxq->wire.lock, flags);
	}
	return skb_peek(&rxq->arrived);
}

/* On a wire with a rate: has the last bit of the next segment come in? */
static bool lf_frame_due(struct lf_rxq *rxq, struct sk_buff *skb, u64 *now)
{
	const struct lf_wire_cb *cb = lf_wire_cb(skb);
	u64 due;

	if (!cb->start_ns)
		return true;
	due = cb->start_ns + (u64)(cb->next_seg + 1) * cb->seg_ns;
	if (due <= *now)
		return true;
	*now = ktime_get_ns();
	if (due <= *now)
		return true;
	hrtimer_start(&rxq->timer,
		      ns_to_ktime(due + READ_ONCE(rxq->port->slot->rx_usecs) * NSEC_PER_USEC),
		      HRTIMER_MODE_ABS);
	return false;
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
		skb = lf_next_frame(rxq);
		if (!skb || !lf_frame_due(rxq, skb, &now))
			break;
		lf_receive(rxq, skb);
		work++;
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
	if (work < budget)
		napi_complete_done(napi, work);
	return work;
}
