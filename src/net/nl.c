/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The door to libnl. Requests are built here from the kernel's own structures: the typed objects of
 * libnl-route turn the kernel's errno into fewer codes of their own, cannot tell "no flags" from
 * "clear all flags", and would be one more library to load at each start.
 */
#include "net/priv.h"

#include <errno.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <linux/veth.h>
#include <net/if.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <netlink/socket.h>
#include <string.h>

typedef void (*seen_fn)(struct nlmsghdr *h, void *arg);

struct reply {
	bool done;
	int error;
	seen_fn seen;
	void *arg;
};

static int on_valid(struct nl_msg *m, void *arg)
{
	struct reply *r = arg;

	if (r->seen)
		r->seen(nlmsg_hdr(m), r->arg);
	return NL_OK;
}

static int on_ack(struct nl_msg *m, void *arg)
{
	struct reply *r = arg;

	(void)m;
	r->done = true;
	return NL_STOP;
}

static int on_error(struct sockaddr_nl *who, struct nlmsgerr *e, void *arg)
{
	struct reply *r = arg;

	(void)who;
	r->done = true;
	r->error = e->error < 0 ? e->error : -EPROTO;
	return NL_STOP;
}

/* Send @m (consumed) and read until its acknowledgement. */
static int talk(struct nl_sock *sk, struct nl_msg *m, seen_fn seen, void *arg)
{
	struct reply reply = { .seen = seen, .arg = arg };
	struct nl_cb *cb = nl_cb_alloc(NL_CB_DEFAULT);
	int r = -ENOMEM;

	if (cb) {
		(void)nl_cb_set(cb, NL_CB_VALID, NL_CB_CUSTOM, on_valid, &reply);
		(void)nl_cb_set(cb, NL_CB_ACK, NL_CB_CUSTOM, on_ack, &reply);
		(void)nl_cb_set(cb, NL_CB_FINISH, NL_CB_CUSTOM, on_ack, &reply); /* of a dump */
		(void)nl_cb_err(cb, NL_CB_CUSTOM, on_error, &reply);
		r = nl_send_auto(sk, m) < 0 ? -EIO : 0;
		while (r == 0 && !reply.done)
			if (nl_recvmsgs(sk, cb) < 0 && !reply.done)
				r = -EIO;
		nl_cb_put(cb);
	}
	nlmsg_free(m);
	return r < 0 ? r : reply.error;
}

static struct nl_msg *request(int type, int flags, void *head, size_t len)
{
	struct nl_msg *m = nlmsg_alloc_simple(type, flags);

	if (m && nlmsg_append(m, head, len, NLMSG_ALIGNTO) < 0) {
		nlmsg_free(m);
		m = NULL;
	}
	return m;
}

static int drop(struct nl_msg *m)
{
	nlmsg_free(m);
	return -ENOMEM;
}

int net_nl_open(struct nl_sock **ret)
{
	return net_nl_open_as(NETLINK_ROUTE, ret);
}

int net_nl_open_as(int protocol, struct nl_sock **ret)
{
	struct nl_sock *sk = nl_socket_alloc();

	if (!sk)
		return -ENOMEM;
	if (nl_connect(sk, protocol) < 0) {
		int r = errno > 0 ? -errno : -EIO;

		nl_socket_free(sk);
		return r;
	}
	*ret = sk;
	return 0;
}

void net_nl_closep(struct nl_sock **sk)
{
	if (*sk)
		nl_socket_free(*sk);
	*sk = NULL;
}

static int put_end(struct nl_msg *m, const char *name, const unsigned char mac[6])
{
	return nla_put_string(m, IFLA_IFNAME, name) < 0 || nla_put(m, IFLA_ADDRESS, 6, mac) < 0;
}

int net_nl_veth(struct nl_sock *sk, const char *name, const char *peer, int peer_ns,
		const unsigned char mac[6])
{
	struct ifinfomsg end = { .ifi_flags = IFF_NOARP, .ifi_change = IFF_NOARP };
	struct nl_msg *m = request(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL, &end, sizeof(end));
	struct nlattr *info, *data, *other;

	if (!m)
		return -ENOMEM;
	if (put_end(m, name, mac) || !(info = nla_nest_start(m, IFLA_LINKINFO)) ||
	    nla_put_string(m, IFLA_INFO_KIND, "veth") < 0 ||
	    !(data = nla_nest_start(m, IFLA_INFO_DATA)) ||
	    !(other = nla_nest_start(m, VETH_INFO_PEER)) ||
	    nlmsg_append(m, &end, sizeof(end), NLMSG_ALIGNTO) < 0 || put_end(m, peer, mac) ||
	    nla_put_u32(m, IFLA_NET_NS_FD, (uint32_t)peer_ns) < 0)
		return drop(m);
	(void)nla_nest_end(m, other);
	(void)nla_nest_end(m, data);
	(void)nla_nest_end(m, info);
	return talk(sk, m, NULL, NULL);
}

int net_nl_up(struct nl_sock *sk, int ifindex, bool up)
{
	struct ifinfomsg h = { .ifi_index = ifindex,
			       .ifi_flags = up ? IFF_UP : 0,
			       .ifi_change = IFF_UP };
	struct nl_msg *m = request(RTM_SETLINK, 0, &h, sizeof(h));

	return m ? talk(sk, m, NULL, NULL) : -ENOMEM;
}

int net_nl_link_del(struct nl_sock *sk, const char *name)
{
	struct ifinfomsg h = { .ifi_index = 0 };
	struct nl_msg *m = request(RTM_DELLINK, 0, &h, sizeof(h));

	if (!m)
		return -ENOMEM;
	if (nla_put_string(m, IFLA_IFNAME, name) < 0)
		return drop(m);
	return talk(sk, m, NULL, NULL);
}

static int addr_request(struct nl_sock *sk, int type, int flags, int ifindex,
			const struct net_addr *a)
{
	struct ifaddrmsg h = {
		.ifa_family = (unsigned char)a->family,
		.ifa_prefixlen = (unsigned char)a->bits,
		.ifa_index = (unsigned int)ifindex,
		.ifa_flags = a->family == AF_INET6 ? IFA_F_NODAD : 0,
	};
	struct nl_msg *m = request(type, flags, &h, sizeof(h));

	if (!m)
		return -ENOMEM;
	if (nla_put(m, IFA_LOCAL, (int)a->len, a->raw) < 0 ||
	    nla_put(m, IFA_ADDRESS, (int)a->len, a->raw) < 0)
		return drop(m);
	return talk(sk, m, NULL, NULL);
}

int net_nl_addr_add(struct nl_sock *sk, int ifindex, const struct net_addr *a)
{
	return addr_request(sk, RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL, ifindex, a);
}

int net_nl_addr_del(struct nl_sock *sk, int ifindex, const struct net_addr *a)
{
	return addr_request(sk, RTM_DELADDR, 0, ifindex, a);
}

int net_nl_route(struct nl_sock *sk, enum net_route_op op, int ifindex, const struct net_addr *a)
{
	static const struct {
		int type, flags;
	} how[] = {
		[NET_ROUTE_ADD] = { RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL },
		[NET_ROUTE_REPLACE] = { RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE },
		[NET_ROUTE_DEL] = { RTM_DELROUTE, 0 },
	};
	struct rtmsg h = {
		.rtm_family = (unsigned char)a->family,
		.rtm_dst_len = (unsigned char)(a->bits ? a->full : 0),
		.rtm_table = RT_TABLE_MAIN,
		.rtm_protocol = RTPROT_STATIC,
		.rtm_scope = a->family == AF_INET ? RT_SCOPE_LINK : RT_SCOPE_UNIVERSE,
		.rtm_type = RTN_UNICAST,
	};
	struct nl_msg *m = request(how[op].type, how[op].flags, &h, sizeof(h));

	if (!m)
		return -ENOMEM;
	if ((a->bits && nla_put(m, RTA_DST, (int)a->len, a->raw) < 0) ||
	    nla_put_u32(m, RTA_OIF, (uint32_t)ifindex) < 0)
		return drop(m);
	return talk(sk, m, NULL, NULL);
}

static void seen_route(struct nlmsghdr *h, void *arg)
{
	struct net_found *f = arg;
	struct rtmsg *rt = nlmsg_data(h);
	struct nlattr *oif = nlmsg_find_attr(h, sizeof(*rt), RTA_OIF);

	if (h->nlmsg_type != RTM_NEWROUTE)
		return;
	f->bits = rt->rtm_dst_len;
	f->type = rt->rtm_type;
	f->oif = oif && nla_len(oif) >= 4 ? (int)nla_get_u32(oif) : 0;
}

int net_nl_lookup(struct nl_sock *sk, const struct net_addr *a, struct net_found *ret)
{
	struct rtmsg h = {
		.rtm_family = (unsigned char)a->family,
		.rtm_dst_len = (unsigned char)a->full,
		.rtm_flags = RTM_F_FIB_MATCH, /* the entry, not what it resolves to */
	};
	struct net_found f = { .type = RTN_UNSPEC };
	struct nl_msg *m = request(RTM_GETROUTE, 0, &h, sizeof(h));
	int r;

	if (!m)
		return -ENOMEM;
	if (nla_put(m, RTA_DST, (int)a->len, a->raw) < 0)
		return drop(m);
	r = talk(sk, m, seen_route, &f);
	if (r == 0)
		*ret = f;
	return r;
}

struct each {
	net_nl_each_fn *fn;
	void *arg;
};

static void seen_any(struct nlmsghdr *h, void *arg)
{
	const struct each *e = arg;

	e->fn(nlmsg_data(h), (size_t)nlmsg_datalen(h), e->arg);
}

int net_nl_dump(struct nl_sock *sk, int type, const void *head, size_t len, net_nl_each_fn *fn,
		void *arg)
{
	struct nl_msg *m = nlmsg_alloc_simple(type, NLM_F_DUMP);
	struct each e = { fn, arg };

	if (!m)
		return -ENOMEM;
	if (nlmsg_append(m, (void *)(uintptr_t)head, len, NLMSG_ALIGNTO) < 0)
		return drop(m);
	return talk(sk, m, seen_any, &e);
}

int net_nl_watch(struct nl_sock *sk)
{
	if (nl_socket_add_membership(sk, RTNLGRP_LINK) < 0)
		return -EIO;
	return nl_socket_get_fd(sk);
}
