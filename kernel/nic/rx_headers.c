// SPDX-License-Identifier: GPL-2.0
/* Headers and checksums of received segments. */
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ip6_checksum.h>

#include "rx.h"

void lf_pseudo_csum(u8 *frame, const struct lf_wire_cb *cb, u32 l4_bytes)
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

void lf_set_l3_length(u8 *frame, const struct lf_wire_cb *cb, u32 l4_bytes)
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
void lf_segment_headers(u8 *frame, const struct lf_wire_cb *cb, const struct lf_seg *seg)
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

void lf_set_partial(struct sk_buff *skb, const struct sk_buff *wire)
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
bool lf_checksum(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg)
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
