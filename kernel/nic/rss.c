// SPDX-License-Identifier: GPL-2.0
/* Receive side scaling: Toeplitz hash, tables and contexts; and the choice of the queue. */
#include <linux/ethtool.h>
#include <linux/in.h>
#include <linux/unaligned.h>

#include "lf_nic.h"

/*
 * The hash is the exclusive or of the key's 32-bit windows at each bit that is set in the input.
 * It is linear, so what each half byte contributes can be worked out ahead.
 */
static void lf_toeplitz_init(struct lf_toeplitz *t, const u8 *key)
{
	unsigned int nibble, value, bit;

	memset(t, 0, sizeof(*t));
	for (nibble = 0; nibble < ARRAY_SIZE(t->of); nibble++) {
		for (bit = 0; bit < 4; bit++) {
			unsigned int at = nibble * 4 + bit;
			u64 window = get_unaligned_be32(key + at / 8);
			u32 part;

			window = (window << 8) | key[at / 8 + 4];
			part = window >> (8 - at % 8);
			for (value = 0; value < 16; value++)
				if (value & (8 >> bit))
					t->of[nibble][value] ^= part;
		}
	}
}

static u32 lf_toeplitz(const struct lf_toeplitz *t, const u8 *input, unsigned int bytes)
{
	unsigned int i;
	u32 hash = 0;

	for (i = 0; i < bytes; i++)
		hash ^= t->of[2 * i][input[i] >> 4] ^ t->of[2 * i + 1][input[i] & 15];
	return hash;
}

static enum lf_hash_type lf_hash_type(const struct lf_flow *flow)
{
	enum lf_hash_type type = flow->l3 == 4 ? LF_HASH_TCP4 : LF_HASH_TCP6;

	if (flow->l4 == IPPROTO_TCP)
		return type;
	return flow->l4 == IPPROTO_UDP ? type + 1 : type + 2;
}

static u32 lf_flow_hash(struct lf_port *port, const struct lf_rss *rss,
			const struct lf_flow *flow, bool *l4_hash)
{
	unsigned int addr = flow->l3 == 4 ? 4 : 16, n = 0;
	u8 input[LF_HASH_INPUT_BYTES];
	u8 fields;

	*l4_hash = false;
	if (!flow->l3)
		return 0;
	fields = READ_ONCE(port->hash_fields[lf_hash_type(flow)]);
	if (fields & RXH_IP_SRC) {
		memcpy(input + n, flow->src, addr);
		n += addr;
	}
	if (fields & RXH_IP_DST) {
		memcpy(input + n, flow->dst, addr);
		n += addr;
	}
	if (fields & RXH_L4_B_0_1) {
		memcpy(input + n, &flow->sport, 2);
		n += 2;
		*l4_hash = true;
	}
	if (fields & RXH_L4_B_2_3) {
		memcpy(input + n, &flow->dport, 2);
		n += 2;
		*l4_hash = true;
	}
	return lf_toeplitz(&rss->toeplitz, input, n);
}

/* Chooses the RX queue of a frame. Called under RCU, by the sender. */
void lf_classify(struct lf_port *port, const struct lf_flow *flow, struct lf_target *target)
{
	unsigned int channels = READ_ONCE(port->dev->real_num_rx_queues);
	const struct lf_match *match = NULL;
	const struct lf_rss *rss;
	u32 queue, offset = 0;

	rss = rcu_dereference(port->rss[0]);
	target->hash = lf_flow_hash(port, rss, flow, &target->l4_hash);
	target->location = -1;

	if (port->dev->features & NETIF_F_NTUPLE)
		match = lf_rules_lookup(port, flow);
	if (match) {
		target->location = match->location;
		if (match->cookie == RX_CLS_FLOW_DISC) {
			target->queue = -1;
			return;
		}
	}
	if (match && !match->by_context) {
		queue = match->cookie;
	} else {
		if (match) {
			const struct lf_rss *other = rcu_dereference(port->rss[match->context]);

			offset = match->cookie;
			if (other && other != rss) {
				rss = other;
				target->hash = lf_flow_hash(port, rss, flow, &target->l4_hash);
			}
		}
		queue = READ_ONCE(rss->indir[target->hash % LF_RSS_ENTRIES]) + offset;
	}
	if (flow->hdr_len && lf_fault_moved(port->slot))
		queue++;
	target->queue = queue % channels;
}

static struct lf_rss *lf_rss_locked(struct lf_port *port, u32 context)
{
	return rcu_dereference_protected(port->rss[context], true);
}

static struct lf_rss *lf_rss_new(const u8 *key)
{
	struct lf_rss *rss = kvzalloc_obj(*rss, GFP_KERNEL);

	if (!rss)
		return NULL;
	if (key)
		memcpy(rss->key, key, sizeof(rss->key));
	else
		netdev_rss_key_fill(rss->key, sizeof(rss->key));
	lf_toeplitz_init(&rss->toeplitz, rss->key);
	return rss;
}

static void lf_fill_default(struct lf_rss *rss, unsigned int channels)
{
	unsigned int i;

	for (i = 0; i < LF_RSS_ENTRIES; i++)
		WRITE_ONCE(rss->indir[i], ethtool_rxfh_indir_default(i, channels));
}

int lf_rss_init(struct lf_port *port)
{
	static const u8 ports = RXH_IP_SRC | RXH_IP_DST | RXH_L4_B_0_1 | RXH_L4_B_2_3;
	struct lf_rss *rss = lf_rss_new(NULL);

	if (!rss)
		return -ENOMEM;
	lf_fill_default(rss, lf_queues);
	rcu_assign_pointer(port->rss[0], rss);

	port->hash_fields[LF_HASH_TCP4] = ports;
	port->hash_fields[LF_HASH_TCP6] = ports;
	port->hash_fields[LF_HASH_UDP4] = ports;
	port->hash_fields[LF_HASH_UDP6] = ports;
	port->hash_fields[LF_HASH_IP4] = RXH_IP_SRC | RXH_IP_DST;
	port->hash_fields[LF_HASH_IP6] = RXH_IP_SRC | RXH_IP_DST;
	return 0;
}

void lf_rss_free(struct lf_port *port)
{
	unsigned int i;

	for (i = 0; i < LF_RSS_CONTEXTS; i++)
		kvfree(lf_rss_locked(port, i));
}

/* A table that no user has set follows the number of channels. */
void lf_rss_default_table(struct lf_port *port, unsigned int channels)
{
	if (!netif_is_rxfh_configured(port->dev))
		lf_fill_default(lf_rss_locked(port, 0), channels);
}

u32 lf_rss_max_queue(struct lf_port *port, u32 context)
{
	const struct lf_rss *rss = lf_rss_locked(port, context);
	unsigned int i;
	u32 max = 0;

	for (i = 0; i < LF_RSS_ENTRIES; i++)
		max = max(max, rss->indir[i]);
	return max;
}

/* Do the tables that users have set, with what rules add to them, need no more channels? */
bool lf_rss_fits(struct lf_port *port, unsigned int channels)
{
	u32 i;

	for (i = 0; i < LF_RSS_CONTEXTS; i++) {
		if (!lf_rss_locked(port, i) ||
		    (!i && !netif_is_rxfh_configured(port->dev)))
			continue;
		if (lf_rss_max_queue(port, i) >= channels)
			return false;
	}
	return true;
}

u32 lf_rxfh_key_size(struct net_device *dev)
{
	return LF_RSS_KEY_BYTES;
}

u32 lf_rxfh_indir_size(struct net_device *dev)
{
	return LF_RSS_ENTRIES;
}

int lf_get_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh)
{
	struct lf_port *port = netdev_priv(dev);
	const struct lf_rss *rss = lf_rss_locked(port, 0);

	rxfh->hfunc = ETH_RSS_HASH_TOP;
	if (rxfh->indir)
		memcpy(rxfh->indir, rss->indir, sizeof(rss->indir));
	if (rxfh->key)
		memcpy(rxfh->key, rss->key, sizeof(rss->key));
	return 0;
}

static int lf_rss_change(struct lf_port *port, u32 context, const struct lf_rss *base,
			 const struct ethtool_rxfh_param *rxfh, struct netlink_ext_ack *extack)
{
	struct lf_rss *rss, *old = lf_rss_locked(port, context);
	u32 i, max = 0;

	if (rxfh->hfunc != ETH_RSS_HASH_NO_CHANGE && rxfh->hfunc != ETH_RSS_HASH_TOP) {
		NL_SET_ERR_MSG(extack, "the hash function is Toeplitz and no other");
		return -EOPNOTSUPP;
	}
	if (rxfh->indir) {
		for (i = 0; i < LF_RSS_ENTRIES; i++)
			max = max(max, rxfh->indir[i]);
		if (max >= port->dev->real_num_rx_queues ||
		    !lf_rules_allow_table(port, context, max)) {
			NL_SET_ERR_MSG(extack, "a table entry points behind the last channel");
			return -EINVAL;
		}
	}
	rss = lf_rss_new(rxfh->key ?: base->key);
	if (!rss)
		return -ENOMEM;
	memcpy(rss->indir, rxfh->indir ?: base->indir, sizeof(rss->indir));
	rcu_assign_pointer(port->rss[context], rss);
	if (old)
		kvfree_rcu(old, rcu);
	return 0;
}

int lf_set_rxfh(struct net_device *dev, struct ethtool_rxfh_param *rxfh,
		struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);

	return lf_rss_change(port, 0, lf_rss_locked(port, 0), rxfh, extack);
}

int lf_create_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			   const struct ethtool_rxfh_param *rxfh,
			   struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_rss *base, *rss;
	int err;

	/* What is not given: the default table, and the key of the port. */
	base = kvzalloc_obj(*base, GFP_KERNEL);
	if (!base)
		return -ENOMEM;
	memcpy(base->key, lf_rss_locked(port, 0)->key, sizeof(base->key));
	lf_fill_default(base, dev->real_num_rx_queues);
	err = lf_rss_change(port, rxfh->rss_context, base, rxfh, extack);
	kvfree(base);
	if (err)
		return err;

	rss = lf_rss_locked(port, rxfh->rss_context);
	if (!rxfh->indir)
		memcpy(ethtool_rxfh_context_indir(ctx), rss->indir, sizeof(rss->indir));
	if (!rxfh->key)
		memcpy(ethtool_rxfh_context_key(ctx), rss->key, sizeof(rss->key));
	if (rxfh->hfunc == ETH_RSS_HASH_NO_CHANGE)
		ctx->hfunc = ETH_RSS_HASH_TOP;
	if (rxfh->input_xfrm == RXH_XFRM_NO_CHANGE)
		ctx->input_xfrm = 0;
	return 0;
}

int lf_modify_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			   const struct ethtool_rxfh_param *rxfh,
			   struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);
	u32 context = rxfh->rss_context;

	return lf_rss_change(port, context, lf_rss_locked(port, context), rxfh, extack);
}

int lf_remove_rxfh_context(struct net_device *dev, struct ethtool_rxfh_context *ctx,
			   u32 context, struct netlink_ext_ack *extack)
{
	struct lf_port *port = netdev_priv(dev);
	struct lf_rss *rss = lf_rss_locked(port, context);

	if (!lf_rules_allow_table(port, context, U32_MAX)) {
		NL_SET_ERR_MSG(extack, "a rule uses the context");
		return -EBUSY;
	}
	RCU_INIT_POINTER(port->rss[context], NULL);
	kvfree_rcu(rss, rcu);
	return 0;
}

static int lf_hash_type_of(u32 flow_type)
{
	switch (flow_type) {
	case TCP_V4_FLOW:
		return LF_HASH_TCP4;
	case UDP_V4_FLOW:
		return LF_HASH_UDP4;
	case IPV4_FLOW:
		return LF_HASH_IP4;
	case TCP_V6_FLOW:
		return LF_HASH_TCP6;
	case UDP_V6_FLOW:
		return LF_HASH_UDP6;
	case IPV6_FLOW:
		return LF_HASH_IP6;
	default:
		return -EOPNOTSUPP;
	}
}

int lf_hash_fields_get(struct lf_port *port, u32 flow_type, u64 *fields)
{
	int type = lf_hash_type_of(flow_type);

	if (type < 0)
		return type;
	*fields = port->hash_fields[type];
	return 0;
}

int lf_hash_fields_set(struct lf_port *port, u32 flow_type, u64 fields)
{
	u64 can = RXH_IP_SRC | RXH_IP_DST;
	int type = lf_hash_type_of(flow_type);

	if (type < 0)
		return type;
	if (type != LF_HASH_IP4 && type != LF_HASH_IP6)
		can |= RXH_L4_B_0_1 | RXH_L4_B_2_3;
	if (fields & ~can)
		return -EINVAL;
	WRITE_ONCE(port->hash_fields[type], fields);
	return 0;
}
