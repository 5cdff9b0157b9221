// SPDX-License-Identifier: GPL-2.0
/*
 * Receiving without a copy, for queues where nobody can tell. A packet whose pages the kernel
 * filled itself, for send(), does not change any more: who is given it sees what a copy would be.
 * So ordinary TCP costs about what it costs over veth, which does the same. The ring is asked for
 * buffers all the same, and keeps them.
 *
 * All else is copied to posted buffers: header split and memory providers, whose point it is;
 * pages that a sender may still write to (sendfile, MSG_ZEROCOPY), that the CPU cannot read or that
 * belong to another NIC's pool; frames of which a part is late or lost; and all that is to be
 * corrupted.
 */
#include "rx.h"

static bool lf_fault_armed(const struct lf_slot *slot)
{
	return READ_ONCE(slot->fault[LF_FAULT_LINEAR].every) ||
	       READ_ONCE(slot->fault[LF_FAULT_CORRUPT].every) ||
	       READ_ONCE(slot->fault[LF_FAULT_ALLOC].every);
}

bool lf_may_pass(const struct lf_rxq *rxq, struct sk_buff *wire, u32 due)
{
	const struct lf_wire_cb *cb = lf_wire_cb(wire);
	const struct lf_seg seg = { .wire = wire, .last = true };
	u32 payload = wire->len - cb->hdr_len;
	u32 segs;

	if (lf_fault_armed(rxq->port->slot) || skb_shared(wire) || !lf_gro_eligible(rxq, &seg))
		return false;
	if (!payload)
		return true;
	segs = skb_is_gso(wire) ? DIV_ROUND_UP(payload, skb_shinfo(wire)->gso_size) : 0;
	return segs == due && segs == cb->segs && !cb->next_seg && !rxq->mem.provider &&
	       !lf_hds_enabled(rxq->port->dev, rxq->port->hds) && !wire->pp_recycle &&
	       !skb_has_frag_list(wire) && skb_frags_readable(wire) && !skb_zcopy(wire) &&
	       !skb_has_shared_frag(wire);
}

/* The first frame of arrived, all of it. Its head is the sender's as well, so not to be written. */
void lf_pass(struct lf_rxq *rxq, struct sk_buff *wire)
{
	const struct lf_wire_cb cb = *lf_wire_cb(wire);
	u32 payload = wire->len - cb.hdr_len;

	lf_gro_flush(rxq);
	lf_take_segs(rxq, cb.segs, cb.segs * cb.hdr_len + payload);
	__skb_unlink(wire, &rxq->arrived);
	skb_orphan(wire);
	lf_xmit_left(rxq, cb.txq);
	if (payload && !lf_have_buffers(rxq, lf_buffers_for(rxq, cb.hdr_len, payload))) {
		lf_rx_add(&rxq->stats, LF_RX_DROP_NO_BUFFER, 1);
		dev_kfree_skb_any(wire);
		return;
	}
	lf_rx_add(&rxq->stats, LF_RX_PAYLOAD_PAGE, payload);
	lf_rx_add(&rxq->stats, LF_RX_CSUM_PARTIAL, 1);
	if (cb.segs > 1)
		lf_gro_count(rxq, wire->len, cb.hdr_len, cb.segs);
	memset(wire->cb, 0, sizeof(wire->cb));
	wire->priority = 0;
	skb_clear_hash(wire);
	skb_scrub_packet(wire, true);
	lf_deliver_large(rxq, wire, cb.hash, cb.l4_hash);
}
