/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The start protocol: byte 0 is the step that is due (its top bit: orders for vzmon, or for a view, instead), the
 * rest is the record that comes.
 */
#include "context/orders.h"
#include "context/sync.h"

#include "tests/fuzz/fuzz.h"
#include "util/fd.h"

static void check_orders(const uint8_t *data, size_t size)
{
	struct ctx_orders o = { 0 };
	size_t n = size < sizeof(o) ? size : sizeof(o), nfds;

	memcpy(&o, data, n);
	/* most records are much shorter than orders: the rest is zero, and length and count are right */
	nfds = 3U + o.has_seccomp + o.has_script + o.nprocs + o.nvolumes;
	if (ctx_orders_check(&o, sizeof(o), nfds) < 0)
		return;
	MUST(o.ndevs <= CTX_DEVS && nfds <= 24);
	MUST(strlen(o.rundir) < sizeof(o.rundir) && strlen(o.hostname) < sizeof(o.hostname));
	MUST(ctx_orders_check(&o, sizeof(o) - 1, nfds) < 0);
	MUST(ctx_orders_check(&o, sizeof(o), nfds + 1) < 0);
}

static void check_view(const uint8_t *data, size_t size)
{
	struct ctx_view_orders o = { 0 };
	size_t nfds;

	memcpy(&o, data, size < sizeof(o) ? size : sizeof(o));
	nfds = o.server[0] ? 3U + o.ntasks : 1U;
	if (ctx_view_check(&o, sizeof(o), nfds) < 0)
		return;
	MUST(o.ntasks <= CTX_VIEW_TASKS && o.nhierarchies <= CTX_VIEW_HIERARCHIES);
	MUST(strlen(o.server) < sizeof(o.server) && strlen(o.rundir) < sizeof(o.rundir));
	MUST(strlen(o.vzctl) < sizeof(o.vzctl));
	MUST(ctx_view_check(&o, sizeof(o) - 1, nfds) < 0);
	MUST(ctx_view_check(&o, sizeof(o), nfds + 1) < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	VZ_FD int ours = -EBADF;
	VZ_FD int theirs = -EBADF;
	struct vz_error err = { 0 };
	pid_t pid = -1;
	int sk[2], fd = -1, r;

	if (size < 1)
		return 0;
	if (data[0] & 0x80) {
		check_orders(data + 1, size - 1);
		check_view(data + 1, size - 1);
		return 0;
	}
	MUST(vz_seqpacket(sk) == 0);
	ours = sk[0];
	theirs = sk[1];
	if (size > 1 && vz_send_fds(theirs, data + 1, size - 1, NULL, 0) < 0)
		return 0; /* longer than a record can be */
	vz_closep(&theirs);
	r = sync_expect(ours, (enum start_step)(data[0] & 0x7f), &pid, &fd, &err);
	MUST(fd < 0);
	if (r == 0)
		return 0;
	MUST(r < 0 && err.exit > 0 && err.exit < 256);
	MUST(memchr(err.msg, '\0', sizeof(err.msg)));
	return 0;
}
