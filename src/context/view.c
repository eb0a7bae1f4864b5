/* SPDX-License-Identifier: GPL-2.0-or-later */
/* The view from inside, on vzctl's side: orders for it, and what became of them. */
#include "context/view.h"

#include "context/context.h"
#include "util/fd.h"

#include <poll.h>
#include <string.h>

enum { SHOWN_MS = 20000 };

const char *ctx_view_server(void)
{
	static const char path[] = "/usr/bin/lxcfs";

	return access(path, X_OK) == 0 && access("/dev/fuse", R_OK | W_OK) == 0 ? path : NULL;
}

static uint32_t wanted_files(unsigned int want)
{
	uint32_t files = 0;

	for (unsigned int i = 0; view_file(i); i++)
		if ((want & CTX_VIEW_MEMINFO) || (strcmp(view_file(i), "proc/meminfo") != 0 &&
						  strcmp(view_file(i), "proc/swaps") != 0))
			files |= 1U << i;
	return files;
}

static int fill(const struct ctx_view *v, struct ctx_view_orders *o)
{
	char path[PATH_MAX];
	const char *server = ctx_view_server();
	int r = server ? vz_copy(o->server, sizeof(o->server), server) : -ENOENT;

	o->version = CTX_VIEW_VERSION;
	o->ctid = v->ctid;
	o->files = wanted_files(v->want);
	for (size_t i = 0; v->covered && i < v->covered->n; i++)
		for (unsigned int f = 0; view_file(f); f++)
			if (!strcmp(&v->covered->v[i][1], view_file(f)))
				o->covered |= 1U << f;
	o->no_swap = (v->want & CTX_VIEW_NO_SWAP) != 0;
	o->ntasks = (uint8_t)v->ntasks;
	if (r == 0)
		r = vz_copy(o->rundir, sizeof(o->rundir),
			    vps_path(path, "%s/%u", vps_paths()->run, v->ctid));
	for (size_t i = 0; r == 0 && i < v->hierarchies->n; i++) {
		/* lxcfs looks nowhere else */
		if (strncmp(v->hierarchies->v[i], "/sys/fs/cgroup", 14) != 0)
			continue;
		r = o->nhierarchies < CTX_VIEW_HIERARCHIES
			    ? vz_copy(o->hierarchies[o->nhierarchies], sizeof(o->hierarchies[0]),
				      v->hierarchies->v[i])
			    : -E2BIG;
		o->nhierarchies++;
	}
	return r < 0 ? r : o->nhierarchies > 0 ? 0 : -ENOENT;
}

int ctx_view_begin(struct ctx_start *s, const struct ctx_view *v, struct vz_error *err)
{
	struct ctx_view_orders o = { 0 };
	int fds[3 + CTX_VIEW_TASKS], sk[2], r = fill(v, &o);
	VZ_FD int filter = -EBADF;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "orders for the view");
	filter = ctx_seccomp(CTX_ALLOW_VIEW, err);
	if (filter < 0)
		return filter;
	r = vz_seqpacket(sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "socketpair");
	fds[0] = v->group;
	fds[1] = filter;
	fds[2] = sk[1];
	for (size_t i = 0; i < v->ntasks; i++)
		fds[3 + i] = v->tasks[i];
	r = vz_send_fds(s->mon, &o, sizeof(o), fds, 3 + v->ntasks);
	vz_closep(&sk[1]);
	s->view = sk[0];
	return r < 0 ? vz_fail(err, VZ_EXIT_ENVCREATE, -r, "send the orders for the view") : 0;
}

void ctx_view_show(struct ctx_start *s)
{
	/* who waits for it may have failed: ctx_view_shown will hear it */
	if (s->view >= 0)
		(void)!vz_send_fds(s->view, "", 1, &s->init_pidfd, 1);
}

int ctx_view_shown(struct ctx_start *s, struct vz_list *ret, struct vz_error *err)
{
	struct pollfd p = { .fd = s->view, .events = POLLIN };
	struct ctx_view_answer a;
	size_t none = 0;
	int r = poll(&p, 1, SHOWN_MS);

	if (r <= 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, r == 0 ? ETIMEDOUT : errno,
			       "the server of the view");
	if (vz_recv_fds(s->view, &a, sizeof(a), NULL, &none) != (ssize_t)sizeof(a))
		return vz_fail(err, VZ_EXIT_ENVCREATE, 0, "the server of the view ended");
	a.what[sizeof(a.what) - 1] = '\0';
	if (a.failed)
		return vz_fail(err, VZ_EXIT_ENVCREATE, a.failed > 0 ? a.failed : 0, "%s", a.what);
	for (unsigned int i = 0; view_file(i); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/%s", view_file(i));
		if ((a.shown >> i & 1) && vz_list_add(ret, path) < 0)
			return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "the view");
	}
	return 0;
}
