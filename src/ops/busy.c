/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A private area that the kernel calls busy although nobody is seen to use it. */
#include "ops/priv.h"

#include "util/proc.h"

#include <errno.h>
#include <poll.h>

/*
 * Two things hold a mount that is gone from sight: the kernel, which syncs the whole file system
 * below an overlay in the background before it lets it go, and copies of the node's mounts that
 * every process with a mount namespace of its own has, a start of another VPS among them.
 */
int op_mount_when_free(const struct op *o, const struct sto_place *p, int userns,
		       struct vz_error *err)
{
	enum { LIMIT_MS = 120000, PAUSE_MS = 5 };
	const uint64_t until = vz_now_ms() + LIMIT_MS;
	int r;

	while ((r = o->layout->mount(p, userns, err)) == -EBUSY && vz_now_ms() < until)
		(void)poll(NULL, 0, PAUSE_MS);
	return r;
}
