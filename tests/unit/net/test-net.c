/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The net room against a real kernel: our own namespace plays the host, two children are VPSes. */
#include "net/net.h"
#include "net/priv.h"
#include "util/fd.h"
#include "util/proc.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>

struct guest {
	pid_t pid;
	int ns;
};

static int tests, failures;
static struct vz_error err;

static void ok(bool good, const char *name)
{
	printf("%sok %d - %s\n", good ? "" : "not ", ++tests, name);
	if (!good) {
		failures++;
		printf("# last error: exit %d errno %d %s\n", err.exit, err.sys, err.msg);
	}
}

static bool guest_make(struct guest *g)
{
	int up[2];
	char path[64], c;

	if (vz_pipe(up) < 0)
		return false;
	g->pid = fork();
	if (g->pid == 0) {
		/* An inherited descriptor of another guest's namespace would keep that alive. */
		if (dup2(up[1], 3) != 3 || close_range(4, ~0U, 0) < 0 ||
		    prctl(PR_SET_PDEATHSIG, SIGKILL) < 0 || unshare(CLONE_NEWNET) < 0 ||
		    write(3, "x", 1) != 1)
			_exit(1);
		for (;;)
			(void)pause();
	}
	(void)close(up[1]);
	if (g->pid < 0 || read(up[0], &c, 1) != 1)
		return false;
	(void)close(up[0]);
	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)g->pid);
	g->ns = vz_openat(AT_FDCWD, path, O_RDONLY, 0);
	return g->ns >= 0;
}

static void guest_end(struct guest *g)
{
	(void)kill(g->pid, SIGKILL);
	vz_closep(&g->ns);
	(void)vz_wait(g->pid);
}

/* A UDP socket that lives in the namespace @ns; -1: here. */
static int udp_in(int ns, int family)
{
	VZ_FD int own = vz_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	int s = -1;

	if (ns < 0 || setns(ns, CLONE_NEWNET) == 0)
		s = vz_socket(family, SOCK_DGRAM, 0);
	if (setns(own, CLONE_NEWNET) < 0)
		_exit(99);
	return s;
}

static socklen_t address(const char *text, uint16_t port, struct sockaddr_storage *ret)
{
	struct sockaddr_in *v4 = (struct sockaddr_in *)ret;
	struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)ret;

	memset(ret, 0, sizeof(*ret));
	if (strchr(text, ':')) {
		v6->sin6_family = AF_INET6;
		v6->sin6_port = htons(port);
		(void)inet_pton(AF_INET6, text, &v6->sin6_addr);
		return sizeof(*v6);
	}
	v4->sin_family = AF_INET;
	v4->sin_port = htons(port);
	(void)inet_pton(AF_INET, text, &v4->sin_addr);
	return sizeof(*v4);
}

static bool arrives(int s, struct sockaddr_storage *ret_from, socklen_t *len)
{
	struct pollfd p = { .fd = s, .events = POLLIN };
	char c;

	return poll(&p, 1, 1000) == 1 &&
	       recvfrom(s, &c, 1, 0, (struct sockaddr *)ret_from, len) == 1;
}

/*
 * A datagram may be lost, as on any network: a new link drops what is sent before the kernel has seen
 * in the background that both ends are up.
 */
static bool brings(int from, int to, struct sockaddr_storage *dest, socklen_t dest_len,
		   struct sockaddr_storage *ret_from, socklen_t *len)
{
	for (int tries = 0; tries < 5; tries++)
		if (sendto(from, "a", 1, 0, (struct sockaddr *)dest, dest_len) != 1)
			return false;
		else if (arrives(to, ret_from, len))
			return true;
	return false;
}

/* A datagram from @a_ns (address @a expected as its source) to @b in @b_ns, and an answer. */
static bool talks(int a_ns, const char *a, int b_ns, const char *b)
{
	static uint16_t port = 4000;
	int family = strchr(b, ':') ? AF_INET6 : AF_INET;
	VZ_FD int from = udp_in(a_ns, family);
	VZ_FD int to = udp_in(b_ns, family);
	struct sockaddr_storage sa, peer, want;
	socklen_t len = address(b, ++port, &sa), plen = sizeof(peer), wlen = address(a, 0, &want);
	struct sockaddr_in *p4 = (struct sockaddr_in *)&peer, *w4 = (struct sockaddr_in *)&want;
	struct sockaddr_in6 *p6 = (struct sockaddr_in6 *)&peer, *w6 = (struct sockaddr_in6 *)&want;

	(void)wlen;
	if (from < 0 || to < 0 || bind(to, (struct sockaddr *)&sa, len) < 0 ||
	    !brings(from, to, &sa, len, &peer, &plen))
		return false;
	if (family == AF_INET ? p4->sin_addr.s_addr != w4->sin_addr.s_addr
			      : memcmp(&p6->sin6_addr, &w6->sin6_addr, 16) != 0)
		return false;
	len = plen;
	sa = peer;
	plen = sizeof(peer);
	return brings(to, from, &sa, len, &peer, &plen);
}

static bool can_send(int ns, const char *to)
{
	VZ_FD int s = udp_in(ns, strchr(to, ':') ? AF_INET6 : AF_INET);
	struct sockaddr_storage sa;
	socklen_t len = address(to, 9, &sa);

	return connect(s, (struct sockaddr *)&sa, len) == 0;
}

static int flags_of(int ns, const char *ifname, unsigned char mac[6])
{
	VZ_FD int s = udp_in(ns, AF_INET);
	struct ifreq r = { 0 };

	(void)snprintf(r.ifr_name, sizeof(r.ifr_name), "%s", ifname);
	if (ioctl(s, SIOCGIFHWADDR, &r) < 0)
		return -1;
	memcpy(mac, r.ifr_hwaddr.sa_data, 6);
	if (ioctl(s, SIOCGIFFLAGS, &r) < 0)
		return -1;
	return r.ifr_flags;
}

static uint64_t host_sysctl(const char *family, const char *ifname, const char *key)
{
	char path[128];
	uint64_t v = 99;

	(void)snprintf(path, sizeof(path), "/proc/sys/net/%s/conf/%s/%s", family, ifname, key);
	(void)!vz_read_u64(AT_FDCWD, path, &v);
	return v;
}

/* The host's own addresses, on lo; this much of an uplink is enough. */
static bool host_address(const char *text, int family)
{
	NET_NL struct nl_sock *sk = NULL;
	struct net_addr a = { .family = family, .len = family == AF_INET ? 4 : 16 };

	a.bits = (unsigned int)a.len * 8;
	return inet_pton(family, text, a.raw) == 1 && net_nl_open(&sk) == 0 &&
	       net_nl_up(sk, 1, true) == 0 && net_nl_addr_add(sk, 1, &a) == 0;
}

static bool names(void)
{
	char a[16], b[16];

	net_ifname(2147483644, UINT32_MAX, a);
	net_ifname(101, 3, b);
	return vz_streq(a, "vz2147483644-ff") && vz_streq(b, "vz101-3");
}

static void test_links(const char *ia, const char *ib, struct guest *a, struct guest *b)
{
	unsigned char m1[6] = { 0 }, m2[6] = { 0 };
	int f1, f2;

	ok(net_link_create(ia, a->ns, false, &err) == 0, "link of a");
	ok(net_link_create(ib, b->ns, true, &err) == 0, "link of b, with IPv6");
	f1 = flags_of(-1, ia, m1);
	f2 = flags_of(a->ns, NET_GUEST_IF, m2);
	ok(f1 > 0 && f2 > 0 && (f1 & IFF_UP) && (f2 & IFF_UP), "both ends are up");
	ok((f1 & IFF_NOARP) && (f2 & IFF_NOARP), "both ends are NOARP");
	ok(!memcmp(m1, m2, 6) && (m1[0] & 3) == 2, "same locally administered MAC");
	ok(flags_of(a->ns, "lo", m1) & IFF_UP, "lo is up inside");
	ok(host_sysctl("ipv4", ia, "forwarding") == 1 &&
		   host_sysctl("ipv4", ia, "rp_filter") == 1 &&
		   host_sysctl("ipv4", ia, "proxy_arp") == 0,
	   "IPv4 switches of the host end");
	ok(host_sysctl("ipv6", ia, "disable_ipv6") == 1 &&
		   host_sysctl("ipv6", ib, "accept_ra") == 0 &&
		   host_sysctl("ipv6", ib, "disable_ipv6") == 0,
	   "IPv6 switches of the host ends");
	ok(net_link_create(ia, a->ns, false, &err) == 0,
	   "a stale link of the same name is replaced");
}

static void test_ipv4(const char *ia, const char *ib, struct guest *a, struct guest *b)
{
	ok(net_addr_add(ia, a->ns, "10.9.0.1", &err) == 0, "address for a");
	ok(net_addr_add(ia, a->ns, "10.9.0.1", &err) == 0, "the same again");
	ok(net_addr_add(ia, a->ns, "10.8.0.3/24", &err) == 0, "a second one with a mask");
	ok(net_addr_add(ib, b->ns, "10.9.0.2", &err) == 0, "address for b");
	ok(talks(-1, "10.9.0.254", a->ns, "10.9.0.1"), "host to a");
	ok(talks(a->ns, "10.9.0.1", -1, "10.9.0.254"),
	   "a to the host, first address is the source");
	ok(talks(a->ns, "10.9.0.1", b->ns, "10.9.0.2"), "a to b");
	ok(talks(b->ns, "10.9.0.2", a->ns, "10.8.0.3"), "b to the second address of a");
	ok(net_addr_add(ib, b->ns, "10.9.0.1", &err) == -EEXIST && err.exit == VZ_EXIT_IP_INUSE,
	   "an address of another VPS is refused");
	ok(net_addr_add(ib, b->ns, "10.9.0.254", &err) == -EEXIST && err.exit == VZ_EXIT_IP_INUSE,
	   "an address of the host is refused");
	ok(net_addr_del(ia, a->ns, "10.8.0.3", &err) == 0, "remove the second without its mask");
	ok(!can_send(-1, "10.8.0.3"), "the host has no route to it");
	ok(net_addr_del(ia, a->ns, "10.8.0.3", &err) == 0, "remove it again");
	ok(talks(a->ns, "10.9.0.1", b->ns, "10.9.0.2"), "the first still works");
}

static void test_sample(struct guest *a)
{
	const unsigned int buffers = 1U << NET_TCP_SND | 1U << NET_TCP_RCV;
	struct net_sample s;

	ok(net_sample(a->ns, buffers, &s) == 0 && (s.known & buffers) == buffers &&
		   !(s.known & 1U << NET_RULES),
	   "sample: what was asked for");
	ok(net_sample(a->ns, 1U << NET_RULES, &s) == 0 && s.known == 1U << NET_RULES &&
		   s.v[NET_RULES] == 0,
	   "sample: no rules");
	ok(talks(-1, "10.9.0.254", a->ns, "10.9.0.1"), "sample: we are back on the host");
	ok(net_sample(-1, buffers, &s) < 0, "sample: no namespace");
}

static void test_ipv6(const char *ia, const char *ib, struct guest *a, struct guest *b)
{
	if (access("/proc/sys/net/ipv6", F_OK) < 0) {
		ok(net_addr_add(ia, a->ns, "fd00:9::1", &err) == -EAFNOSUPPORT &&
			   err.exit == VZ_EXIT_CANT_ADDIP,
		   "IPv6 is refused where there is none");
		return;
	}
	ok(net_addr_add(ia, a->ns, "fd00:9::1", &err) == 0, "IPv6 on a link made without");
	ok(net_addr_add(ib, b->ns, "fd00:9:0:0::2", &err) == 0, "IPv6 for b");
	ok(net_addr_add(ib, b->ns, "fd00:9::2/128", &err) == 0, "the same again");
	ok(net_addr_add(ib, b->ns, "fd00:9::3/64", &err) == 0, "a second one with a mask");
	ok(talks(-1, "fd00:9::fe", a->ns, "fd00:9::1"), "IPv6 host to a");
	ok(talks(b->ns, "fd00:9::2", -1, "fd00:9::fe"), "IPv6 b to the host");
	ok(talks(a->ns, "fd00:9::1", b->ns, "fd00:9::2"), "IPv6 a to b");
	ok(net_addr_add(ib, b->ns, "fd00:9::1", &err) == -EEXIST && err.exit == VZ_EXIT_IP_INUSE,
	   "IPv6 of another VPS is refused");
	ok(net_addr_add(ib, b->ns, "fd00:9::fe", &err) == -EEXIST && err.exit == VZ_EXIT_IP_INUSE,
	   "IPv6 of the host is refused");
	ok(net_addr_del(ib, b->ns, "fd00:9::3", &err) == 0 && !can_send(-1, "fd00:9::3"),
	   "IPv6 is removed");
	ok(net_forward_all6() == 0 && host_sysctl("ipv6", "all", "forwarding") == 1 &&
		   host_sysctl("ipv6", "lo", "accept_ra") != 1 &&
		   host_sysctl("ipv6", ib, "accept_ra") == 0,
	   "forwarding for all on older kernels keeps uplinks' advertisements");
}

static void test_bad(const char *ia, struct guest *a)
{
	static const char *const bad[] = {
		"",
		"10.9.0",
		"10.9.0.1/33",
		"10.9.0.1/",
		"10.9.0.1/0",
		"10.9.0.1/+8",
		"127.0.0.1",
		"0.0.0.0",
		"224.0.0.1",
		"::1",
		"::",
		"fe80::1",
		"ff02::1",
		"fd00::1/129",
		"10.9.0.1 ",
		"aa:bb:cc",
		"\x1b[2J10.9.0.1",
	};
	bool good = true;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++)
		if (net_addr_add(ia, a->ns, bad[i], &err) != -EINVAL ||
		    err.exit != VZ_EXIT_CANT_ADDIP || strchr(err.msg, '\x1b')) {
			printf("# taken: '%s'\n", bad[i]);
			good = false;
		}
	ok(good, "bad addresses are refused");
	ok(net_addr_add("vz9-9", a->ns, "10.9.0.9", &err) == -ENODEV, "no such link");
	ok(net_link_create("vz9-9", STDIN_FILENO, false, &err) < 0 && err.exit == VZ_EXIT_VETH &&
		   if_nametoindex("vz9-9") == 0,
	   "no namespace: nothing is left");
}

static void test_gone(const char *ia, const char *ib, struct guest *a, struct guest *b)
{
	struct guest again;
	char later[16];

	net_ifname(101, 2, later);
	ok(guest_make(&again) && net_link_create(later, again.ns, false, &err) == 0,
	   "a later start");
	ok(net_addr_add(later, again.ns, "10.9.0.1", &err) == 0,
	   "takes the address over from its dying link");
	ok(net_link_wait_gone(ia, 50) == -ETIMEDOUT, "a living link is waited for in vain");
	guest_end(a);
	ok(net_link_wait_gone(ia, 5000) == 0 && if_nametoindex(ia) == 0,
	   "link goes with its namespace");
	ok(talks(-1, "10.9.0.254", again.ns, "10.9.0.1"), "the later start keeps its route");
	ok(net_link_delete(ib, &err) == 0 && if_nametoindex(ib) == 0, "link is deleted at once");
	ok(net_link_delete(ib, &err) == 0, "a missing link is no error");
	ok(net_link_wait_gone(ib, 0) == 0, "nothing to wait for");
	ok(net_addr_del(ib, b->ns, "10.9.0.2", &err) == 0, "address of a link that is gone");
	guest_end(b);
	guest_end(&again);
	ok(net_link_wait_gone(later, 5000) == 0, "nothing is left");
}

static bool write_map(const char *file, unsigned int id)
{
	char text[64];

	(void)snprintf(text, sizeof(text), "0 %u 1", id);
	return vz_write_value(AT_FDCWD, file, text) == 0;
}

int main(void)
{
	unsigned int uid = geteuid(), gid = getegid();
	struct guest a, b;
	char ia[16], ib[16];

	setvbuf(stdout, NULL, _IONBF, 0);
	if (unshare(CLONE_NEWUSER | CLONE_NEWNET) < 0 ||
	    vz_write_value(AT_FDCWD, "/proc/self/setgroups", "deny") < 0 ||
	    !write_map("/proc/self/uid_map", uid) || !write_map("/proc/self/gid_map", gid)) {
		printf("1..0 # SKIP no user namespaces\n");
		return 0;
	}
	net_ifname(101, 1, ia);
	net_ifname(102, 1, ib);
	ok(names(), "names fit into 15 characters");
	ok(host_address("10.9.0.254", AF_INET), "an address for the host");
	if (access("/proc/sys/net/ipv6", F_OK) == 0)
		ok(host_address("fd00:9::fe", AF_INET6), "an IPv6 address for the host");
	if (!guest_make(&a) || !guest_make(&b)) {
		printf("Bail out! no network namespaces\n");
		return 1;
	}
	test_links(ia, ib, &a, &b);
	test_ipv4(ia, ib, &a, &b);
	test_sample(&a);
	test_ipv6(ia, ib, &a, &b);
	test_bad(ia, &a);
	test_gone(ia, ib, &a, &b);
	printf("1..%d\n", tests);
	return failures != 0;
}
