// SPDX-License-Identifier: GPL-2.0
/* debugfs: faults on purpose and their counters, the wire's rate, a look at the classifier. */
#include <linux/inet.h>
#include <linux/in6.h>
#include <linux/seq_file.h>
#include <linux/uaccess.h>

#include "lf_nic.h"

static const char * const lf_fault_names[LF_FAULTS] = {
	[LF_FAULT_LINEAR]	= "linear",
	[LF_FAULT_CORRUPT]	= "corrupt",
	[LF_FAULT_ALLOC]	= "alloc",
	[LF_FAULT_RESTART]	= "restart",
	[LF_FAULT_MOVE]		= "move",
	[LF_FAULT_RULES_FULL]	= "rules_full",
	[LF_FAULT_UNPLUG]	= "unplug",
};

const char *lf_fault_name(enum lf_fault_id id)
{
	return lf_fault_names[id];
}

void lf_fault_hit(struct lf_slot *slot, enum lf_fault_id id)
{
	atomic64_inc(&slot->fault[id].hits);
}

bool __lf_fault_due(struct lf_slot *slot, enum lf_fault_id id)
{
	struct lf_fault *fault = &slot->fault[id];
	u32 every = READ_ONCE(fault->every);

	if (!every || (u32)atomic_inc_return(&fault->seen) % every)
		return false;
	lf_fault_hit(slot, id);
	return true;
}

/* Every so many packets all flows change from their queue to the next one, or back. */
bool lf_fault_moved(struct lf_slot *slot)
{
	struct lf_fault *fault = &slot->fault[LF_FAULT_MOVE];
	u32 every = READ_ONCE(fault->every);

	if (likely(!every) || !((u32)atomic_inc_return(&fault->seen) / every & 1))
		return false;
	lf_fault_hit(slot, LF_FAULT_MOVE);
	return true;
}

static int lf_every_get(void *data, u64 *value)
{
	*value = ((struct lf_fault *)data)->every;
	return 0;
}

static int lf_every_set(void *data, u64 value)
{
	struct lf_fault *fault = data;

	if (value > U32_MAX)
		return -ERANGE;
	atomic_set(&fault->seen, 0);
	WRITE_ONCE(fault->every, value);
	return 0;
}
DEFINE_DEBUGFS_ATTRIBUTE(lf_every_fops, lf_every_get, lf_every_set, "%llu\n");

static int lf_unplug_get(void *data, u64 *value)
{
	*value = !rcu_access_pointer(((struct lf_slot *)data)->port);
	return 0;
}

static int lf_unplug_set(void *data, u64 value)
{
	struct lf_slot *slot = data;
	int err = 0;

	mutex_lock(&lf_plug_lock);
	if (value) {
		if (rcu_access_pointer(slot->port))
			lf_fault_hit(slot, LF_FAULT_UNPLUG);
		lf_slot_unplug(slot);
	} else {
		err = lf_slot_plug(slot);
	}
	mutex_unlock(&lf_plug_lock);
	return err;
}
DEFINE_DEBUGFS_ATTRIBUTE(lf_unplug_fops, lf_unplug_get, lf_unplug_set, "%llu\n");

static int lf_counters_show(struct seq_file *s, void *unused)
{
	struct lf_slot *slot = s->private;
	unsigned int id;

	for (id = 0; id < LF_FAULTS; id++)
		seq_printf(s, "%s %lld\n", lf_fault_names[id],
			   atomic64_read(&slot->fault[id].hits));
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(lf_counters);

/* Where payload bytes went, in sum over the queues. */
static int lf_payload_show(struct seq_file *s, void *unused)
{
	struct lf_slot *slot = s->private;
	u64 provider = 0, page = 0, linear = 0;
	struct lf_port *port;

	rcu_read_lock();
	port = rcu_dereference(slot->port);
	if (port) {
		provider = lf_stats_rx_total(port, LF_RX_PAYLOAD_PROVIDER);
		page = lf_stats_rx_total(port, LF_RX_PAYLOAD_PAGE);
		linear = lf_stats_rx_total(port, LF_RX_PAYLOAD_LINEAR);
	}
	rcu_read_unlock();
	seq_printf(s, "provider %llu\npage %llu\nlinear %llu\n", provider, page, linear);
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(lf_payload);

/* The rings, with pointers left out. */
static int lf_rings_show(struct seq_file *s, void *unused)
{
	struct lf_slot *slot = s->private;
	struct lf_port *port;
	unsigned int i;

	rcu_read_lock();
	port = rcu_dereference(slot->port);
	for (i = 0; port && i < lf_max_queues; i++) {
		const struct lf_rxq *rxq = &port->rxq[i];

		if (READ_ONCE(rxq->active))
			seq_printf(s, "queue %u size %u posted %u buffer %u provider %u\n", i,
				   rxq->mem.size, rxq->mem.posted, rxq->mem.buf_bytes,
				   rxq->mem.provider);
	}
	rcu_read_unlock();
	return 0;
}
DEFINE_SHOW_ATTRIBUTE(lf_rings);

/* "tcp|udp|ip SRC SPORT DST DPORT" as the NIC would read it from a packet. */
static int lf_flow_from_text(char *text, struct lf_flow *flow)
{
	char proto[4], src[INET6_ADDRSTRLEN], dst[INET6_ADDRSTRLEN];
	u16 sport, dport;

	if (sscanf(text, "%3s %47s %hu %47s %hu", proto, src, &sport, dst, &dport) != 5)
		return -EINVAL;
	memset(flow, 0, sizeof(*flow));
	if (!strcmp(proto, "tcp"))
		flow->l4 = IPPROTO_TCP;
	else if (!strcmp(proto, "udp"))
		flow->l4 = IPPROTO_UDP;
	else if (strcmp(proto, "ip"))
		return -EINVAL;
	flow->sport = htons(sport);
	flow->dport = htons(dport);
	if (in4_pton(src, -1, flow->src, -1, NULL) && in4_pton(dst, -1, flow->dst, -1, NULL))
		flow->l3 = 4;
	else if (in6_pton(src, -1, flow->src, -1, NULL) && in6_pton(dst, -1, flow->dst, -1, NULL))
		flow->l3 = 6;
	else
		return -EINVAL;
	return 0;
}

static ssize_t lf_classify_write(struct file *file, const char __user *from, size_t count,
				 loff_t *pos)
{
	struct lf_slot *slot = file->private_data;
	struct lf_target target;
	struct lf_port *port;
	struct lf_flow flow;
	char text[128];
	int err;

	if (count >= sizeof(text))
		return -EINVAL;
	if (copy_from_user(text, from, count))
		return -EFAULT;
	text[count] = 0;
	err = lf_flow_from_text(text, &flow);
	if (err)
		return err;

	mutex_lock(&lf_plug_lock);
	rcu_read_lock();
	port = rcu_dereference(slot->port);
	if (port) {
		lf_classify(port, &flow, &target);
		snprintf(slot->classify, sizeof(slot->classify),
			 "hash 0x%08x queue %d rule %d\n", target.hash, target.queue,
			 target.location);
	}
	rcu_read_unlock();
	mutex_unlock(&lf_plug_lock);
	return port ? count : -ENODEV;
}

static ssize_t lf_classify_read(struct file *file, char __user *to, size_t count, loff_t *pos)
{
	struct lf_slot *slot = file->private_data;

	return simple_read_from_buffer(to, count, pos, slot->classify, strlen(slot->classify));
}

static const struct file_operations lf_classify_fops = {
	.owner	= THIS_MODULE,
	.open	= simple_open,
	.read	= lf_classify_read,
	.write	= lf_classify_write,
};

void lf_fault_files(struct lf_slot *slot)
{
	struct dentry *dir = debugfs_create_dir("fault", slot->dir);
	unsigned int id;

	for (id = 0; id < LF_FAULT_UNPLUG; id++)
		debugfs_create_file_unsafe(lf_fault_names[id], 0600, dir, &slot->fault[id],
					   &lf_every_fops);
	debugfs_create_file_unsafe("unplug", 0600, dir, slot, &lf_unplug_fops);
	debugfs_create_file("counters", 0400, dir, slot, &lf_counters_fops);
	debugfs_create_file("payload", 0400, slot->dir, slot, &lf_payload_fops);
	debugfs_create_file("rings", 0400, slot->dir, slot, &lf_rings_fops);
	debugfs_create_file("classify", 0600, slot->dir, slot, &lf_classify_fops);
	debugfs_create_u32("rate_mbit", 0600, slot->dir, &slot->rate_mbit);
	debugfs_create_u64("wire_idle_ns", 0400, slot->dir, &slot->wire_idle_ns);
}
