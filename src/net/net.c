/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "net/net.h"

#include "net/priv.h"
#include "util/fd.h"
#include "util/parse.h"
#include "util/proc.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

enum { LOOPBACK_INDEX = 1 };

/*
 * The host end. The tenant can send what he likes through it: nothing may configure the host, so
 * no advertisements, no redirects, no link-local address. IPv6 is off until the VPS has such an
 * address.
 */
static const struct {
	const char *family, *key, *value;
	bool must;
} host_sysctls[] = {
	{ "ipv6", "disable_ipv6", "1", false },
	{ "ipv6", "addr_gen_mode", "1", false }, /* IN6_ADDR_GEN_MODE_NONE */
	{ "ipv6", "accept_ra", "0", false },
	{ "ipv6", "autoconf", "0", false },
	{ "ipv6", "accept_redirects", "0", false },
	{ "ipv4", "forwarding", "1", true },
	{ "ipv4", "rp_filter", "1", true },
	{ "ipv4", "proxy_arp", "0", true },
	{ "ipv4", "accept_redirects", "0", false },
	{ "ipv4", "send_redirects", "0", false },
};

void net_ifname(uint32_t ctid, uint32_t generation, char ret[16])
{
	(void)snprintf(ret, 16, "vz%u-%x", ctid, generation & 0xff);
}

/* "vz101" of "vz101-3": what all links of one VPS have in common. */
static size_t stem(const char *ifname)
{
	return strcspn(ifname, "-");
}

/* Stable over restarts, so that what a tenant ties to it stays valid; nobody else sees it. */
static void mac_of(const char *ifname, unsigned char ret[6])
{
	uint64_t h = UINT64_C(0xcbf29ce484222325); /* FNV-1a */

	for (size_t i = 0; i < stem(ifname); i++)
		h = (h ^ (unsigned char)ifname[i]) * UINT64_C(0x100000001b3);
	for (int i = 0; i < 6; i++)
		ret[i] = (unsigned char)(h >> (8 * i));
	ret[0] = (unsigned char)((ret[0] & 0xfc) | 0x02); /* unicast, locally administered */
}

static int sysctl_put(const char *family, const char *ifname, const char *key, const char *value)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, ifname, key);
	return vz_write_value(AT_FDCWD, path, value);
}

static int sysctl_get(const char *family, const char *ifname, const char *key, uint64_t *ret)
{
	char path[PATH_MAX];

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, ifname, key);
	return vz_read_u64(AT_FDCWD, path, ret);
}

/* ---- work inside the VPS's network namespace ---- */

struct inside {
	bool ipv6, add;
	struct net_addr addr;
};

typedef int (*inside_fn)(struct nl_sock *sk, const struct inside *in, struct vz_error *err);

/*
 * On entry and return the network namespace is the host's, between them the VPS's: its sockets and
 * /proc/sys/net are those of whoever opens them. Root, mounts and ids stay ours. A child would do
 * as well, but takes ten times as long.
 */
static int inside_run(int netns_fd, inside_fn fn, const struct inside *in, struct vz_error *err)
{
	VZ_FD int home = vz_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	NET_NL struct nl_sock *sk = NULL;
	int r;

	if (home < 0)
		return vz_fail(err, VZ_EXIT_VETH, -home, "open /proc/self/ns/net");
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return vz_fail(err, VZ_EXIT_VETH, errno, "enter the network namespace");
	r = net_nl_open(&sk);
	r = r < 0 ? vz_fail(err, VZ_EXIT_VETH, -r, "rtnetlink socket inside") : fn(sk, in, err);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* cannot be; and nothing of ours may go on in a tenant's network */
	return r;
}

/* The kernel's own answer to "is it there already" is 0 for us. */
static int default_route(struct nl_sock *sk, int family, int ifindex)
{
	struct net_addr any = { .family = family };
	int r = net_nl_route(sk, NET_ROUTE_ADD, ifindex, &any);

	return r == -EEXIST ? 0 : r;
}

static int inside_ipv6(struct nl_sock *sk, int ifindex, int exit, struct vz_error *err)
{
	int r;

	(void)sysctl_put("ipv6", "lo", "disable_ipv6", "0");
	r = sysctl_put("ipv6", NET_GUEST_IF, "disable_ipv6", "0");
	if (r == 0)
		r = default_route(sk, AF_INET6, ifindex);
	return r < 0 ? vz_fail(err, exit, -r, "IPv6 on " NET_GUEST_IF) : 0;
}

static int inside_setup(struct nl_sock *sk, const struct inside *in, struct vz_error *err)
{
	int ifindex = (int)if_nametoindex(NET_GUEST_IF);
	int r;

	if (ifindex == 0)
		return vz_fail(err, VZ_EXIT_VETH, ENODEV, "interface " NET_GUEST_IF);
	r = net_nl_up(sk, LOOPBACK_INDEX, true);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "bring lo up inside");
	r = net_nl_up(sk, ifindex, true);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "bring " NET_GUEST_IF " up inside");
	r = default_route(sk, AF_INET, ifindex);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "default route inside");
	return in->ipv6 ? inside_ipv6(sk, ifindex, VZ_EXIT_VETH, err) : 0;
}

/* Removed with whatever prefix length it has: the tenant or networkd may have made it anew. */
static int inside_addr_del(struct nl_sock *sk, int ifindex, struct net_addr a)
{
	for (a.bits = a.full; a.bits > 0; a.bits--) {
		int r = net_nl_addr_del(sk, ifindex, &a);

		if (r < 0 && r != -EADDRNOTAVAIL)
			return r;
	}
	return 0;
}

static int inside_addr(struct nl_sock *sk, const struct inside *in, struct vz_error *err)
{
	int ifindex = (int)if_nametoindex(NET_GUEST_IF);
	int r;

	if (ifindex == 0) {
		if (!in->add)
			return 0;
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, ENODEV, "interface " NET_GUEST_IF);
	}
	if (!in->add) {
		r = inside_addr_del(sk, ifindex, in->addr);
		if (r < 0)
			return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "remove %s inside",
				       in->addr.text);
		return 0;
	}
	if (in->addr.family == AF_INET6) {
		r = inside_ipv6(sk, ifindex, VZ_EXIT_CANT_ADDIP, err);
		if (r < 0)
			return r;
	}
	r = net_nl_addr_add(sk, ifindex, &in->addr);
	if (r < 0 && r != -EEXIST)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "add %s inside", in->addr.text);
	/* with the last IPv4 address the kernel takes the routes of the device away */
	r = in->addr.family == AF_INET ? default_route(sk, AF_INET, ifindex) : 0;
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "default route inside");
	return 0;
}

/* ---- the host ---- */

static bool ipv6_there(void)
{
	return access("/proc/sys/net/ipv6/conf", F_OK) == 0;
}

int net_forward_all6(void)
{
	VZ_DIR DIR *d = vz_opendirat(AT_FDCWD, "/proc/sys/net/ipv6/conf");
	struct dirent *e;
	uint64_t v;
	int r;

	if (!d)
		return -errno;
	r = sysctl_get("ipv6", "all", "forwarding", &v);
	if (r < 0 || v)
		return r;
	/* A forwarding host ignores advertisements on accept_ra=1: uplinks would lose routes. */
	while ((e = readdir(d)))
		if (e->d_name[0] != '.' && !vz_streq(e->d_name, "all") &&
		    sysctl_get("ipv6", e->d_name, "accept_ra", &v) == 0 && v == 1)
			(void)sysctl_put("ipv6", e->d_name, "accept_ra", "2");
	return sysctl_put("ipv6", "all", "forwarding", "1");
}

static int host_ipv6(const char *ifname, int exit, struct vz_error *err)
{
	int r;

	if (!ipv6_there())
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, EAFNOSUPPORT,
			       "IPv6 is disabled on this host");
	r = sysctl_put("ipv6", ifname, "disable_ipv6", "0");
	if (r == 0) {
		r = sysctl_put("ipv6", ifname, "force_forwarding", "1"); /* Linux 6.17 */
		if (r == -ENOENT)
			r = net_forward_all6();
	}
	if (r < 0)
		return vz_fail(err, exit, -r, "IPv6 forwarding for %s", ifname);
	r = net_antispoof6(err);
	if (r < 0)
		err->exit = exit;
	return r;
}

static int host_setup(struct nl_sock *sk, const char *ifname, bool ipv6, struct vz_error *err)
{
	int ifindex = (int)if_nametoindex(ifname);
	int r;

	if (ifindex == 0)
		return vz_fail(err, VZ_EXIT_VETH, ENODEV, "interface %s", ifname);
	for (size_t i = 0; i < sizeof(host_sysctls) / sizeof(*host_sysctls); i++) {
		r = sysctl_put(host_sysctls[i].family, ifname, host_sysctls[i].key,
			       host_sysctls[i].value);
		if (r < 0 && host_sysctls[i].must)
			return vz_fail(err, VZ_EXIT_VETH, -r, "%s %s of %s", host_sysctls[i].family,
				       host_sysctls[i].key, ifname);
	}
	if (ipv6) {
		r = host_ipv6(ifname, VZ_EXIT_VETH, err);
		if (r < 0)
			return r;
	}
	r = net_nl_up(sk, ifindex, true);
	return r < 0 ? vz_fail(err, VZ_EXIT_VETH, -r, "bring %s up", ifname) : 0;
}

int net_link_create(const char *ifname, int netns_fd, bool ipv6, struct vz_error *err)
{
	NET_NL struct nl_sock *sk = NULL;
	struct inside in = { .ipv6 = ipv6 };
	unsigned char mac[6];
	int r = net_nl_open(&sk);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "rtnetlink socket");
	mac_of(ifname, mac);
	r = net_nl_veth(sk, ifname, NET_GUEST_IF, netns_fd, mac);
	if (r == -EEXIST && net_nl_link_del(sk, ifname) == 0) /* else venet0 is what exists */
		r = net_nl_veth(sk, ifname, NET_GUEST_IF, netns_fd, mac);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "make the pair %s, " NET_GUEST_IF, ifname);
	r = host_setup(sk, ifname, ipv6, err);
	if (r == 0)
		r = inside_run(netns_fd, inside_setup, &in, err);
	if (r < 0 && net_nl_link_del(sk, ifname) < 0)
		return vz_wrap(err, r, "%s is left over", ifname);
	return r;
}

int net_link_prepare(const char *ifname, bool ipv6, char ret_peer[16], struct vz_error *err)
{
	VZ_FD int home = vz_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	NET_NL struct nl_sock *sk = NULL;
	unsigned char mac[6];
	char peer[16];
	int r = home < 0 ? home : net_nl_open(&sk);

	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "rtnetlink socket");
	(void)snprintf(peer, sizeof(peer), "vp%.13s", ifname + 2);
	mac_of(ifname, mac);
	r = net_nl_veth(sk, ifname, peer, home, mac);
	if (r == -EEXIST) { /* of a restore that was cut off; either end takes the other along */
		if (net_nl_link_del(sk, ifname) < 0)
			(void)!net_nl_link_del(sk, peer);
		r = net_nl_veth(sk, ifname, peer, home, mac);
	}
	if (r < 0)
		return vz_fail(err, VZ_EXIT_VETH, -r, "make the pair %s, %s", ifname, peer);
	r = host_setup(sk, ifname, ipv6, err);
	if (r < 0 && net_nl_link_del(sk, ifname) < 0)
		return vz_wrap(err, r, "%s is left over", ifname);
	memcpy(ret_peer, peer, sizeof(peer));
	return r;
}

static bool usable(const struct net_addr *a)
{
	if (a->family == AF_INET)
		return a->raw[0] != 0 && a->raw[0] != 127 && a->raw[0] < 224;
	if (a->raw[0] == 0xff || (a->raw[0] == 0xfe && (a->raw[1] & 0xc0) == 0x80))
		return false; /* multicast, link-local */
	for (size_t i = 0; i < 15; i++)
		if (a->raw[i])
			return true;
	return a->raw[15] > 1; /* "::" and "::1" */
}

int net_addr_parse(const char *text, struct net_addr *ret, struct vz_error *err)
{
	struct net_addr a = { .family = strchr(text, ':') ? AF_INET6 : AF_INET };
	char host[sizeof(a.text)], shown[80];
	const char *slash = strchrnul(text, '/');
	uint64_t bits;

	a.len = a.family == AF_INET6 ? 16 : 4;
	a.full = (unsigned int)a.len * 8;
	bits = a.full;
	(void)snprintf(host, sizeof(host), "%.*s", (int)(slash - text), text);
	if ((size_t)(slash - text) >= sizeof(host) || inet_pton(a.family, host, a.raw) != 1 ||
	    (*slash && vz_parse_u64(slash + 1, 1, a.full, &bits) < 0) || !usable(&a))
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, EINVAL, "address '%s'",
			       vz_quote(shown, sizeof(shown), text));
	a.bits = (unsigned int)bits;
	(void)inet_ntop(a.family, a.raw, a.text, sizeof(a.text));
	*ret = a;
	return 0;
}

/*
 * Who has this address now? A dying link of an earlier start of the same VPS may keep its route for
 * some milliseconds: that one is taken over, and goes without ours when the kernel removes the
 * device.
 */
static int host_route_add(struct nl_sock *sk, const char *ifname, int ifindex,
			  const struct net_addr *a, bool *ret_added, struct vz_error *err)
{
	enum net_route_op op = NET_ROUTE_ADD;
	struct net_found f = { 0 };
	char other[IF_NAMESIZE] = "";
	int r = net_nl_lookup(sk, a, &f);

	if (r == 0 && f.bits == a->full && f.type != RTN_UNSPEC) {
		if (f.type == RTN_UNICAST && f.oif == ifindex)
			return 0;
		if (f.oif && !if_indextoname((unsigned int)f.oif, other))
			other[0] = '\0';
		if (f.type == RTN_LOCAL)
			return vz_fail(err, VZ_EXIT_IP_INUSE, EEXIST,
				       "%s is an address of this host (%s)", a->text, other);
		if (f.type != RTN_UNICAST || stem(other) != stem(ifname) ||
		    strncmp(other, ifname, stem(ifname) + 1) != 0)
			return vz_fail(err, VZ_EXIT_IP_INUSE, EEXIST, "%s is in use (%s)", a->text,
				       other[0] ? other : "no device");
		op = NET_ROUTE_REPLACE;
	}
	r = net_nl_route(sk, op, ifindex, a);
	if (r == -EEXIST)
		return vz_fail(err, VZ_EXIT_IP_INUSE, EEXIST, "%s has a route already", a->text);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "route to %s through %s", a->text,
			       ifname);
	*ret_added = true;
	return 0;
}

int net_addr_add(const char *ifname, int netns_fd, const char *addr, struct vz_error *err)
{
	NET_NL struct nl_sock *sk = NULL;
	struct inside in = { .add = true };
	int ifindex = (int)if_nametoindex(ifname);
	bool added = false;
	int r = net_addr_parse(addr, &in.addr, err);

	if (r < 0)
		return r;
	if (ifindex == 0)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, ENODEV, "interface %s", ifname);
	r = net_nl_open(&sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "rtnetlink socket");
	if (in.addr.family == AF_INET6) {
		r = host_ipv6(ifname, VZ_EXIT_CANT_ADDIP, err);
		if (r < 0)
			return r;
	}
	r = host_route_add(sk, ifname, ifindex, &in.addr, &added, err);
	if (r < 0)
		return r;
	r = inside_run(netns_fd, inside_addr, &in, err);
	if (r < 0 && added && net_nl_route(sk, NET_ROUTE_DEL, ifindex, &in.addr) < 0)
		return vz_wrap(err, r, "the route to %s is left over", in.addr.text);
	return r;
}

int net_addr_del(const char *ifname, int netns_fd, const char *addr, struct vz_error *err)
{
	NET_NL struct nl_sock *sk = NULL;
	struct inside in = { .add = false };
	int ifindex = (int)if_nametoindex(ifname);
	int r = net_addr_parse(addr, &in.addr, err);

	if (r == 0 && (r = net_nl_open(&sk)) < 0)
		(void)vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "rtnetlink socket");
	if (r < 0)
		return r;
	if (ifindex) {
		r = net_nl_route(sk, NET_ROUTE_DEL, ifindex, &in.addr);
		if (r < 0 && r != -ESRCH)
			return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "remove the route to %s",
				       in.addr.text);
	}
	return netns_fd < 0 ? 0 : inside_run(netns_fd, inside_addr, &in, err);
}

int net_addr_free(const char *addr, struct vz_error *err)
{
	NET_NL struct nl_sock *sk = NULL;
	struct net_found f = { 0 };
	char dev[IF_NAMESIZE] = "";
	struct net_addr a;
	int r = net_addr_parse(addr, &a, err);

	if (r < 0)
		return r;
	r = net_nl_open(&sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CANT_ADDIP, -r, "rtnetlink socket");
	if (net_nl_lookup(sk, &a, &f) < 0 || f.bits != a.full || f.type == RTN_UNSPEC)
		return 0;
	if (f.oif && !if_indextoname((unsigned int)f.oif, dev))
		dev[0] = '\0';
	return vz_fail(err, VZ_EXIT_IP_INUSE, EEXIST, "address %s is in use (%s)", a.text,
		       dev[0] ? dev : "no device");
}

int net_link_up(const char *ifname, bool up, struct vz_error *err)
{
	NET_NL struct nl_sock *sk = NULL;
	int ifindex = (int)if_nametoindex(ifname);
	int r = ifindex ? net_nl_open(&sk) : -ENODEV;

	if (r == 0)
		r = net_nl_up(sk, ifindex, up);
	return r < 0 ? vz_fail(err, VZ_EXIT_VETH, -r, "bring %s %s", ifname, up ? "up" : "down")
		     : 0;
}

int net_link_delete(const char *ifname, struct vz_error *err)
{
	NET_NL struct nl_sock *sk = NULL;
	int r = net_nl_open(&sk);

	if (r == 0)
		r = net_nl_link_del(sk, ifname);
	if (r < 0 && r != -ENODEV)
		return vz_fail(err, VZ_EXIT_VETH, -r, "remove %s", ifname);
	return 0;
}

int net_link_wait_gone(const char *ifname, int timeout_ms)
{
	NET_NL struct nl_sock *sk = NULL;
	uint64_t end = vz_now_ms() + (uint64_t)(timeout_ms > 0 ? timeout_ms : 0);
	char sink[4096];
	int fd, r = net_nl_open(&sk);

	if (r < 0)
		return r;
	fd = net_nl_watch(sk); /* before the first look, or we could miss the message */
	if (fd < 0)
		return fd;
	while (if_nametoindex(ifname) != 0) {
		struct pollfd p = { .fd = fd, .events = POLLIN };
		uint64_t now = vz_now_ms();

		if (now >= end)
			return -ETIMEDOUT;
		if (poll(&p, 1, (int)(end - now)) < 0 && errno != EINTR)
			return -errno;
		while (recv(fd, sink, sizeof(sink), MSG_DONTWAIT) > 0)
			; /* any link message, even a lost one, is a reason to look again */
	}
	return 0;
}
