// SPDX-License-Identifier: GPL-2.0
/* Reading frames: where the headers end, and the payload piece by piece. */
#include <linux/dma-direct.h>
#include <linux/if_vlan.h>
#include <linux/ip.h>
#include <linux/ipv6.h>
#include <linux/tcp.h>
#include <linux/udp.h>
#include <net/ip.h>
#include <net/ipv6.h>

#include "lf_nic.h"

/*
 * The bus address that a memory provider gave. Without an IOMMU it is a physical one, and what
 * has a page is in the direct map; anything else (memory of a device) is out of the CPU's reach.
 */
static void *lf_bus_va(struct device *dev, dma_addr_t addr)
{
	phys_addr_t phys = dma_to_phys(dev, addr);

	return pfn_valid(PHYS_PFN(phys)) ? phys_to_virt(phys) : NULL;
}

void *lf_netmem_va(struct device *dev, netmem_ref netmem)
{
	if (!netmem_is_net_iov(netmem))
		return netmem_address(netmem);
	return lf_bus_va(dev, page_pool_get_dma_addr_netmem(netmem));
}

static void lf_parse_l4(const struct sk_buff *skb, struct lf_flow *flow, u32 end)
{
	union {
		struct tcphdr tcp;
		struct udphdr udp;
	} buf;
	u32 off = flow->l4_off;

	if (flow->l4 == IPPROTO_TCP) {
		const struct tcphdr *th = skb_header_pointer(skb, off, sizeof(buf.tcp), &buf);

		if (!th || th->doff < 5 || off + th->doff * 4 > end)
			goto no_ports;
		flow->sport = th->source;
		flow->dport = th->dest;
		flow->hdr_len = off + th->doff * 4;
		return;
	}
	if (flow->l4 == IPPROTO_UDP) {
		const struct udphdr *uh = skb_header_pointer(skb, off, sizeof(buf.udp), &buf);

		if (!uh || off + sizeof(*uh) > end)
			goto no_ports;
		flow->sport = uh->source;
		flow->dport = uh->dest;
		flow->hdr_len = off + sizeof(*uh);
	}
	return;

no_ports:
	flow->l4 = 0;
}

static void lf_parse_ip4(const struct sk_buff *skb, struct lf_flow *flow)
{
	struct iphdr buf;
	const struct iphdr *ih = skb_header_pointer(skb, flow->l3_off, sizeof(buf), &buf);

	if (!ih || ih->version != 4 || ih->ihl < 5)
		return;
	flow->l3 = 4;
	memcpy(flow->src, &ih->saddr, 4);
	memcpy(flow->dst, &ih->daddr, 4);
	if (ih->frag_off & htons(IP_MF | IP_OFFSET))
		return;
	flow->l4 = ih->protocol;
	flow->l4_off = flow->l3_off + ih->ihl * 4;
	lf_parse_l4(skb, flow, skb->len);
}

static void lf_parse_ip6(const struct sk_buff *skb, struct lf_flow *flow)
{
	struct ipv6hdr buf;
	const struct ipv6hdr *ih = skb_header_pointer(skb, flow->l3_off, sizeof(buf), &buf);

	if (!ih || ih->version != 6)
		return;
	flow->l3 = 6;
	memcpy(flow->src, &ih->saddr, 16);
	memcpy(flow->dst, &ih->daddr, 16);
	if (ipv6_ext_hdr(ih->nexthdr))
		return;
	flow->l4 = ih->nexthdr;
	flow->l4_off = flow->l3_off + sizeof(*ih);
	lf_parse_l4(skb, flow, skb->len);
}

void lf_parse(const struct sk_buff *skb, struct lf_flow *flow)
{
	struct vlan_ethhdr buf;
	const struct vlan_ethhdr *eh;
	__be16 proto;

	memset(flow, 0, sizeof(*flow));
	eh = skb_header_pointer(skb, 0, ETH_HLEN, &buf);
	if (!eh)
		return;
	proto = eh->h_vlan_proto;
	flow->l3_off = ETH_HLEN;
	if (eth_type_vlan(proto)) {
		eh = skb_header_pointer(skb, 0, sizeof(buf), &buf);
		if (!eh)
			return;
		proto = eh->h_vlan_encapsulated_proto;
		flow->l3_off = VLAN_ETH_HLEN;
	}
	if (proto == htons(ETH_P_IP))
		lf_parse_ip4(skb, flow);
	else if (proto == htons(ETH_P_IPV6))
		lf_parse_ip6(skb, flow);
}

static bool lf_source_next(struct lf_source *src)
{
	const struct skb_shared_info *shinfo = skb_shinfo(src->skb);
	const skb_frag_t *frag;

	if (++src->frag >= shinfo->nr_frags)
		return false;
	frag = &shinfo->frags[src->frag];
	src->left = skb_frag_size(frag);
#ifdef LF_HAVE_NETMEM_TX
	if (skb_frag_is_net_iov(frag)) {
		dma_addr_t addr = netmem_get_dma_addr(skb_frag_netmem(frag));
		const u8 *va = lf_bus_va(src->dma, addr);

		src->at = va ? va + skb_frag_off(frag) : NULL;
		return true;
	}
#endif
	src->at = page_address(skb_frag_page(frag)) + skb_frag_off(frag);
	return true;
}

/* Makes ready to read the frame from a byte that is in its linear part or right behind it. */
void lf_source_start(struct lf_source *src, struct device *dma, struct sk_buff *skb,
		     u32 offset)
{
	src->dma = dma;
	src->skb = skb;
	src->frag = -1;
	src->at = skb->data;
	src->left = skb_headlen(skb);
	while (offset >= src->left) {
		offset -= src->left;
		src->left = 0;
		if (!lf_source_next(src))
			return;
	}
	src->at += offset;
	src->left -= offset;
}

/* Copies the next bytes, or passes over them where to is NULL. */
void lf_source_copy(struct lf_source *src, u8 *to, u32 len)
{
	while (len) {
		u32 n;

		if (!src->left && !lf_source_next(src))
			return;
		n = min(len, src->left);
		if (to) {
			/* A sender's memory that the CPU cannot reach reads as zeros. */
			if (src->at)
				memcpy(to, src->at, n);
			else
				memset(to, 0, n);
			to += n;
		}
		if (src->at)
			src->at += n;
		src->left -= n;
		len -= n;
	}
}
