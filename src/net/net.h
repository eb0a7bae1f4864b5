/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NET_NET_H
#define NET_NET_H

#include "util/error.h"
#include "util/str.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * Routed addresses through a veth whose host end is unnumbered. Both ends carry the same MAC
 * address and NOARP, so that the pair behaves as a point-to-point line (as OpenVZ's venet): no ARP,
 * no ND, `default dev venet0` inside, a /32 or /128 route on the host for each address. Inside, the
 * interface is "venet0". net/nl.c is the only file that includes libnl.
 */

#define NET_GUEST_IF "venet0"

/** net_ifname - name of the host end for a VPS and a start generation, at most 15 characters. */
void net_ifname(uint32_t ctid, uint32_t generation, char ret[16]);

/**
 * net_link_create - make the pair, its peer NET_GUEST_IF inside @netns_fd, and bring both up;
 * loopback inside too, default routes (IPv4; IPv6 when @ipv6) through venet0 inside, forwarding and
 * rp_filter on the host end.
 * A link of that name left behind by a dead start is removed first.
 * Context: host network namespace. Return: 0; -errno with exit 130.
 */
int net_link_create(const char *ifname, int netns_fd, bool ipv6, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * net_link_prepare - for a restore: the same pair, its other end still in the host's network namespace
 * under a name of its own and down. CRIU moves it into the VPS, names it NET_GUEST_IF and sets it up as
 * it was.
 * @ret_peer: its name. Return: 0; -errno with exit 130.
 */
int net_link_prepare(const char *ifname, bool ipv6, char ret_peer[16], struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * net_addr_add - give @addr ("10.0.0.1", "10.0.0.1/24", "2001:db8::1/64") to the VPS: inside on
 * venet0 (with /32 or
 * /128 unless a mask is given), on the host a host route to @ifname. Idempotent.
 * Return: 0; -EEXIST with exit 78 when another interface of this host routes or carries exactly
 * this address;
 * -errno with exit 34.
 */
int net_addr_add(const char *ifname, int netns_fd, const char *addr, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * net_addr_del - the reverse; an address that is not there is no error.
 * @netns_fd: -1 when the VPS is gone already: then the host's route alone, so that another VPS can
 *	have the address before the link has died
 */
int net_addr_del(const char *ifname, int netns_fd, const char *addr, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * net_addr_free - is @addr nobody's on this host: no address of its own, no route to exactly it?
 * Return: 0; -EEXIST with exit 78; -errno with exit 34.
 */
int net_addr_free(const char *addr, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * net_announce - tell the neighbours on every segment of this host that @addr is reached through it now
 * Return: at how many interfaces; -errno with @err when it could be told at none of those there are.
 */
int net_announce(const char *addr, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * net_link_up - bring the host end up, or down: then no packet passes, and the host's routes to its addresses are gone;
 * after it is up again net_addr_add makes them anew. Return: 0; -errno with exit 130.
 */
int net_link_up(const char *ifname, bool up, struct vz_error *err)
	__attribute__((warn_unused_result));

/**
 * net_link_delete - remove the host end now (synchronous; 18-36 ms). A missing link is no error.
 */
int net_link_delete(const char *ifname, struct vz_error *err) __attribute__((warn_unused_result));

/**
 * net_ping_get - net.ipv4.ping_group_range in the network namespace @netns_fd, as the VPS sees it
 * @base, @count: its ids. Return: 0; -errno.
 */
int net_ping_get(int netns_fd, uint64_t base, uint64_t count, char ret[48])
	__attribute__((warn_unused_result));
/** net_ping_set - and set it; @text: "LOW HIGH"; "1 0" is nobody. Return: 0; -EINVAL; -errno. */
int net_ping_set(int netns_fd, uint64_t base, uint64_t count, const char *text)
	__attribute__((warn_unused_result));

/**
 * struct net_sample - what is in a network namespace now
 * @known: bits 1 << enum net_sampled of those that the kernel told
 */
enum net_sampled { NET_RULES, NET_TCP_SND, NET_TCP_RCV, NET_OTHER_SND, NET_DGRAM_RCV, NET_SAMPLED };
struct net_sample {
	unsigned int known;
	uint64_t v[NET_SAMPLED]; /* rules; bytes in socket buffers */
};

/**
 * net_sample - look into the network namespace @netns_fd; what cannot be known is left out
 * Rules are those of nf_tables, and entries of iptables' own tables (policies count, as in OpenVZ).
 * @want: bits 1 << enum net_sampled
 * Context: a process of one thread, which comes back to its own namespace. Return: 0 or -errno.
 */
int net_sample(int netns_fd, unsigned int want, struct net_sample *ret)
	__attribute__((warn_unused_result));

/**
 * net_link_wait_gone - wait for RTM_DELLINK of @ifname, at most @timeout_ms. 0, -ETIMEDOUT, -errno.
 */
int net_link_wait_gone(const char *ifname, int timeout_ms) __attribute__((warn_unused_result));

#endif
