/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Who may ping without a capability, in a VPS's network namespace. CRIU reads the range with the node's
 * ids and writes it with the VPS's, which fails: so it is taken out of the way and put back by us.
 */
#include "net/net.h"

#include "util/fd.h"
#include "util/parse.h"
#include "util/str.h"

#include <fcntl.h>
#include <inttypes.h>
#include <sched.h>
#include <stdlib.h>

static const char file[] = "/proc/sys/net/ipv4/ping_group_range";

/* Read, or write when @set is not NULL, the file as it is in @netns_fd. */
static int in_namespace(int netns_fd, const char *set, char **ret)
{
	VZ_FD int home = vz_openat(AT_FDCWD, "/proc/self/ns/net", O_RDONLY, 0);
	int r;

	if (home < 0)
		return home;
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return -errno;
	if (set)
		r = vz_write_value(AT_FDCWD, file, set);
	else
		r = (int)vz_read_file(AT_FDCWD, file, 256, ret);
	if (setns(home, CLONE_NEWNET) < 0)
		abort(); /* cannot be; and nothing of ours may go on in a tenant's network */
	return r < 0 ? r : 0;
}

static int parse(const char *text, uint64_t ret[2])
{
	VZ_LIST struct vz_list l = { 0 };

	if (vz_list_split(&l, text, " \t\n") < 0)
		return -ENOMEM;
	if (l.n != 2 || vz_parse_u64(l.v[0], 0, UINT32_MAX, &ret[0]) < 0 ||
	    vz_parse_u64(l.v[1], 0, UINT32_MAX, &ret[1]) < 0)
		return -EINVAL;
	return 0;
}

int net_ping_get(int netns_fd, uint64_t base, uint64_t count, char ret[48])
{
	VZ_FREE char *text = NULL;
	uint64_t v[2];
	int r = in_namespace(netns_fd, NULL, &text);

	if (r == 0)
		r = parse(text, v);
	if (r < 0)
		return r;
	if (v[0] <= v[1] && v[0] >= base && v[1] < base + count)
		(void)snprintf(ret, 48, "%" PRIu64 " %" PRIu64, v[0] - base, v[1] - base);
	else
		(void)snprintf(ret, 48, "1 0");
	return 0;
}

int net_ping_set(int netns_fd, uint64_t base, uint64_t count, const char *text)
{
	char host[48] = "1 0";
	uint64_t v[2];
	int r = parse(text, v);

	if (r < 0)
		return r;
	if (v[0] <= v[1]) {
		if (v[1] >= count)
			return -EINVAL;
		(void)snprintf(host, sizeof(host), "%" PRIu64 " %" PRIu64, v[0] + base,
			       v[1] + base);
	}
	return in_namespace(netns_fd, host, NULL);
}
