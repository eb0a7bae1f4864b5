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
	uint32_t ours = want / CTX_VIEW_STAT << VIEW_SERVED & VIEW_OURS, files = ours;

	for (unsigned int i = 0; (want & CTX_VIEW_SERVER) && i < VIEW_SERVED; i++) {
		bool memory = !strcmp(view_file(i), "proc/meminfo") ||
			      !strcmp(view_file(i), "proc/swaps");
		bool stat = !strcmp(view_file(i), "proc/stat");

		if (memory ? want & CTX_VIEW_MEMINFO : !stat || !(want & CTX_VIEW_STAT))
			files |= 1U << i;
	}
	return files;
}

/* One of two that have the same name: it is taken off once. */
static uint32_t bit_of(const char *file)
{
	for (unsigned int f = 0; view_file(f); f++)
		if (!strcmp(file, view_file(f)))
			return 1U << f;
	return 0;
}

/* What the server reads. */
static int fill_server(const struct ctx_view *v, struct ctx_view_orders *o)
{
	const char *server = ctx_view_server();
	int r = server ? vz_copy(o->server, sizeof(o->server), server) : -ENOENT;

	o->no_swap = (v->want & CTX_VIEW_NO_SWAP) != 0;
	o->ntasks = (uint8_t)v->ntasks;
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

static int fill(const struct ctx_view *v, struct ctx_view_orders *o)
{
	char path[PATH_MAX];
	int r;

	o->version = CTX_VIEW_VERSION;
	o->ctid = v->ctid;
	o->files = wanted_files(v->want);
	for (size_t i = 0; v->covered && i < v->covered->n; i++)
		o->covered |= bit_of(&v->covered->v[i][1]);
	r = vz_copy(o->rundir, sizeof(o->rundir),
		    vps_path(path, "%s/%u", vps_paths()->run, v->ctid));
	if (r == 0)
		r = vz_copy(o->vzctl, sizeof(o->vzctl),
			    vps_path(path, "%s/vzctl-admin", vps_paths()->libexec));
	return r < 0 || !(v->want & CTX_VIEW_SERVER) ? r : fill_server(v, o);
}

int ctx_view_begin(struct ctx_start *s, const struct ctx_view *v, struct vz_error *err)
{
	struct ctx_view_orders o = { 0 };
	int fds[3 + CTX_VIEW_TASKS], sk[2], r = fill(v, &o);
	VZ_FD int filter = -EBADF;
	size_t n = 1;

	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "orders for the view");
	if (v->want & CTX_VIEW_SERVER) {
		filter = ctx_seccomp(CTX_ALLOW_VIEW, err);
		if (filter < 0)
			return filter;
		fds[n++] = v->group;
		fds[n++] = filter;
		for (size_t i = 0; i < v->ntasks; i++)
			fds[n++] = v->tasks[i];
	}
	r = vz_seqpacket(sk);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_ENVCREATE, -r, "socketpair");
	fds[0] = sk[1];
	r = vz_send_fds(s->mon, &o, sizeof(o), fds, n);
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

int ctx_view_shown(struct ctx_start *s, struct vz_list *ret, bool *ret_unwatched,
		   struct vz_error *err)
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
	for (unsigned int i = 0; view_file(i); i++) {
		char path[64];

		(void)snprintf(path, sizeof(path), "/%s", view_file(i));
		if ((a.shown >> i & 1) && vz_list_add(ret, path) < 0)
			return vz_fail(err, VZ_EXIT_SYSTEM, ENOMEM, "the view");
	}
	if (a.failed)
		return vz_fail(err, VZ_EXIT_ENVCREATE, a.failed > 0 ? a.failed : 0, "%s", a.what);
	*ret_unwatched = a.unwatched;
	return 0;
}
