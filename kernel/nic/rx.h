/* SPDX-License-Identifier: GPL-2.0 */
/* What the parts of the receive side share. */
#ifndef LF_RX_H
#define LF_RX_H

#include "lf_nic.h"

/* A segment that is being received, or a run of full ones that continue a packet. */
struct lf_seg {
	struct sk_buff	*wire;
	u32		idx;
	u32		count;
	u32		payload;
	bool		last;
	bool		corrupt;
};

/* rx.c */
void lf_deliver(struct lf_rxq *rxq, struct sk_buff *skb, u32 hash, bool l4_hash);
void lf_deliver_large(struct lf_rxq *rxq, struct sk_buff *skb, u32 hash, bool l4_hash);
u32 lf_buffers_for(const struct lf_rxq *rxq, u32 offset, u32 bytes);
bool lf_have_buffers(struct lf_rxq *rxq, u32 need);
void lf_place(struct lf_rxq *rxq, struct sk_buff *skb, u32 offset, u32 bytes);
void lf_take_segs(struct lf_rxq *rxq, u32 count, u32 bytes);
u32 lf_fill_tail(struct lf_rxq *rxq, struct sk_buff *skb, u32 bytes);

/* rx_headers.c */
void lf_pseudo_csum(u8 *frame, const struct lf_wire_cb *cb, u32 l4_bytes);
void lf_set_l3_length(u8 *frame, const struct lf_wire_cb *cb, u32 l4_bytes);
void lf_segment_headers(u8 *frame, const struct lf_wire_cb *cb, const struct lf_seg *seg);
void lf_set_partial(struct sk_buff *skb, const struct sk_buff *wire);
bool lf_checksum(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg);

/* rx_gro.c */
u32 lf_gro_run(struct lf_rxq *rxq, struct sk_buff *wire, u32 max);
bool lf_gro_eligible(const struct lf_rxq *rxq, const struct lf_seg *seg);
bool lf_gro_append(struct lf_rxq *rxq, const struct lf_seg *seg);
void lf_gro_begin(struct lf_rxq *rxq, struct sk_buff *skb, const struct lf_seg *seg);
void lf_gro_count(struct lf_rxq *rxq, u32 bytes, u32 hdr_len, u32 segs);
void lf_gro_flush(struct lf_rxq *rxq);

/* rx_pass.c */
bool lf_may_pass(const struct lf_rxq *rxq, struct sk_buff *wire, u32 due);
void lf_pass(struct lf_rxq *rxq, struct sk_buff *wire);

#endif /* LF_RX_H */
