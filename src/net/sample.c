/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Numbers of a VPS's network namespace that only the kernel's dumps tell: rules, and what lies in
 * buffers of sockets (sock_diag(7)). Sockets that are neither bound nor connected are in no dump.
 */
#include "net/net.h"

#include "net/priv.h"
#include "util/fd.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <string.h>
#include <sys/socket.h>
#include <linux/inet_diag.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <linux/sock_diag.h>
#include <linux/unix_diag.h>

enum { NAMES_MAX = 4096 };

/** struct sampling - sockets that were opened inside and are asked from outside, -1/NULL = none */
struct sampling {
	struct nl_sock *diag, *filter;
	int raw4, raw6;
	char *names4, *names6; /* tables of iptables' own kind */
};

/* ---- rules ---- */

static void count(const void *data, size_t len, void *arg)
{
	(void)data;
	(void)len;
	++*(uint64_t *)arg;
}

static int nft_rules(struct nl_sock *sk, uint64_t *n)
{
	const struct nfgenmsg all = { .nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0 };

	return net_nl_dump(sk, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, &all, sizeof(all),
			   count, n);
}

/* Entries of one table, built-in chains' policies among them; 0 when it is gone. */
static uint64_t table_entries(int fd, bool v6, const char *name, size_t len)
{
	union {
		struct ipt_getinfo v4;
		struct ip6t_getinfo v6;
	} info;
	socklen_t size = v6 ? sizeof(info.v6) : sizeof(info.v4);
	int r;

	memset(&info, 0, sizeof(info));
	if (len >= sizeof(info.v4.name))
		return 0;
	memcpy(v6 ? info.v6.name : info.v4.name, name, len);
	r = v6 ? getsockopt(fd, IPPROTO_IPV6, IP6T_SO_GET_INFO, &info.v6, &size)
	       : getsockopt(fd, IPPROTO_IP, IPT_SO_GET_INFO, &info.v4, &size);
	if (r < 0)
		return 0;
	return v6 ? info.v6.num_entries : info.v4.num_entries;
}

static uint64_t legacy_rules(int fd, bool v6, const char *names)
{
	uint64_t n = 0;

	while (fd >= 0 && names && *names) {
		size_t len = strcspn(names, "\n");

		n += table_entries(fd, v6, names, len);
		names += len + (names[len] == '\n');
	}
	return n;
}

/* ---- buffers ---- */

struct buffers {
	size_t skip; /* of the structure before the attributes */
	int attr; /* that holds the numbers */
	int snd, rcv; /* where they go to, enum net_sampled */
	int snd_var; /* SK_MEMINFO_* */
	struct net_sample *s;
};

static void add_buffers(const void *data, size_t len, void *arg)
{
	const struct buffers *b = arg;
	const struct rtattr *a;
	int left = (int)len - (int)NLMSG_ALIGN(b->skip);

	for (a = (const void *)((const char *)data + NLMSG_ALIGN(b->skip)); RTA_OK(a, left);
	     a = RTA_NEXT(a, left)) {
		uint32_t v[SK_MEMINFO_VARS] = { 0 };
		size_t n = RTA_PAYLOAD(a);

		if (a->rta_type != b->attr)
			continue;
		memcpy(v, RTA_DATA(a), n < sizeof(v) ? n : sizeof(v));
		b->s->v[b->snd] += v[b->snd_var];
		b->s->v[b->rcv] += v[SK_MEMINFO_RMEM_ALLOC];
	}
}

static int inet_buffers(struct nl_sock *sk, uint8_t protocol, const struct buffers *b)
{
	static const uint8_t families[] = { AF_INET, AF_INET6 };
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		const struct inet_diag_req_v2 all = {
			.sdiag_family = families[i],
			.sdiag_protocol = protocol,
			.idiag_ext = 1U << (INET_DIAG_SKMEMINFO - 1),
			.idiag_states = ~0U,
		};

		r = net_nl_dump(sk, SOCK_DIAG_BY_FAMILY, &all, sizeof(all), add_buffers,
				(void *)(uintptr_t)b);
		if (r < 0 && families[i] == AF_INET6)
			r = 0; /* a kernel without IPv6 */
	}
	return r;
}

static int unix_buffers(struct nl_sock *sk, const struct buffers *b)
{
	const struct unix_diag_req all = {
		.sdiag_family = AF_UNIX,
		.udiag_states = ~0U,
		.udiag_show = UDIAG_SHOW_MEMINFO,
	};

	return net_nl_dump(sk, SOCK_DIAG_BY_FAMILY, &all, sizeof(all), add_buffers,
			   (void *)(uintptr_t)b);
}

static void all_buffers(struct nl_sock *sk, struct net_sample *s)
{
	const struct buffers tcp = { sizeof(struct inet_diag_msg),
				     INET_DIAG_SKMEMINFO,
				     NET_TCP_SND,
				     NET_TCP_RCV,
				     SK_MEMINFO_WMEM_QUEUED,
				     s };
	const struct buffers udp = { sizeof(struct inet_diag_msg),
				     INET_DIAG_SKMEMINFO,
				     NET_OTHER_SND,
				     NET_DGRAM_RCV,
				     SK_MEMINFO_WMEM_ALLOC,
				     s };
	const struct buffers local = { sizeof(struct unix_diag_msg),
				       UNIX_DIAG_MEMINFO,
				       NET_OTHER_SND,
				       NET_DGRAM_RCV,
				       SK_MEMINFO_WMEM_ALLOC,
				       s };

	if (inet_buffers(sk, IPPROTO_TCP, &tcp) == 0)
		s->known |= 1U << NET_TCP_SND | 1U << NET_TCP_RCV;
	if (inet_buffers(sk, IPPROTO_UDP, &udp) == 0 && unix_buffers(sk, &local) == 0)
		s->known |= 1U << NET_OTHER_SND | 1U << NET_DGRAM_RCV;
}

/* ---- inside and back ---- */

/* A socket stays in the namespace it was made in. */
static void open_inside(struct sampling *x, unsigned int want)
{
	if ((want & ~(1U << NET_RULES)) && net_nl_open_as(NETLINK_SOCK_DIAG, &x->diag) < 0)
		x->diag = NULL;
	if (!(want & 1U << NET_RULES))
		return;
	if (net_nl_open_as(NETLINK_NETFILTER, &x->filter) < 0)
		x->filter = NULL;
	/* of a thread, since /proc/net leads to /proc/self, whose main thread may be elsewhere */
	if (vz_read_file(AT_FDCWD, "/proc/thread-self/net/ip_tables_names", NAMES_MAX, &x->names4) >
	    0)
		x->raw4 = vz_socket(AF_INET, SOCK_RAW, IPPROTO_RAW);
	if (vz_read_file(AT_FDCWD, "/proc/thread-self/net/ip6_tables_names", NAMES_MAX,
			 &x->names6) > 0)
		x->raw6 = vz_socket(AF_INET6, SOCK_RAW, IPPROTO_RAW);
}

int net_sample(int netns_fd, unsigned int want, struct net_sample *ret)
{
	struct sampling x = { .raw4 = -1, .raw6 = -1 };
	VZ_FD int home = vz_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);

	*ret = (struct net_sample){ 0 };
	if (home < 0)
		return home;
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	open_inside(&x, want);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* cannot be; and nothing of ours may go on in a tenant's network */
	if (x.diag)
		all_buffers(x.diag, ret);
	if (x.filter) {
		uint64_t *rules = &ret->v[NET_RULES];

		/* a kernel without nf_tables has none of its rules */
		if (nft_rules(x.filter, rules) < 0)
			*rules = 0;
		*rules += legacy_rules(x.raw4, false, x.names4) +
			  legacy_rules(x.raw6, true, x.names6);
		ret->known |= 1U << NET_RULES;
	}
	net_nl_closep(&x.diag);
	net_nl_closep(&x.filter);
	vz_closep(&x.raw4);
	vz_closep(&x.raw6);
	free(x.names4);
	free(x.names6);
	return 0;
}
