/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "context/orders.h"

#include <errno.h>
#include <string.h>

static bool ended(const char *text, size_t size)
{
	return memchr(text, '\0', size);
}

int ctx_orders_check(const struct ctx_orders *o, size_t len, size_t nfds)
{
	if (len != sizeof(*o) || o->version != CTX_ORDERS_VERSION)
		return -EPROTO;
	if (o->has_seccomp > 1 || o->has_script > 1 || o->nprocs > CTX_PROCS ||
	    o->nvolumes > CTX_VOLUMES || o->ndevs > CTX_DEVS ||
	    nfds != 3U + o->has_seccomp + o->has_script + o->nprocs + o->nvolumes)
		return -EPROTO;
	if (!ended(o->hostname, sizeof(o->hostname)) || !ended(o->init, sizeof(o->init)) ||
	    !ended(o->rundir, sizeof(o->rundir)) || !ended(o->vzctl, sizeof(o->vzctl)) ||
	    !ended(o->log, sizeof(o->log)))
		return -EPROTO;
	for (uint32_t i = 0; i < o->ndevs; i++)
		if (!ended(o->devs[i].name, sizeof(o->devs[i].name)))
			return -EPROTO;
	return 0;
}

int ctx_restore_check(const struct ctx_restore_orders *o, size_t len, size_t nfds)
{
	if (len != sizeof(*o) || o->version != CTX_RESTORE_VERSION ||
	    nfds != (o->npages ? 3U : 2U) || o->nargs < 2 || o->nargs > 256 || o->nenv > 16 ||
	    o->npages == 1 || o->npages > 64 || o->npages_env > 16 || o->ngiven > CTX_GIVEN ||
	    o->bytes == 0 || o->bytes > CTX_RESTORE_BYTES)
		return -EPROTO;
	return 0;
}

int ctx_view_check(const struct ctx_view_orders *o, size_t len, size_t nfds)
{
	if (len != sizeof(*o) || o->version != CTX_VIEW_VERSION || o->ntasks > CTX_VIEW_TASKS ||
	    o->nhierarchies > CTX_VIEW_HIERARCHIES || o->no_swap > 1)
		return -EPROTO;
	if (!ended(o->server, sizeof(o->server)) || !ended(o->rundir, sizeof(o->rundir)) ||
	    !ended(o->vzctl, sizeof(o->vzctl)) || nfds != (o->server[0] ? 3U + o->ntasks : 1U))
		return -EPROTO;
	for (int i = 0; i < o->nhierarchies; i++)
		if (!ended(o->hierarchies[i], sizeof(o->hierarchies[i])))
			return -EPROTO;
	return 0;
}
