/* SPDX-License-Identifier: GPL-2.0-or-later */
/* A resource limit of a process, changed in all processes of a VPS that runs. */
#include "resources/resources.h"

#include "util/fd.h"
#include "util/proc.h"

#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

enum { PASSES = 50, QUIET = 3, WAIT_MS = 5 };

/* Return: 1 it was changed; 0 it was right, or has ended; -errno. */
static int change(pid_t pid, const struct res_rlimit *l)
{
	const bool up = l->to > l->from;
	struct rlimit now, next;

	if (prlimit(pid, l->what, NULL, &now) < 0)
		return errno == ESRCH ? 0 : -errno;
	if (up ? now.rlim_max != l->from : now.rlim_max <= l->to)
		return 0;
	next.rlim_max = l->to;
	next.rlim_cur = up && now.rlim_cur < now.rlim_max ? now.rlim_cur : l->to;
	if (!up && now.rlim_cur < l->to)
		next.rlim_cur = now.rlim_cur;
	if (prlimit(pid, l->what, &next, NULL) < 0)
		return errno == ESRCH ? 0 : -errno;
	return 1;
}

/*
 * To lower a limit it is enough to own the VPS's user namespace: numbers of processes are used again, and what is not
 * the VPS's is out of the owner's reach.
 */
static int act_as(uint64_t id)
{
	return setresuid((uid_t)-1, (uid_t)id, (uid_t)-1) < 0 ? -errno : 0;
}

/* Return: how many were changed; -errno. */
static int pass(struct cg *cg, const struct res_rlimit *l, uint64_t base)
{
	VZ_FREE pid_t *pids = NULL;
	struct vz_error unused;
	size_t n = 0;
	int r = res_pids(cg, &pids, &n, &unused), changed = 0;

	if (r == 0 && l->to < l->from)
		r = act_as(base);
	for (size_t i = 0; r >= 0 && i < n; i++) {
		r = change(pids[i], l);
		changed += r > 0;
	}
	if (act_as(0) < 0)
		return -errno;
	return r < 0 ? r : changed;
}

/*
 * Who is born of a process that has the new limit has it, too; who is being born just now may have the old one and be
 * in no group yet. So until there was nothing to do a few times.
 */
static int all_passes(struct cg *cg, const struct res_rlimit *l, uint64_t base)
{
	int quiet = 0;
	bool any = false;

	for (int i = 0; i < PASSES; i++) {
		int r = pass(cg, l, base);

		if (r < 0)
			return r;
		any = any || r;
		quiet = r ? 0 : quiet + 1;
		if (quiet == QUIET)
			return any || l->to < l->from ? 0 : -ESRCH;
		(void)poll(NULL, 0, WAIT_MS);
	}
	return -EAGAIN;
}

int res_rlimit_all(struct cg *cg, const struct res_rlimit *l, uint64_t base)
{
	pid_t pid;
	int r;

	if (l->to == l->from)
		return 0;
	(void)fflush(NULL);
	pid = vz_fork_into(-1);
	if (pid ==
	    0) /* another user id for a moment is nothing for a process that does other things, too */
		_exit(-all_passes(cg, l, base));
	r = pid < 0 ? (int)pid : vz_wait(pid);
	return r > 0 ? -r : r;
}
