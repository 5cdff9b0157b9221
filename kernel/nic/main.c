// SPDX-License-Identifier: GPL-2.0
/* Parameters, slots, loading and unloading. */
#include <linux/dma-mapping.h>
#include <linux/kmemleak.h>
#include <linux/module.h>

#include "lf_nic.h"

static unsigned int pairs = 1;
module_param(pairs, uint, 0444);
MODULE_PARM_DESC(pairs, "Pairs of connected ports (1)");

unsigned int lf_queues = 4;
module_param_named(queues, lf_queues, uint, 0444);
MODULE_PARM_DESC(queues, "Channels that a port starts with (4)");

unsigned int lf_max_queues = 16;
module_param_named(max_queues, lf_max_queues, uint, 0444);
MODULE_PARM_DESC(max_queues, "Channels that a port can have (16)");

unsigned int lf_ring = 256;
module_param_named(ring, lf_ring, uint, 0444);
MODULE_PARM_DESC(ring, "Descriptors of an RX or TX ring (256)");

unsigned int lf_mtu = ETH_DATA_LEN;
module_param_named(mtu, lf_mtu, uint, 0444);
MODULE_PARM_DESC(mtu, "MTU that a port starts with (1500)");

unsigned int lf_rules = 1024;
module_param_named(rules, lf_rules, uint, 0444);
MODULE_PARM_DESC(rules, "Size of a port's n-tuple rule table (1024)");

static unsigned int rate;
module_param(rate, uint, 0444);
MODULE_PARM_DESC(rate, "Rate of the links in Mbit/s; 0: unlimited (0)");

DEFINE_MUTEX(lf_plug_lock);	/* plugging and unplugging ports */
static struct lf_slot *lf_slots;
static struct dentry *lf_dir;

int lf_slot_plug(struct lf_slot *slot)
{
	struct lf_port *port;

	lockdep_assert_held(&lf_plug_lock);
	if (rcu_access_pointer(slot->port))
		return 0;

	port = lf_port_create(slot);
	return PTR_ERR_OR_ZERO(port);
}

void lf_slot_unplug(struct lf_slot *slot)
{
	struct lf_port *port;

	lockdep_assert_held(&lf_plug_lock);
	port = rcu_dereference_protected(slot->port, lockdep_is_held(&lf_plug_lock));
	if (port)
		lf_port_destroy(port);
}

static int lf_slot_init(struct lf_slot *slot, unsigned int idx)
{
	struct platform_device *pdev;
	char name[16];
	int err;

	slot->idx = idx;
	slot->peer = &lf_slots[idx ^ 1];
	slot->rate_mbit = rate;
	slot->rx_usecs = 100;
	spin_lock_init(&slot->wire_lock);
	atomic_set(&slot->tx_ring, lf_ring);

	slot->tx_inflight = kcalloc(lf_max_queues, sizeof(*slot->tx_inflight), GFP_KERNEL);
	if (!slot->tx_inflight)
		return -ENOMEM;

	pdev = platform_device_register_simple(LF_NAME, idx, NULL, 0);
	if (IS_ERR(pdev))
		return PTR_ERR(pdev);
	slot->pdev = pdev;
	err = dma_coerce_mask_and_coherent(&pdev->dev, DMA_BIT_MASK(64));
	if (err)
		return err;

	snprintf(name, sizeof(name), "lf%u", idx);
	slot->dir = debugfs_create_dir(name, lf_dir);
	lf_fault_files(slot);
	return 0;
}

static void lf_slot_exit(struct lf_slot *slot)
{
	/*
	 * A dma-buf attachment of a memory provider has no reference to its device and may
	 * live until its owner closes a socket: then the device must never go away.
	 */
	if (slot->pdev) {
		if (slot->had_provider) {
			get_device(&slot->pdev->dev);
			kmemleak_not_leak(slot->pdev);
		}
		platform_device_unregister(slot->pdev);
	}
	kfree(slot->tx_inflight);
}

static void lf_teardown(void)
{
	unsigned int i;

	debugfs_remove_recursive(lf_dir);
	mutex_lock(&lf_plug_lock);
	for (i = 0; i < 2 * pairs; i++)
		lf_slot_unplug(&lf_slots[i]);
	mutex_unlock(&lf_plug_lock);
	for (i = 0; i < 2 * pairs; i++)
		lf_slot_exit(&lf_slots[i]);
	rcu_barrier();
	kfree(lf_slots);
}

static int __init lf_check_params(void)
{
	if (pairs < 1 || pairs > LF_MAX_PAIRS ||
	    lf_max_queues < 1 || lf_max_queues > LF_MAX_QUEUES ||
	    lf_queues < 1 || lf_queues > lf_max_queues ||
	    lf_ring < LF_MIN_RING || lf_ring > LF_MAX_RING ||
	    lf_mtu < ETH_MIN_MTU || lf_mtu > LF_MAX_MTU ||
	    lf_rules < 1 || lf_rules > 65536) {
		pr_err(LF_NAME ": a parameter is out of range\n");
		return -EINVAL;
	}
	return 0;
}

static int __init lf_init(void)
{
	unsigned int i;
	int err;

	err = lf_check_params();
	if (err)
		return err;

	lf_slots = kcalloc(2 * pairs, sizeof(*lf_slots), GFP_KERNEL);
	if (!lf_slots)
		return -ENOMEM;

	lf_dir = debugfs_create_dir(LF_NAME, NULL);
	for (i = 0; i < 2 * pairs; i++) {
		err = lf_slot_init(&lf_slots[i], i);
		if (err)
			goto fail;
	}

	mutex_lock(&lf_plug_lock);
	for (i = 0; i < 2 * pairs && !err; i++)
		err = lf_slot_plug(&lf_slots[i]);
	mutex_unlock(&lf_plug_lock);
	if (err)
		goto fail;
	return 0;

fail:
	lf_teardown();
	return err;
}

static void __exit lf_exit(void)
{
	lf_teardown();
}

module_init(lf_init);
module_exit(lf_exit);
MODULE_LICENSE("GPL");
MODULE_AUTHOR("The landfall authors");
MODULE_DESCRIPTION("Software NIC with header split, flow steering and memory providers");
