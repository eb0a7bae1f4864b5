/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef NET_PRIV_H
#define NET_PRIV_H

#include "util/error.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct nl_sock;

/**
 * struct net_addr - one address
 * @bits: prefix length; @len: bytes used in @raw; @text: without the prefix length
 */
struct net_addr {
	int family;
	unsigned int bits, full;
	size_t len;
	unsigned char raw[16];
	char text[48];
};

/** struct net_found - the route that serves an address: @type is RTN_*, @oif 0 when no device */
struct net_found {
	unsigned int bits, type;
	int oif;
};

enum net_route_op { NET_ROUTE_ADD, NET_ROUTE_REPLACE, NET_ROUTE_DEL };

/* nl.c: one rtnetlink request each; all return 0 or the kernel's -errno. */

/** net_nl_open - a socket of the current network namespace; it stays there. */
int net_nl_open(struct nl_sock **ret) __attribute__((warn_unused_result));
/** net_nl_open_as - the same of another netlink protocol, NETLINK_*. */
int net_nl_open_as(int protocol, struct nl_sock **ret) __attribute__((warn_unused_result));
void net_nl_closep(struct nl_sock **sk);
#define NET_NL __attribute__((cleanup(net_nl_closep)))

/** net_nl_veth - a pair, both ends @mac, NOARP and down, @peer born in the namespace @peer_ns. */
int net_nl_veth(struct nl_sock *sk, const char *name, const char *peer, int peer_ns,
		const unsigned char mac[6]) __attribute__((warn_unused_result));
int net_nl_up(struct nl_sock *sk, int ifindex, bool up) __attribute__((warn_unused_result));
/** net_nl_link_del - -ENODEV when there is none. */
int net_nl_link_del(struct nl_sock *sk, const char *name) __attribute__((warn_unused_result));

/** net_nl_addr_add - -EEXIST when it is there; net_nl_addr_del - -EADDRNOTAVAIL when it is not. */
int net_nl_addr_add(struct nl_sock *sk, int ifindex, const struct net_addr *a)
	__attribute__((warn_unused_result));
int net_nl_addr_del(struct nl_sock *sk, int ifindex, const struct net_addr *a)
	__attribute__((warn_unused_result));

/**
 * net_nl_route - the route to exactly @a->text (@a->bits 0: the default route) through @ifindex
 * Return: 0; -EEXIST (add) when the destination has a route already; -ESRCH (del) when it has none.
 */
int net_nl_route(struct nl_sock *sk, enum net_route_op op, int ifindex, const struct net_addr *a)
	__attribute__((warn_unused_result));

/** net_nl_lookup - the table entry the kernel would use for @a. -ENETUNREACH and the like: none. */
int net_nl_lookup(struct nl_sock *sk, const struct net_addr *a, struct net_found *ret)
	__attribute__((warn_unused_result));

/** net_nl_each_fn - one message of a dump, after its netlink header */
typedef void net_nl_each_fn(const void *data, size_t len, void *arg);
/** net_nl_dump - request @type with the structure @head of @len bytes; @fn for each message. */
int net_nl_dump(struct nl_sock *sk, int type, const void *head, size_t len, net_nl_each_fn *fn,
		void *arg) __attribute__((warn_unused_result));

/** net_nl_watch - subscribe to link messages. Return: fd to poll (owned by @sk) or -errno. */
int net_nl_watch(struct nl_sock *sk) __attribute__((warn_unused_result));

/* net.c */

/** net_addr_parse - "10.0.0.1", "2001:db8::1/64". Return: 0; -EINVAL with exit 34. */
int net_addr_parse(const char *text, struct net_addr *ret, struct vz_error *err)
	__attribute__((warn_unused_result));

/** net_forward_all6 - IPv6 forwarding for the whole host; uplinks still accept advertisements. */
int net_forward_all6(void) __attribute__((warn_unused_result));

/* antispoof.c */

/**
 * net_antispoof6 - drop packets of VPSes whose IPv6 source is not theirs. Idempotent. Return: 0;
 * -errno with @err.
 */
int net_antispoof6(struct vz_error *err) __attribute__((warn_unused_result));

#endif
