/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * resume: one table. Everything around the VPS is made as for a start; then vzmon runs CRIU, which restores all and
 * waits at its gate. There we look at what CRIU's word does not prove. Up to the word "go" the dump is the VPS.
 */
#include "ops/cpt.h"

#include "context/gate.h"
#include "net/net.h"
#include "ops/boot.h"
#include "ops/steps.h"
#include "ops/ubc.h"
#include "ubc/ubc.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

static const char log_name[] = "restore.log";

struct resuming {
	struct starting b; /* first: the steps shared with start are given this */
	const struct op_resume *a;
	struct op_start start;
	struct cpt_criu criu;
	struct cpt_desc desc;
	struct ctx_gate gate;
	struct op_held held;
	struct cpt_memory *memory; /* that is in the file; NULL: all is in @images */
	struct cpt_server *server; /* of it, while CRIU restores */
	int served; /* what that failed with */
	bool faulted;
	char peer[16]; /* our end of the link, until CRIU takes it */
	char rundir[PATH_MAX], file[PATH_MAX], images[PATH_MAX], used[PATH_MAX];
};

static int res_fail(struct vz_error *err, int r, const char *what)
{
	return vz_fail(err, VZ_EXIT_RESTORE, -r, "%s", what);
}

/* ---- is it a dump of this VPS, for this node ---- */

static int check_cpu(const struct resuming *s, struct vz_error *err)
{
	VZ_FREE char *have = cpt_cpu_flags(), *missing = NULL;
	int r = cpt_cpu_missing(cpt_cpu_caps(s->desc.cpu), have ? cpt_cpu_caps(have) : UINT64_MAX,
				&missing);

	if (r < 0)
		return res_fail(err, r, "compare processors");
	return missing ? vz_fail(err, VZ_EXIT_RESTORE, 0,
				 "this node's processor lacks what the VPS has seen: %s", missing)
		       : 0;
}

static int check_desc(struct resuming *s, struct vz_error *err)
{
	struct op *o = s->b.o;
	const struct cpt_desc *d = &s->desc;
	const char *hash = o->cfg.ostemplate_hash ? o->cfg.ostemplate_hash : "";
	struct sto_place place;
	int r = op_place(o, &place, err);

	if (r < 0)
		return r;
	if (d->ctid != o->ctid && !s->a->arrived)
		return vz_fail(err, VZ_EXIT_RESTORE, 0, "%s is of VPS %u, not of VPS %u", s->file,
			       d->ctid, o->ctid);
	if (d->uid_base != o->base || d->uid_count != o->count)
		return vz_fail(err, VZ_EXIT_RESTORE, 0,
			       "VPS %u had the ids from %" PRIu64 " on, and now from %" PRIu64,
			       o->ctid, d->uid_base, o->base);
	if (strcmp(d->layout, o->layout->name) != 0)
		return vz_fail(err, VZ_EXIT_RESTORE, 0, "VPS %u had the layout %s, and now %s",
			       o->ctid, d->layout, o->layout->name);
	if (o->layout->needs_template && strcmp(d->template_hash, hash) != 0)
		return vz_fail(err, VZ_EXIT_RESTORE, 0,
			       "VPS %u had another generation of its template", o->ctid);
	return check_cpu(s, err);
}

static int check_space(const struct resuming *s, uint64_t bytes, struct vz_error *err)
{
	char dir[PATH_MAX];
	struct statvfs fs;
	const char *slash = strrchr(s->images, '/');

	(void)vps_path(dir, "%.*s", slash && slash > s->images ? (int)(slash - s->images) : 1,
		       s->images);
	if (statvfs(dir, &fs) == 0 && (uint64_t)fs.f_bavail * fs.f_frsize < bytes)
		return vz_fail(err, VZ_EXIT_RESTORE, ENOSPC,
			       "%s has no room for the %" PRIu64 " MiB of the dump", dir,
			       bytes >> 20);
	return 0;
}

/* What a dump stands on must be beside it; its own images then have their place among them. */
static int check_rounds(struct resuming *s, struct vz_error *err)
{
	char rounds[PATH_MAX];

	if (!s->desc.parents)
		return 0;
	(void)vps_path(s->images, "%s/last", op_rounds_beside(s->file, rounds));
	return cpt_rounds_there(rounds, s->desc.chain, s->desc.parents, err);
}

static int step_check(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	struct vps_state *st = &s->b.st;
	uint64_t bytes = 0;
	int r = cpt_criu_find(VZ_EXIT_RESTORE, &s->criu, err);

	if (r == 0)
		r = cpt_peek(s->file, &s->desc, &bytes, err);
	if (r == 0 && s->desc.lazy && s->a->pages <= 0)
		r = vz_fail(err, VZ_EXIT_RESTORE, 0,
			    "%s was made while VPS %u moved, and does not hold its memory", s->file,
			    s->desc.ctid);
	if (r == 0)
		r = op_userns(s->b.o, err) < 0 ? -EIO : 0;
	if (r == 0)
		r = check_desc(s, err);
	if (r == 0)
		r = check_rounds(s, err);
	if (r == 0)
		r = check_space(s, bytes, err);
	if (r < 0)
		return r;
	st->generation = op_boot_generation(s->b.o->ctid);
	st->ran_ms = s->desc.ran_ms;
	memcpy(st->init_kind, s->desc.init_kind, sizeof(st->init_kind));
	(void)snprintf(s->b.init.kind, sizeof(s->b.init.kind), "%s", s->desc.init_kind);
	s->b.covered = &s->desc.view;
	/* limits set without --save were in force */
	r = vz_list_copy(&st->live, &s->desc.live);
	if (r < 0)
		return res_fail(err, r, "state");
	vps_live_over(st, &s->b.o->cfg, VPS_LIVE_LIMITS);
	return 0;
}

/* ---- steps ---- */

/* The action scripts have run: what they had made before must be there. */
static int step_given(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	int r = op_given_check(s->b.o, &s->desc.given, err);

	if (r == 0 && cpt_given_name(s->images, &s->desc.given) < 0)
		r = vz_fail(err, VZ_EXIT_RESTORE, EBADMSG, "mounts in the images of %s", s->file);
	return r;
}

/* Its memory, too, after all. */
static int unpack_all(struct resuming *s, struct vz_error *err)
{
	CPT_DESC struct cpt_desc again = { 0 };
	int r = check_space(s, cpt_memory_bytes(s->memory), err);

	cpt_memory_closep(&s->memory);
	return r < 0 ? r : cpt_unpack(s->file, s->images, s->b.o->base, &again, err);
}

static int step_unpack(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	CPT_DESC struct cpt_desc again = { 0 };
	VZ_FD int dir = -EBADF;
	int r = cpt_open(s->file, s->images, s->b.o->base, &again, &s->memory, err);

	if (r == 0 && s->memory && cpt_forks_much(s->images, cpt_memory_bytes(s->memory)))
		r = unpack_all(s, err);
	if (r < 0 || !s->desc.parents)
		return r;
	dir = vz_openat(AT_FDCWD, s->images, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	r = dir < 0 ? dir : cpt_round_link(dir, s->desc.parents, s->b.o->base);
	return r < 0 ? res_fail(err, r, s->images) : 0;
}

static void undo_unpack(void *arg)
{
	struct resuming *s = arg;

	(void)!vz_rm_rf(AT_FDCWD, s->images);
	cpt_memory_closep(&s->memory);
}

static int restore_counters(struct resuming *s)
{
	UBC_TABLE struct ubc_table *t = NULL;
	struct ubc_slot *slot;
	int r = ubc_table_open(true, &t);

	if (r < 0)
		return r;
	slot = ubc_slot(t, s->b.o->ctid);
	for (size_t i = 0; slot && i < s->desc.ncounters; i++) {
		int c = ubc_by_name(s->desc.counters[i].name);

		if (c >= 0)
			ubc_carry(slot, (enum ubc_counter)c, s->desc.counters[i].maxheld,
				  s->desc.counters[i].failcnt);
	}
	if (slot)
		op_refusals_carry(slot, &s->desc);
	return 0;
}

static int step_counters(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	int r = op_boot_counters(&s->b, err);

	if (r == 0 && restore_counters(s) < 0)
		vz_info("the beancounters of VPS %u begin anew", s->b.o->ctid);
	return r;
}

/* Those that CRIU would not make: no process is in them. */
static int step_groups(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	int r = res_restore_room(s->b.cg, &s->b.o->cfg, err);

	return r < 0 ? r
		     : res_tree_make(&s->b.st.cgroups, s->b.o->base, s->b.o->count, s->desc.groups,
				     false, err);
}

static int step_limits(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	VZ_LIST struct vz_list missing = { 0 };
	int r = res_apply(s->b.cg, &s->b.o->cfg, 1U << AG_PIDS, &missing, err);

	return r < 0 ? r
		     : res_tree_make(&s->b.st.cgroups, s->b.o->base, s->b.o->count, s->desc.groups,
				     true, err);
}

static int step_link(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	const struct vz_list *ips = &s->b.o->cfg.ip_address;
	bool v6 = false;

	for (size_t i = 0; i < ips->n; i++)
		v6 = v6 || strchr(ips->v[i], ':');
	net_ifname(s->b.o->ctid, s->b.st.generation, s->b.st.ifname);
	/* nobody else would know of a link that is not in a VPS yet */
	s->held.hold = OP_HOLD_RESTORING;
	memcpy(s->held.file, s->file, sizeof(s->held.file));
	memcpy(s->held.link, s->b.st.ifname, sizeof(s->held.link));
	if (op_held_write(s->b.o->ctid, &s->held, err) < 0)
		return -EIO;
	return net_link_prepare(s->b.st.ifname, v6 && s->b.o->cfg.ipv6, s->peer, err);
}

_Static_assert((int)CTX_PAGES_FD == (int)CPT_PAGES_FD && (int)CTX_KEEP_FD == (int)CPT_KEEP_FD &&
		       (int)CTX_READY_FD == (int)CPT_READY_FD,
	       "context puts descriptors where checkpoint says");

/** struct lines - command lines of CRIU and, where memory comes later, of its server of pages */
struct lines {
	struct vz_list argv, env, pages_argv, pages_env;
	char **v[4]; /* as execve(2) wants them; the texts are those of the lists */
	char **given;
};

static void lines_clear(struct lines *l)
{
	vz_list_clear(&l->argv);
	vz_list_clear(&l->env);
	vz_list_clear(&l->pages_argv);
	vz_list_clear(&l->pages_env);
	for (size_t i = 0; i < 4; i++)
		free(l->v[i]);
	op_given_words_free(l->given);
}

static int criu_args(struct resuming *s, struct lines *l)
{
	char stage[PATH_MAX], root[PATH_MAX];
	struct cpt_run run = { .criu = &s->criu,
			       .images = s->images,
			       .rundir = s->rundir,
			       .root = vps_path(root, "%s/" CTX_STAGE "/root", vps_paths()->run),
			       .tty = s->desc.tty,
			       .log = log_name,
			       .owner = s->desc.uid_base,
			       .given = &s->desc.given,
			       .lazy = s->desc.lazy,
			       .server = s->server ? cpt_server_dir(s->server) : NULL };
	const struct vz_list *all[] = { &l->argv, &l->env, &l->pages_argv, &l->pages_env };
	int r = cpt_restore_args(&run, vps_path(stage, "%s/" CTX_STAGE, vps_paths()->run), s->peer,
				 &s->desc.view, &l->argv, &l->env);

	run.log = "pages.log";
	if (r == 0 && run.lazy)
		r = cpt_pages_args(&run, &l->pages_argv, &l->pages_env);
	for (size_t i = 0; r == 0 && i < 4; i++) {
		l->v[i] = calloc(all[i]->n + 1, sizeof(*l->v[i]));
		if (!l->v[i])
			return -ENOMEM;
		if (all[i]->n)
			memcpy(l->v[i], all[i]->v, all[i]->n * sizeof(*l->v[i]));
	}
	l->given = op_given_words(&s->desc.given, &s->b.orders);
	return r == 0 && !l->given ? -ENOMEM : r;
}

/* VZ_FAULT=resume-serve:1: some memory is there, and the rest is not. */
static int serve(void *arg)
{
	struct resuming *s = arg;
	struct vz_error on_purpose;

	if (op_steps_cancelled())
		return -EINTR;
	s->served = cpt_server_step(s->server);
	if (s->served == 0 && cpt_server_sent(s->server) > 0 && !s->faulted) {
		s->faulted = true;
		s->served = op_steps_fault("resume-serve", 1, &on_purpose);
	}
	return s->served;
}

static int run_criu(struct resuming *s, struct vz_error *err)
{
	struct ctx_meanwhile meanwhile = { -EBADF, serve, s };
	struct lines l = { 0 };
	int r = 0;

	if (s->memory)
		r = cpt_server_open(s->rundir, s->images, s->memory, &s->server, err);
	if (r < 0)
		return r;
	if (s->server)
		meanwhile.fd = cpt_server_fd(s->server);
	r = criu_args(s, &l);
	if (r < 0) {
		(void)res_fail(err, r, "arguments for CRIU");
	} else {
		const struct ctx_criu c = { l.v[0],
					    l.v[1],
					    l.v[2],
					    l.v[3],
					    l.given,
					    s->a->pages,
					    s->server ? &meanwhile : NULL };

		r = ctx_restore(&s->b.orders, &s->b.fds, &c, &s->b.ctx, &s->gate, err);
	}
	lines_clear(&l);
	return r;
}

/* When it is not at the gate it finds nobody who reads to it, and ends. */
static int end_server(struct resuming *s, int r, struct vz_error *err)
{
	if (r == 0 && s->server)
		s->served = cpt_server_finish(s->server);
	cpt_server_closep(&s->server);
	cpt_memory_closep(&s->memory);
	if (s->served < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, s->served == -EBADMSG ? 0 : -s->served,
			       "dump file %s%s", s->file,
			       s->served == -EBADMSG ? ": it has changed while it was read" : "");
	return r;
}

static int step_restore(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	char why[300];
	int r = op_boot_seccomp(&s->b, err);

	vz_say("\tundump...");
	s->b.fds.root = s->b.root;
	s->b.fds.start_script = -ENOENT;
	if (r == 0)
		r = op_ubc_prepare(s->b.o->ctid, s->b.o->base, err);
	if (r == 0)
		r = op_boot_orders(&s->b, err);
	if (r == 0)
		r = op_boot_volumes(&s->b, err);
	if (r < 0)
		return r;
	s->b.orders.nvolumes = (uint8_t)s->b.fds.nvolumes;
	s->b.fds.dev = ctx_dev_make(&s->b.orders, cpt_dev_fill, &s->desc);
	if (s->b.fds.dev < 0)
		return res_fail(err, s->b.fds.dev, "/dev of the VPS");
	r = end_server(s, run_criu(s, err), err);
	if (r < 0 && s->served == 0 && cpt_criu_why(s->rundir, log_name, why, sizeof(why))[0])
		return vz_fail(err, VZ_EXIT_RESTORE, 0,
			       "CRIU could not restore VPS %u: %s (log %s/%s)", s->b.o->ctid, why,
			       s->rundir, log_name);
	return r;
}

static void undo_restore(void *arg)
{
	struct resuming *s = arg;

	/* it kills what it restored; when its orders never left, vzmon ends with us */
	if (s->gate.sk >= 0 || s->b.ctx.sk >= 0)
		ctx_gate_settle(s->rundir, s->b.ctx.sk, &s->gate);
	op_boot_monitor_abort(&s->b);
}

/* ---- what exit 0 does not prove ---- */

/* Root of the VPS's file system must belong to its own root: CRIU drops idmapped mounts without a word. */
static int verify_root(const struct resuming *s, struct vz_error *err)
{
	struct stat inside, node;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/root/", (int)s->b.ctx.init_pid);
	if (stat(path, &inside) < 0 || stat(s->b.o->cfg.ve_root, &node) < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, errno, "root of the restored VPS");
	if (inside.st_ino != node.st_ino)
		return vz_fail(err, VZ_EXIT_RESTORE, 0,
			       "the root of the restored VPS is not that of %s",
			       s->b.o->cfg.ve_root);
	if (inside.st_uid < s->b.o->base || inside.st_uid >= s->b.o->base + s->b.o->count)
		return vz_fail(
			err, VZ_EXIT_RESTORE, 0,
			"the root of the restored VPS belongs to id %u, which is not the VPS's",
			(unsigned int)inside.st_uid);
	return 0;
}

static int verify_ids(const struct resuming *s, struct vz_error *err)
{
	static const char *const maps[] = { "uid_map", "gid_map" };

	for (size_t i = 0; i < 2; i++) {
		VZ_FREE char *text = NULL;
		VZ_LIST struct vz_list l = { 0 };
		char path[64], base[24], count[24];

		(void)snprintf(path, sizeof(path), "/proc/%d/%s", (int)s->b.ctx.init_pid, maps[i]);
		(void)snprintf(base, sizeof(base), "%" PRIu64, s->b.o->base);
		(void)snprintf(count, sizeof(count), "%" PRIu64, s->b.o->count);
		if (vz_read_file(AT_FDCWD, path, 4096, &text) < 0 ||
		    vz_list_split(&l, text, " \n") < 0 || l.n != 3 || strcmp(l.v[0], "0") != 0 ||
		    strcmp(l.v[1], base) != 0 || strcmp(l.v[2], count) != 0)
			return vz_fail(err, VZ_EXIT_RESTORE, 0,
				       "the restored VPS has other ids than its own (%s)", maps[i]);
	}
	return 0;
}

/* Init is in each of the VPS's groups, or in one below. */
static int verify_groups(const struct resuming *s, struct vz_error *err)
{
	VZ_FREE char *text = NULL;
	char path[64], want[80];
	char *line, *save = NULL;

	(void)snprintf(path, sizeof(path), "/proc/%d/cgroup", (int)s->b.ctx.init_pid);
	if (vz_read_file(AT_FDCWD, path, 65536, &text) < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, ESRCH, "control groups of the restored VPS");
	(void)snprintf(want, sizeof(want), "/%u", s->b.o->ctid);
	for (line = strtok_r(text, "\n", &save); line; line = strtok_r(NULL, "\n", &save)) {
		const char *name = strchr(line, ':'), *group = name ? strchr(name + 1, ':') : NULL;
		char ctl[40];
		const char *at;

		if (!group)
			continue;
		(void)snprintf(ctl, sizeof(ctl), "%.*s", (int)(group - name - 1), name + 1);
		if (!vps_state_cgroup(&s->b.st, *ctl ? ctl : "v2"))
			continue; /* a hierarchy that no VPS is in */
		at = strstr(group, vps_paths()->slice);
		at = at ? strstr(at, want) : NULL;
		if (!at || (at[strlen(want)] != '\0' && at[strlen(want)] != '/'))
			return vz_fail(err, VZ_EXIT_RESTORE, 0,
				       "the restored VPS is not in its control group (%s)", line);
	}
	return 0;
}

static int verify_pidfd(const struct resuming *s, struct vz_error *err)
{
	return vz_pidfd_poll(s->b.ctx.init_pidfd, 0) == 0
		       ? vz_fail(err, VZ_EXIT_RESTORE, ESRCH, "init of the restored VPS")
		       : 0;
}

static int step_verify(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	int r = verify_pidfd(s, err);

	if (r == 0)
		r = verify_ids(s, err);
	if (r == 0)
		r = verify_root(s, err);
	if (r == 0)
		r = op_given_verify(s->b.o, s->b.ctx.init_pid, &s->desc.given, err);
	return r < 0 ? r : verify_groups(s, err);
}

/* Addresses that the configuration has now; the routes of the node lead to the new link. */
static int step_addresses(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	const struct vz_list *now = &s->b.o->cfg.ip_address, *then = &s->desc.addrs;
	int r = op_addr_add_all(s->b.o, s->b.st.ifname, s->b.ctx.netns, err);

	for (size_t i = 0; r == 0 && i < then->n; i++)
		if (vz_list_find(now, then->v[i]) < 0)
			r = net_addr_del(s->b.st.ifname, s->b.ctx.netns, then->v[i], err);
	if (r == 0 && s->desc.ping[0])
		r = net_ping_set(s->b.ctx.netns, s->b.o->base, s->b.o->count, s->desc.ping);
	if (r < 0 && !err->exit)
		return res_fail(err, r, "net.ipv4.ping_group_range of the VPS");
	return r;
}

static int step_view(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;

	(void)err;
	if (s->b.view) {
		ctx_view_show(&s->b.ctx);
		op_view_shown(&s->b.ctx, &s->b.st.view);
	} else if (vz_list_copy(&s->b.st.view, &s->desc.view) < 0) {
		return res_fail(err, -ENOMEM, "state");
	}
	return 0;
}

static int step_state(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;

	/* the name under which the dump is out of use; before it has it, so that nothing is missed */
	if (!s->a->keep && vz_copy(s->b.st.dump, sizeof(s->b.st.dump), s->used) < 0)
		return res_fail(err, -ENAMETOOLONG, s->used);
	return op_boot_state(&s->b, err);
}

static void undo_link(void *arg)
{
	struct resuming *s = arg;

	op_boot_unlink(&s->b);
	op_held_forget(s->b.o->ctid);
}

/* ---- let it go ---- */

/* From here on a power cut finds no dump that would bring back a memory that its disk has left behind. */
static int use_up(const char *file, const char *used, struct vz_error *err)
{
	int r = rename(file, used) < 0 ? -errno : vz_fsync_dir_of(used);

	return r < 0 ? vz_fail(err, VZ_EXIT_RESTORE, -r, "rename %s", file) : 0;
}

/* @mon: vzmon tells, NULL: it is asked by what it did. */
static int let_go(struct op *o, struct ctx_gate *gate, const struct vps_state *st,
		  const struct op_held *h, struct ctx_start *mon, struct vz_error *err)
{
	int r = st->dump[0] ? use_up(h->file, st->dump, err) : 0;

	if (r < 0)
		return r;
	vz_say("\tresume...");
	if (ctx_gate_say(gate, true) < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, ECONNRESET, "CRIU went before it was told");
	if (mon)
		r = ctx_restored(mon, err);
	else if (!vps_running(o->ctid, NULL))
		r = vz_fail(err, VZ_EXIT_RESTORE, 0, "CRIU could not let VPS %u run", o->ctid);
	if (r == 0)
		op_memory_back(o, st);
	return r;
}

static void forget_dump(uint32_t ctid, struct vps_state *st)
{
	if (!st->dump[0])
		return;
	op_dump_used_up(st->dump);
	st->dump[0] = '\0';
	(void)!vps_state_save(ctid, st);
}

static int step_go(void *arg, struct vz_error *err)
{
	struct resuming *s = arg;
	int r = let_go(s->b.o, &s->gate, &s->b.st, &s->held, &s->b.ctx, err);

	if (r < 0 && s->b.st.dump[0] && rename(s->b.st.dump, s->file) < 0 && errno != ENOENT)
		vz_warn("WARNING: the dump is %s", s->b.st.dump);
	return r;
}

/* The last one lets it go: --undump stops before it. */
static const struct op_step all_steps[] = {
	{ "check", step_check, NULL },
	{ "monitor", op_boot_monitor, op_boot_monitor_abort },
	{ "unpack", step_unpack, undo_unpack },
	{ "mount", op_boot_mount, op_boot_umount },
	{ "root", op_boot_root, NULL },
	{ "given", step_given, NULL },
	{ "resources", op_boot_groups, op_boot_groups_remove },
	{ "counters", step_counters, NULL },
	{ "groups", step_groups, NULL },
	{ "link", step_link, undo_link },
	{ "restore", step_restore, undo_restore },
	{ "verify", step_verify, NULL },
	{ "addresses", step_addresses, NULL },
	{ "limits", step_limits, NULL },
	{ "view", step_view, NULL },
	{ "state", step_state, op_boot_state_forget },
	{ "go", step_go, NULL },
};

static void running_again(struct op *o)
{
	if (vps_record_running(o->ctid) < 0)
		vz_info("no note in %s/running", vps_paths()->vzdir);
	op_ubc_refresh_unwatched(o->ctid, op_ubc_net);
}

static int paths(struct resuming *s, struct vz_error *err)
{
	struct op *o = s->b.o;

	(void)op_cpt_rundir(o->ctid, s->rundir);
	if (!s->a->dumpfile)
		(void)op_dump_path(o, s->file);
	else if (!realpath(s->a->dumpfile, s->file))
		return vz_fail(err, VZ_EXIT_RESTORE, errno, "dump file %s", s->a->dumpfile);
	(void)vps_path(s->images, "%s.restore", s->file);
	(void)vps_path(s->used, "%s.used", s->file);
	return 0;
}

int op_do_resume(struct op *o, const struct op_resume *a, struct vz_error *err)
{
	struct resuming s = { .a = a, .gate = CTX_GATE_NONE };
	const bool go = a->stages & OP_STAGE_GO;
	int r;

	s.b = (struct starting)OP_STARTING(o, &s.start);
	s.start.skip_remount = a->skip_remount;
	r = paths(&s, err);
	if (r == 0 && access(s.file, F_OK) < 0)
		r = vz_fail(err, VZ_EXIT_RESTORE, errno, "dump file %s", s.file);
	if (r == 0) {
		vz_say("Restoring VPS ...");
		r = op_steps_run("resume", all_steps,
				 sizeof(all_steps) / sizeof(*all_steps) - (go ? 0 : 1), &s, err);
	}
	if (r == 0 && go) {
		forget_dump(o->ctid, &s.b.st);
		op_held_forget(o->ctid);
		(void)!vz_rm_rf(AT_FDCWD, s.images);
		running_again(o);
		vz_say("Restoring completed successfully");
	} else if (r == 0) {
		s.held.hold = OP_HOLD_RESTORED;
		r = op_held_write(o->ctid, &s.held, err);
	}
	ctx_gate_close(&s.gate);
	cpt_desc_clear(&s.desc);
	op_boot_release(&s.b);
	if (r < 0 && err->exit != VZ_EXIT_RUNNING)
		err->exit = VZ_EXIT_RESTORE;
	return r < 0 ? vz_wrap(err, r, "Restore error") : r;
}

/* --resume or --kill after --undump. */
static int end_stage(struct op *o, const struct op_resume *a, struct vz_error *err)
{
	VPS_STATE struct vps_state st = { 0 };
	CTX_GATE struct ctx_gate gate = CTX_GATE_NONE;
	char rundir[PATH_MAX];
	struct op_held h;
	int r;

	op_held_read(o->ctid, &h);
	if (h.hold != OP_HOLD_RESTORED || !vps_running(o->ctid, &st) ||
	    ctx_gate_open(op_cpt_rundir(o->ctid, rundir), &gate) < 0)
		return vz_fail(err, VZ_EXIT_RESTORE, 0, "VPS %u is not restored: --undump first",
			       o->ctid);
	if (a->stages == OP_STAGE_KILL) {
		vz_say("Killing...");
		ctx_gate_close(&gate);
		r = op_drop_restored(o, &st, &h, err);
		if (r == 0)
			r = op_mend(o, err);
		return r;
	}
	if (a->keep)
		st.dump[0] = '\0';
	r = let_go(o, &gate, &st, &h, NULL, err);
	if (r < 0)
		return r;
	forget_dump(o->ctid, &st);
	op_held_forget(o->ctid);
	op_images_forget(h.file);
	running_again(o);
	vz_say("Restoring completed successfully");
	return 0;
}

int op_resume(const struct op_env *env, uint32_t ctid, const struct op_resume *a,
	      struct vz_error *err)
{
	OP struct op o;
	int r = op_open(&o, env, ctid, "resuming", err);

	if (r == 0)
		r = vz_kernel_check(VZ_NEED_BUILD, err);
	if (r < 0)
		return r;
	if (a->stages == OP_STAGE_GO || a->stages == OP_STAGE_KILL)
		return end_stage(&o, a, err);
	if (o.bad)
		return vz_fail(err, VZ_EXIT_INVALID_CONFIG, 0,
			       "%u bad line(s) in the configuration of VPS %u: mend them first",
			       o.bad, ctid);
	if (vps_running(ctid, NULL))
		return vz_fail(err, VZ_EXIT_RUNNING, 0, "Container is already running");
	r = vps_run_dir(ctid);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_SYSTEM, -r, "make %s/%u", vps_paths()->run, ctid);
	r = op_mend(&o, err);
	return r < 0 ? r : op_do_resume(&o, a, err);
}
