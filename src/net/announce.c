/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Telling the segment that an address is reached through this node now: ARP announcements (RFC 5227, 2.3) and
 * unsolicited neighbour advertisements (RFC 4861, 7.2.6). Nobody answers; a lost one costs the neighbours the
 * time until their entry is stale, so each is sent twice.
 */
#include "net/net.h"

#include "net/priv.h"
#include "util/fd.h"

#include <arpa/inet.h>
#include <errno.h>
#include <ifaddrs.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <net/if_arp.h>
#include <netinet/icmp6.h>
#include <netinet/if_ether.h>
#include <string.h>
#include <sys/socket.h>

enum { COPIES = 2 };

/** struct port - an interface that neighbours may be at */
struct port {
	int index;
	unsigned char mac[ETH_ALEN];
};

/* Ethernet, up, with ARP; links of VPSes have none, nor has the loopback. */
static bool is_port(const struct ifaddrs *i, struct port *ret)
{
	const struct sockaddr_ll *ll = (const void *)i->ifa_addr;

	if (!ll || ll->sll_family != AF_PACKET || ll->sll_hatype != ARPHRD_ETHER ||
	    ll->sll_halen != ETH_ALEN || !(i->ifa_flags & IFF_UP) ||
	    (i->ifa_flags & (IFF_LOOPBACK | IFF_NOARP)))
		return false;
	ret->index = ll->sll_ifindex;
	memcpy(ret->mac, ll->sll_addr, ETH_ALEN);
	return true;
}

static int send_arp(int fd, const struct port *p, const struct net_addr *a)
{
	struct ether_arp m = {
		.ea_hdr = { .ar_hrd = htons(ARPHRD_ETHER),
			    .ar_pro = htons(ETHERTYPE_IP),
			    .ar_hln = ETH_ALEN,
			    .ar_pln = 4,
			    .ar_op = htons(ARPOP_REQUEST) },
	};
	struct sockaddr_ll to = { .sll_family = AF_PACKET,
				  .sll_protocol = htons(ETHERTYPE_ARP),
				  .sll_ifindex = p->index,
				  .sll_halen = ETH_ALEN };

	memset(to.sll_addr, 0xff, ETH_ALEN);
	memcpy(m.arp_sha, p->mac, ETH_ALEN);
	memcpy(m.arp_spa, a->raw, 4);
	memcpy(m.arp_tpa, a->raw, 4);
	return sendto(fd, &m, sizeof(m), 0, (const void *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static int send_na(int fd, const struct port *p, const struct net_addr *a)
{
	struct {
		struct nd_neighbor_advert head;
		struct nd_opt_hdr opt;
		unsigned char mac[ETH_ALEN];
	} m = {
		.head = { .nd_na_hdr = { .icmp6_type = ND_NEIGHBOR_ADVERT } },
		.opt = { .nd_opt_type = ND_OPT_TARGET_LINKADDR, .nd_opt_len = 1 },
	};
	struct sockaddr_in6 to = { .sin6_family = AF_INET6, .sin6_scope_id = (uint32_t)p->index };
	int hops = 255;

	/* of a router, and in place of what the neighbours know */
	m.head.nd_na_flags_reserved = ND_NA_FLAG_ROUTER | ND_NA_FLAG_OVERRIDE;
	memcpy(&m.head.nd_na_target, a->raw, 16);
	memcpy(m.mac, p->mac, ETH_ALEN);
	if (inet_pton(AF_INET6, "ff02::1", &to.sin6_addr) != 1 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_HOPS, &hops, sizeof(hops)) < 0 ||
	    setsockopt(fd, IPPROTO_IPV6, IPV6_MULTICAST_IF, &p->index, sizeof(p->index)) < 0)
		return -errno;
	return sendto(fd, &m, sizeof(m), 0, (const void *)&to, sizeof(to)) < 0 ? -errno : 0;
}

static int announce_at(const struct port *p, const struct net_addr *a)
{
	VZ_FD int fd = a->family == AF_INET ? vz_socket(AF_PACKET, SOCK_DGRAM, 0)
					    : vz_socket(AF_INET6, SOCK_RAW, IPPROTO_ICMPV6);
	int r = fd < 0 ? fd : 0;

	for (int i = 0; r == 0 && i < COPIES; i++)
		r = a->family == AF_INET ? send_arp(fd, p, a) : send_na(fd, p, a);
	return r;
}

int net_announce(const char *addr, struct vz_error *err)
{
	struct ifaddrs *all = NULL;
	struct net_addr a;
	int r = net_addr_parse(addr, &a, err), sent = 0, bad = 0;

	if (r < 0)
		return r;
	if (getifaddrs(&all) < 0)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, errno, "interfaces");
	for (const struct ifaddrs *i = all; i; i = i->ifa_next) {
		struct port p;

		if (!is_port(i, &p))
			continue;
		r = announce_at(&p, &a);
		sent += r == 0;
		bad = r < 0 ? -r : bad;
	}
	freeifaddrs(all);
	/* IPv6 may be off on one of several */
	return bad && !sent ? vz_fail(err, VZ_EXIT_CANT_ADDIP, bad, "announce %s", a.text) : sent;
}
