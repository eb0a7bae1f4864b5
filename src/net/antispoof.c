/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Source addresses of VPSes. For IPv4 the kernel checks them by itself (rp_filter on the host end);
 * for IPv6 it has no such switch, so one rule of nftables asks the routing table: a packet that
 * comes from a VPS must have a source that is routed to that VPS. One rule for all, in a table of
 * our own, put in place with each IPv6 link.
 */
#include "net/priv.h"

#include "util/fd.h"
#include "util/proc.h"

#include <string.h>

static const char *const nft_paths[] = { "/usr/sbin/nft", "/sbin/nft", "/usr/bin/nft" };

static const char rules[] =
	"add table ip6 croft\n"
	"add chain ip6 croft spoof { type filter hook prerouting priority -310; policy accept; }\n"
	"flush chain ip6 croft spoof\n"
	"add rule ip6 croft spoof iifname \"vz*\" fib saddr . iif oif missing drop\n";

int net_antispoof6(struct vz_error *err)
{
	VZ_FD int in = vz_memfd("nft", rules, strlen(rules));
	struct vz_run how = { .stdin_fd = in, .silent = true, .timeout_ms = 10000 };
	const char *argv[] = { NULL, "-f", "-", NULL };
	int r = -ENOENT;

	if (in < 0)
		return vz_fail(err, VZ_EXIT_VETH, -in, "rules for nft");
	for (size_t i = 0; !argv[0] && i < sizeof(nft_paths) / sizeof(*nft_paths); i++)
		if (access(nft_paths[i], X_OK) == 0)
			argv[0] = nft_paths[i];
	if (argv[0])
		r = vz_run(argv, &how);
	if (r == 0)
		return 0;
	return vz_fail(err, VZ_EXIT_VETH, r < 0 ? -r : 0,
		       "nft (package nftables) could not put the IPv6 source check in place; "
		       "without it a VPS could use any IPv6 source address");
}
