/* SPDX-License-Identifier: GPL-2.0-or-later */
/* vzmon takes its orders: records of vzctl's, each checked, with the descriptors that ride along. */
#include "context/priv.h"

#include "context/view.h"
#include "util/fd.h"

#include <string.h>

struct orders {
	struct ctx_orders *o;
	struct ctx_restore_orders *restore;
	struct mon_view *view;
	struct mon_fds *f;
};

/* Those for a view come before the orders, so that it is made meanwhile; then, perhaps, for CRIU. 1: there are more. */
static int take_other_orders(struct orders *m, ssize_t len, const int *fds, size_t n)
{
	if (len == (ssize_t)sizeof(struct ctx_view_orders)) {
		struct ctx_view_orders view;

		memcpy(&view, m->o, sizeof(view));
		return view_order(m->view, &view, (size_t)len, fds, n) < 0 ? -EPROTO : 1;
	}
	if (len == (ssize_t)sizeof(*m->restore)) {
		memcpy(m->restore, m->o, sizeof(*m->restore));
		if (ctx_restore_check(m->restore, (size_t)len, n) < 0)
			return -EPROTO;
		m->f->args = fds[0];
		m->f->dev = fds[1];
		m->f->pages = n > 2 ? fds[2] : -1;
		return 1;
	}
	return 0;
}

static int take_orders(struct orders *m)
{
	int fds[24], r;
	size_t n, i = 0;
	ssize_t len;

	do {
		n = 24;
		len = vz_recv_fds(m->f->control, m->o, sizeof(*m->o), fds, &n);
		r = take_other_orders(m, len, fds, n);
	} while (r > 0);
	if (r < 0 || len < 0 || ctx_orders_check(m->o, (size_t)len, n) < 0)
		return -EPROTO;
	m->f->protocol = fds[i++];
	m->f->root = fds[i++];
	m->f->group = fds[i++];
	m->f->seccomp = m->o->has_seccomp ? fds[i++] : -1;
	m->f->script = m->o->has_script ? fds[i++] : -1;
	for (int p = 0; p < m->o->nprocs; p++)
		m->f->procs[p] = fds[i++];
	for (int v = 0; v < m->o->nvolumes; v++)
		m->f->volumes[v] = fds[i++];
	return 0;
}

int orders_receive(struct ctx_orders *o, struct ctx_restore_orders *restore, struct mon_view *view,
		   struct mon_fds *f)
{
	struct orders m = { .o = o, .restore = restore, .view = view, .f = f };

	return take_orders(&m);
}
