// SPDX-License-Identifier: GPL-2.0
/* What one n-tuple rule compares. */
#include <linux/ethtool.h>
#include <linux/in.h>

#include "lf_nic.h"

bool lf_matches(const struct lf_match *match, const struct lf_flow *flow)
{
	unsigned int i;

	for (i = 0; i < ARRAY_SIZE(match->key); i++)
		if ((flow->words[i] & match->mask[i]) != match->key[i])
			return false;
	return true;
}

static void lf_match_ports(struct lf_flow *key, struct lf_flow *mask, __be16 sport, __be16 dport,
			   __be16 sport_mask, __be16 dport_mask)
{
	key->sport = sport;
	key->dport = dport;
	mask->sport = sport_mask;
	mask->dport = dport_mask;
}

static int lf_match_v4(const struct ethtool_rx_flow_spec *fs, struct lf_flow *key,
		       struct lf_flow *mask)
{
	const struct ethtool_tcpip4_spec *h = &fs->h_u.tcp_ip4_spec, *m = &fs->m_u.tcp_ip4_spec;

	if (m->tos)
		return -EOPNOTSUPP;
	memcpy(key->src, &h->ip4src, 4);
	memcpy(key->dst, &h->ip4dst, 4);
	memcpy(mask->src, &m->ip4src, 4);
	memcpy(mask->dst, &m->ip4dst, 4);
	lf_match_ports(key, mask, h->psrc, h->pdst, m->psrc, m->pdst);
	return 0;
}

static int lf_match_v6(const struct ethtool_rx_flow_spec *fs, struct lf_flow *key,
		       struct lf_flow *mask)
{
	const struct ethtool_tcpip6_spec *h = &fs->h_u.tcp_ip6_spec, *m = &fs->m_u.tcp_ip6_spec;

	if (m->tclass)
		return -EOPNOTSUPP;
	memcpy(key->src, h->ip6src, 16);
	memcpy(key->dst, h->ip6dst, 16);
	memcpy(mask->src, m->ip6src, 16);
	memcpy(mask->dst, m->ip6dst, 16);
	lf_match_ports(key, mask, h->psrc, h->pdst, m->psrc, m->pdst);
	return 0;
}

static int lf_match_usr4(const struct ethtool_rx_flow_spec *fs, struct lf_flow *key,
			 struct lf_flow *mask)
{
	const struct ethtool_usrip4_spec *h = &fs->h_u.usr_ip4_spec, *m = &fs->m_u.usr_ip4_spec;

	if (m->tos || m->l4_4_bytes)
		return -EOPNOTSUPP;
	memcpy(key->src, &h->ip4src, 4);
	memcpy(key->dst, &h->ip4dst, 4);
	memcpy(mask->src, &m->ip4src, 4);
	memcpy(mask->dst, &m->ip4dst, 4);
	key->l4 = h->proto;
	mask->l4 = m->proto;
	return 0;
}

static int lf_match_usr6(const struct ethtool_rx_flow_spec *fs, struct lf_flow *key,
			 struct lf_flow *mask)
{
	const struct ethtool_usrip6_spec *h = &fs->h_u.usr_ip6_spec, *m = &fs->m_u.usr_ip6_spec;

	if (m->tclass || m->l4_4_bytes)
		return -EOPNOTSUPP;
	memcpy(key->src, h->ip6src, 16);
	memcpy(key->dst, h->ip6dst, 16);
	memcpy(mask->src, m->ip6src, 16);
	memcpy(mask->dst, m->ip6dst, 16);
	key->l4 = h->l4_proto;
	mask->l4 = m->l4_proto;
	return 0;
}

/* What the classifier compares, from what the user wrote. */
int lf_match_from_spec(const struct ethtool_rx_flow_spec *fs, struct lf_match *match)
{
	struct lf_flow key = {}, mask = {};
	unsigned int i;
	int err;

	mask.l3 = 0xff;
	mask.l4 = 0xff;
	switch (fs->flow_type & ~FLOW_RSS) {
	case TCP_V4_FLOW:
	case UDP_V4_FLOW:
		key.l3 = 4;
		key.l4 = (fs->flow_type & ~FLOW_RSS) == TCP_V4_FLOW ? IPPROTO_TCP : IPPROTO_UDP;
		err = lf_match_v4(fs, &key, &mask);
		break;
	case TCP_V6_FLOW:
	case UDP_V6_FLOW:
		key.l3 = 6;
		key.l4 = (fs->flow_type & ~FLOW_RSS) == TCP_V6_FLOW ? IPPROTO_TCP : IPPROTO_UDP;
		err = lf_match_v6(fs, &key, &mask);
		break;
	case IPV4_USER_FLOW:
		key.l3 = 4;
		err = lf_match_usr4(fs, &key, &mask);
		break;
	case IPV6_USER_FLOW:
		key.l3 = 6;
		err = lf_match_usr6(fs, &key, &mask);
		break;
	default:	/* also FLOW_EXT and FLOW_MAC_EXT */
		err = -EOPNOTSUPP;
	}
	if (err)
		return err;

	for (i = 0; i < ARRAY_SIZE(match->key); i++) {
		match->mask[i] = mask.words[i];
		match->key[i] = key.words[i] & mask.words[i];
	}
	return 0;
}
