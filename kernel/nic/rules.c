// SPDX-License-Identifier: GPL-2.0
/* The n-tuple table: rules in order of their location, the first that matches decides. */
#include <linux/ethtool.h>

#include "lf_nic.h"

static struct lf_ruleset *lf_ruleset(struct lf_port *port)
{
	return rcu_dereference_protected(port->ruleset, true);
}

const struct lf_match *lf_rules_lookup(struct lf_port *port, const struct lf_flow *flow)
{
	const struct lf_ruleset *set = rcu_dereference(port->ruleset);
	u32 i;

	for (i = 0; i < set->count; i++)
		if (lf_matches(&set->match[i], flow))
			return &set->match[i];
	return NULL;
}

static void lf_ruleset_fill(struct lf_port *port, struct lf_ruleset *set)
{
	u32 i, n = 0;

	for (i = 0; i < lf_rules; i++) {
		const struct ethtool_rx_flow_spec *fs = port->rules[i];
		struct lf_match *match = &set->match[n];

		if (!fs)
			continue;
		lf_match_from_spec(fs, match);	/* was accepted before */
		match->cookie = fs->ring_cookie;
		match->location = i;
		match->by_context = fs->flow_type & FLOW_RSS;
		match->context = port->rule_context[i];
		n++;
	}
}

/* Puts a rule at a location, or removes what is there, and publishes the new table. */
static int lf_rule_replace(struct lf_port *port, u32 location,
			   struct ethtool_rx_flow_spec *fs, u32 context)
{
	struct ethtool_rx_flow_spec *old = port->rules[location];
	struct lf_ruleset *set, *old_set = lf_ruleset(port);
	u32 count = port->rule_count - !!old + !!fs;

	set = kvzalloc(struct_size(set, match, count), GFP_KERNEL);
	if (!set)
		return -ENOMEM;
	set->count = count;
	port->rules[location] = fs;
	port->rule_context[location] = context;
	port->rule_count = count;
	lf_ruleset_fill(port, set);
	rcu_assign_pointer(port->ruleset, set);
	kvfree_rcu(old_set, rcu);
	kfree(old);
	return 0;
}

int lf_rules_init(struct lf_port *port)
{
	struct lf_ruleset *set;

	port->rules = kvcalloc(lf_rules, sizeof(*port->rules), GFP_KERNEL);
	port->rule_context = kvcalloc(lf_rules, sizeof(*port->rule_context), GFP_KERNEL);
	set = kvzalloc_obj(*set, GFP_KERNEL);
	RCU_INIT_POINTER(port->ruleset, set);
	return port->rules && port->rule_context && set ? 0 : -ENOMEM;
}

void lf_rules_free(struct lf_port *port)
{
	u32 i;

	for (i = 0; port->rules && i < lf_rules; i++)
		kfree(port->rules[i]);
	kvfree(port->rules);
	kvfree(port->rule_context);
	kvfree(lf_ruleset(port));
}

static u64 lf_rule_max_queue(struct lf_port *port, u32 location)
{
	const struct ethtool_rx_flow_spec *fs = port->rules[location];

	if (fs->ring_cookie == RX_CLS_FLOW_DISC)
		return 0;
	if (fs->flow_type & FLOW_RSS)
		return fs->ring_cookie + lf_rss_max_queue(port, port->rule_context[location]);
	return fs->ring_cookie;
}

/* Does no rule lead to a channel behind these? */
bool lf_rules_fit(struct lf_port *port, unsigned int channels)
{
	u32 i;

	for (i = 0; i < lf_rules; i++)
		if (port->rules[i] && lf_rule_max_queue(port, i) >= channels)
			return false;
	return true;
}

/* May the context's table have this greatest entry, with what rules add to it? */
bool lf_rules_allow_table(struct lf_port *port, u32 context, u32 max_entry)
{
	u32 i;

	for (i = 0; i < lf_rules; i++) {
		const struct ethtool_rx_flow_spec *fs = port->rules[i];

		if (!fs || !(fs->flow_type & FLOW_RSS) || port->rule_context[i] != context ||
		    fs->ring_cookie == RX_CLS_FLOW_DISC)
			continue;
		if (fs->ring_cookie + max_entry >= port->dev->real_num_rx_queues)
			return false;
	}
	return true;
}

static int lf_rule_check_target(struct lf_port *port, const struct ethtool_rxnfc *info)
{
	const struct ethtool_rx_flow_spec *fs = &info->fs;
	u64 max = fs->ring_cookie;

	if (fs->ring_cookie == RX_CLS_FLOW_DISC)
		return 0;
	if (fs->ring_cookie > ETHTOOL_RX_FLOW_SPEC_RING)
		return -EOPNOTSUPP;
	if (fs->flow_type & FLOW_RSS) {
		if (info->rss_context >= LF_RSS_CONTEXTS ||
		    !rcu_access_pointer(port->rss[info->rss_context]))
			return -ENOENT;
		max += lf_rss_max_queue(port, info->rss_context);
	}
	return max < port->dev->real_num_rx_queues ? 0 : -EINVAL;
}

/* The location of a rule for the same packets, or -1. */
static int lf_rule_find(struct lf_port *port, const struct lf_match *match)
{
	const struct lf_ruleset *set = lf_ruleset(port);
	u32 i;

	for (i = 0; i < set->count; i++)
		if (!memcmp(set->match[i].key, match->key, sizeof(match->key)) &&
		    !memcmp(set->match[i].mask, match->mask, sizeof(match->mask)))
			return set->match[i].location;
	return -1;
}

static int lf_rule_location(struct lf_port *port, const struct lf_match *match, u32 wanted)
{
	int same, i;

	if (!(wanted & RX_CLS_LOC_SPECIAL))
		return wanted < lf_rules ? wanted : -EINVAL;

	/* The same rule again, perhaps with another target, replaces the first. */
	same = lf_rule_find(port, match);
	if (same >= 0)
		return same;
	if (wanted == RX_CLS_LOC_LAST) {
		for (i = lf_rules - 1; i >= 0; i--)
			if (!port->rules[i])
				return i;
		return -ENOSPC;
	}
	if (wanted != RX_CLS_LOC_ANY && wanted != RX_CLS_LOC_FIRST)
		return -EINVAL;
	for (i = 0; i < lf_rules; i++)
		if (!port->rules[i])
			return i;
	return -ENOSPC;
}

static int lf_rule_insert(struct lf_port *port, struct ethtool_rxnfc *info)
{
	struct ethtool_rx_flow_spec *fs;
	struct lf_match match = {};
	int err, location;

	if (!(port->dev->features & NETIF_F_NTUPLE))
		return -EOPNOTSUPP;
	err = lf_match_from_spec(&info->fs, &match);
	if (!err)
		err = lf_rule_check_target(port, info);
	if (err)
		return err;
	if (lf_fault_due(port->slot, LF_FAULT_RULES_FULL))
		return -ENOSPC;

	location = lf_rule_location(port, &match, info->fs.location);
	if (location < 0)
		return location;
	fs = kmemdup(&info->fs, sizeof(*fs), GFP_KERNEL);
	if (!fs)
		return -ENOMEM;
	fs->location = location;
	err = lf_rule_replace(port, location, fs,
			      fs->flow_type & FLOW_RSS ? info->rss_context : 0);
	if (err) {
		kfree(fs);
		return err;
	}
	info->fs.location = location;
	return 0;
}

int lf_set_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info)
{
	struct lf_port *port = netdev_priv(dev);

	switch (info->cmd) {
	case ETHTOOL_SRXCLSRLINS:
		return lf_rule_insert(port, info);
	case ETHTOOL_SRXCLSRLDEL:
		if (info->fs.location >= lf_rules || !port->rules[info->fs.location])
			return -ENOENT;
		return lf_rule_replace(port, info->fs.location, NULL, 0);
#ifndef LF_HAVE_RXFH_FIELDS
	case ETHTOOL_SRXFH:
		return lf_hash_fields_set(port, info->flow_type, info->data);
#endif
	default:
		return -EOPNOTSUPP;
	}
}

static int lf_rule_get(struct lf_port *port, struct ethtool_rxnfc *info)
{
	u32 location = info->fs.location;

	if (location >= lf_rules || !port->rules[location])
		return -ENOENT;
	info->fs = *port->rules[location];
	if (info->fs.flow_type & FLOW_RSS) {
		info->flow_type |= FLOW_RSS;
		info->rss_context = port->rule_context[location];
	}
	return 0;
}

static int lf_rules_list(struct lf_port *port, struct ethtool_rxnfc *info, u32 *locations)
{
	u32 i, n = 0;

	for (i = 0; i < lf_rules; i++) {
		if (!port->rules[i])
			continue;
		if (n == info->rule_cnt)
			return -EMSGSIZE;
		locations[n++] = i;
	}
	info->rule_cnt = n;
	info->data = lf_rules;
	return 0;
}

int lf_get_rxnfc(struct net_device *dev, struct ethtool_rxnfc *info, u32 *locations)
{
	struct lf_port *port = netdev_priv(dev);

	switch (info->cmd) {
	case ETHTOOL_GRXRINGS:
		info->data = dev->real_num_rx_queues;
		return 0;
	case ETHTOOL_GRXCLSRLCNT:
		info->rule_cnt = port->rule_count;
		info->data = lf_rules | RX_CLS_LOC_SPECIAL;
		return 0;
	case ETHTOOL_GRXCLSRULE:
		return lf_rule_get(port, info);
	case ETHTOOL_GRXCLSRLALL:
		return lf_rules_list(port, info, locations);
#ifndef LF_HAVE_RXFH_FIELDS
	case ETHTOOL_GRXFH:
		return lf_hash_fields_get(port, info->flow_type, &info->data);
#endif
	default:
		return -EOPNOTSUPP;
	}
}
