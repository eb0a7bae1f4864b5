/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * suspend: one table. CRIU hands over its images, which we write into one file as they come, and waits at the gate, its
 * processes stopped; the file is finished and gets its name; only then CRIU is told to kill. Up to the name everything can be
 * taken back. A dump that stands on rounds, or whose memory comes later, is written by CRIU into a directory and packed then.
 */
#include "ops/cpt.h"

#include "checkpoint/preflight.h"
#include "context/gate.h"
#include "net/net.h"
#include "ops/steps.h"
#include "ops/ubc.h"
#include "util/fd.h"
#include "util/kernel.h"
#include "util/log.h"
#include "util/proc.h"

#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/sysmacros.h>
#include <sys/utsname.h>
#include <time.h>

#ifndef PACKAGE_VERSION
#define PACKAGE_VERSION "0"
#endif

enum { FREEZE_MS = 10000, KILL_MS = 10000, SLACK_BYTES = 16 << 20 };

static const char log_name[] = "dump.log";

struct suspending {
	struct op *o;
	const struct op_suspend *a;
	struct vps_state st;
	struct cg *cg;
	struct cpt_criu criu;
	struct op_held held;
	struct ctx_gate gate;
	struct cpt_desc desc;
	struct vz_list external;
	pid_t child; /* CRIU, when it is ours */
	struct cpt_stream *stream; /* NULL: none, or it failed */
	bool streamed; /* not into @images */
	char rundir[PATH_MAX], file[PATH_MAX], images[PATH_MAX];
	char parent[PATH_MAX]; /* the last round, seen from @images; "" none */
};

static int sus_fail(struct vz_error *err, int r, const char *what)
{
	return vz_fail(err, VZ_EXIT_CHKPNT, -r, "%s", what);
}

/* ---- what is looked at before anything is frozen ---- */

int op_dump_space(const struct op *o, struct cg *cg, const char *file, unsigned int times,
		  struct vz_error *err)
{
	uint64_t stat[CG_STAT_MAX] = { 0 }, need;
	struct statvfs fs;
	char dir[PATH_MAX];
	const char *slash = strrchr(file, '/');
	int r;

	(void)vps_path(dir, "%.*s", slash ? (int)(slash - file) : 1, slash ? file : ".");
	if (!dir[0])
		(void)vps_path(dir, "/");
	r = vz_mkdir_p(dir, 0700);
	if (r < 0 || statvfs(dir, &fs) < 0)
		return vz_fail(err, VZ_EXIT_CHKPNT, r < 0 ? -r : errno, "directory %s of the dump",
			       dir);
	if (!res_stats(cg, 1U << CG_STAT_MEM, stat))
		return 0;
	need = times * stat[CG_STAT_MEM] + SLACK_BYTES;
	if ((uint64_t)fs.f_bavail * fs.f_frsize < need)
		return vz_fail(err, VZ_EXIT_CHKPNT, ENOSPC,
			       "%s has %" PRIu64 " MiB, a dump of VPS %u may take %" PRIu64
			       " MiB while it is made",
			       dir, (uint64_t)fs.f_bavail * fs.f_frsize >> 20, o->ctid, need >> 20);
	return 0;
}

static int refuse(uint32_t ctid, const struct cpt_finding *f, size_t all, struct vz_error *err)
{
	char comm[40], object[200];

	vz_quote(comm, sizeof(comm), f->comm);
	vz_quote(object, sizeof(object), f->object);
	return vz_fail(err, VZ_EXIT_CHKPNT, 0,
		       "VPS %u cannot be checkpointed now: %s (process %d inside): %s%s%s%s", ctid,
		       comm, (int)f->pid_inside, cpt_kind_text(f->kind), *object ? ": " : "",
		       object, all > 1 ? ", and more: vzctl checkpoint-check" : "");
}

/* Named before anything is frozen; CRIU would find some of it, and lose the rest without a word. */
static int refuse_blockers(struct suspending *s, struct vz_error *err)
{
	VZ_FREE struct cpt_findings *f = calloc(1, sizeof(*f));
	VZ_FREE pid_t *pids = NULL;
	const struct cpt_ours ours = { &s->st.view, &s->desc.given };
	struct cpt_load load;
	size_t n = 0, i = 0;
	int r = f ? res_pids(s->cg, &pids, &n, err) : sus_fail(err, -ENOMEM, "look at the VPS");

	if (r == 0)
		r = cpt_scan(pids, n, s->st.init_pid, &ours, f, &load, err);
	if (r < 0 || !f->blockers || s->a->force)
		return r;
	while (i + 1 < f->n && !f->v[i].blocker)
		i++;
	return refuse(s->o->ctid, &f->v[i], f->blockers, err);
}

static int step_check(void *arg, struct vz_error *err)
{
	struct suspending *s = arg;
	VZ_FREE char *text = NULL;
	char path[64];
	int r = cpt_criu_find(VZ_EXIT_CHKPNT, &s->criu, err);

	cpt_givens_clear(&s->desc.given);
	if (r == 0)
		r = op_given_find(s->o, s->st.init_pid, &s->desc.given, err);
	if (r == 0)
		r = refuse_blockers(s, err);
	if (r == 0)
		/* images and the file made of them lie there at once */
		r = op_dump_space(s->o, s->cg, s->file, s->streamed ? 1 : 2, err);
	if (r < 0)
		return r;
	(void)snprintf(path, sizeof(path), "/proc/%d/mountinfo", (int)s->st.init_pid);
	r = (int)vz_read_file(AT_FDCWD, path, 16 << 20, &text);
	if (r < 0)
		return vz_fail(err, VZ_EXIT_CHKPNT, -r, "read %s", path);
	r = cpt_mounts(text, &s->st.view, &s->desc.given, &s->external, err);
	return r == -ENOMEM ? sus_fail(err, r, "mounts of the VPS") : r;
}

/* ---- freeze ---- */

/*
 * Freeze all of it, at a moment when nobody waits in vfork(2). Programs are there for microseconds, so a few attempts do;
 * one whose child stays there (it opens a FIFO, say) is named. In between it runs longer and longer: on a busy node who
 * is thawed waits for a processor first.
 */
int op_freeze_all(const struct vps_state *st, struct cg *cg, uint32_t ctid, struct vz_error *err)
{
	enum { FIRST_MS = 20, MOST_MS = 320, IN_ALL_MS = 5000 };
	struct cpt_finding who;
	int spent = 0;

	for (int run = FIRST_MS; spent < IN_ALL_MS; run = run < MOST_MS ? 2 * run : run) {
		VZ_FREE pid_t *pids = NULL;
		size_t n = 0;
		int r = res_freeze(&st->cgroups, true, FREEZE_MS, err);

		if (r == 0)
			r = res_pids(cg, &pids, &n, err);
		if (r < 0)
			return r;
		if (!cpt_in_vfork(pids, n, &who))
			return 0;
		r = res_freeze(&st->cgroups, false, FREEZE_MS, err);
		if (r < 0)
			return r;
		(void)poll(NULL, 0, run);
		spent += run;
	}
	return refuse(ctid, &who, 1, err);
}

/*
 * The files are to be on disk when the dump gets its name: after a power cut it would go on with pages and sizes of files
 * that the disk never had. Once before the freeze, for the bulk; again for what has come since.
 */
static int flush_files(const struct suspending *s, struct vz_error *err)
{
	VZ_FD int fd = vz_openat(AT_FDCWD, s->o->cfg.ve_root, O_RDONLY | O_DIRECTORY, 0);

	if (fd < 0 || syncfs(fd) < 0)
		return vz_fail(err, VZ_EXIT_CHKPNT, fd < 0 ? -fd : errno,
			       "write the files of VPS %u to disk", s->o->ctid);
	return 0;
}

static int step_freeze(void *arg, struct vz_error *err)
{
	struct suspending *s = arg;
	int r = flush_files(s, err);

	s->held.hold = OP_HOLD_WORKING;
	if (r == 0)
		r = op_held_write(s->o->ctid, &s->held, err);
	if (r == 0)
		r = op_freeze_all(&s->st, s->cg, s->o->ctid, err);
	if (r < 0)
		err->exit = VZ_EXIT_CHKPNT;
	else
		vz_say("\tsuspend...");
	return r;
}

static void undo_freeze(void *arg)
{
	struct suspending *s = arg;
	struct vz_error err;

	if (op_thaw(s->o, &s->st, &s->held, &err) < 0)
		vz_warn("WARNING: %s", err.msg);
}

/* ---- dump ---- */

static int netns_of(const struct suspending *s)
{
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/ns/net", (int)s->st.init_pid);
	return vz_openat(AT_FDCWD, path, O_RDONLY, 0);
}

/* vzmon keeps the slave of the console's pty open; the VPS's processes have the same file. */
static int console_key(pid_t mon, char ret[48])
{
	enum { PTY_SLAVE = 136, PTY_MAJORS = 8 };
	char path[64];
	VZ_DIR DIR *d = NULL;
	struct dirent *e;

	(void)snprintf(path, sizeof(path), "/proc/%d/fd", (int)mon);
	d = vz_opendirat(AT_FDCWD, path);
	while (d && (e = readdir(d))) {
		struct stat st;

		if (e->d_name[0] == '.' || fstatat(dirfd(d), e->d_name, &st, 0) < 0 ||
		    !S_ISCHR(st.st_mode) || major(st.st_rdev) < PTY_SLAVE ||
		    major(st.st_rdev) >= PTY_SLAVE + PTY_MAJORS)
			continue;
		(void)snprintf(ret, 48, "tty[%llx:%llx]", (unsigned long long)st.st_rdev,
			       (unsigned long long)st.st_dev);
		return 0;
	}
	return d ? -ENOENT : -errno;
}

static int fill_counters(struct suspending *s)
{
	OP_UBC_READER struct op_ubc_reader rd = { 0 };
	struct op_ubc all;
	struct vz_error ignored;

	op_refusals_save(s->o->ctid, &s->desc);
	op_ubc_open(&rd, true, op_ubc_net);
	if (op_ubc_of(&rd, s->o->ctid, OP_UBC_ALL, &all, &ignored) < 0)
		return 0; /* they begin anew, then */
	for (int c = 0; c < UBC_NR && s->desc.ncounters < CPT_COUNTERS; c++) {
		struct cpt_counter *to = &s->desc.counters[s->desc.ncounters++];

		if (vz_copy(to->name, sizeof(to->name), ubc_name((enum ubc_counter)c)) < 0)
			return -EINVAL;
		to->maxheld = all.row[c].maxheld;
		to->failcnt = all.row[c].failcnt;
	}
	return 0;
}

static int save_dev(struct suspending *s)
{
	VZ_FD int dev = -EBADF;
	char path[64];

	(void)snprintf(path, sizeof(path), "/proc/%d/root/dev", (int)s->st.init_pid);
	dev = vz_openat(AT_FDCWD, path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
	return dev < 0 ? dev : cpt_dev_save(dev, &s->desc);
}

static int fill_desc(struct suspending *s)
{
	struct cpt_desc *d = &s->desc;
	const struct vps_state *st = &s->st;
	struct utsname u;
	char path[PATH_MAX];
	const char *hash = s->o->cfg.ostemplate_hash;
	char tty[sizeof(d->tty)];
	struct cpt_givens given = d->given;
	struct vz_error ignored;
	int r = uname(&u) < 0 ? -errno : 0;

	/* of an attempt before; but these are known by now */
	memcpy(tty, d->tty, sizeof(tty));
	d->given.n = 0;
	cpt_desc_clear(d);
	memcpy(d->tty, tty, sizeof(tty));
	d->given = given;
	if (r == 0 && op_given_look(st->init_pid, &d->given, &ignored) < 0)
		r = -EIO;
	d->ctid = s->o->ctid;
	d->taken = (int64_t)time(NULL);
	d->init_pid = st->init_pid;
	d->init_start = st->init_start;
	d->uid_base = st->uid_base;
	d->uid_count = st->uid_count;
	d->caps = st->caps;
	d->ran_ms = vps_state_uptime_ms(st);
	d->seccomp = st->seccomp;
	if (s->parent[0]) {
		d->parents = s->a->chain->n;
		r = r < 0 ? r : vz_copy(d->chain, sizeof(d->chain), s->a->chain->id);
	}
	d->lazy = s->a->pages > 0;
	memcpy(d->boot_id, st->boot_id, sizeof(d->boot_id));
	memcpy(d->layout, st->layout, sizeof(d->layout));
	memcpy(d->init_kind, st->init_kind, sizeof(d->init_kind));
	memcpy(d->criu, s->criu.version, sizeof(d->criu));
	memcpy(d->ping, s->held.ping, sizeof(d->ping));
	if (r == 0)
		r = vz_copy(d->croft, sizeof(d->croft), PACKAGE_VERSION);
	if (r == 0)
		r = vz_copy(d->kernel, sizeof(d->kernel), u.release);
	if (r == 0)
		r = vz_copy(d->machine, sizeof(d->machine), u.machine);
	if (r == 0 && hash)
		r = vz_copy(d->template_hash, sizeof(d->template_hash), hash);
	if (r == 0)
		r = vz_list_copy(&d->addrs, &st->addrs);
	if (r == 0)
		r = vz_list_copy(&d->live, &st->live);
	if (r == 0)
		r = vz_list_copy(&d->view, &st->view);
	(void)vps_path(path, "%s/%u.conf", vps_paths()->conf, s->o->ctid);
	if (r == 0)
		r = (int)vz_read_file(AT_FDCWD, path, 1 << 20, &d->config);
	if (r >= 0)
		r = res_tree_read(&st->cgroups, st->uid_base, st->uid_count, &d->groups);
	d->cpu = cpt_cpu_flags();
	if (!d->cpu)
		d->cpu = strdup("");
	if (r >= 0)
		r = save_dev(s);
	if (r >= 0)
		r = d->cpu ? fill_counters(s) : -ENOMEM;
	return r;
}

/* Before the dump: what CRIU would read and could not write. Noted first, so that it comes back. */
static int ping_away(struct suspending *s, struct vz_error *err)
{
	VZ_FD int netns = netns_of(s);
	int r = netns < 0 ? netns
			  : net_ping_get(netns, s->st.uid_base, s->st.uid_count, s->held.ping);

	if (r == 0)
		r = op_held_write(s->o->ctid, &s->held, err);
	if (r == 0)
		r = net_ping_set(netns, s->st.uid_base, s->st.uid_count, "1 0");
	return r < 0 ? sus_fail(err, r, "net.ipv4.ping_group_range of the VPS") : 0;
}

static int prepare_mounts(struct suspending *s, struct vz_error *err)
{
	VZ_FREE pid_t *pids = NULL;
	size_t n = 0;
	int r = res_pids(s->cg, &pids, &n, err);

	if (r == 0)
		r = cpt_share_slaves(pids, n);
	return r < 0 ? sus_fail(err, r, "mounts of the VPS") : 0;
}

static int start_criu(struct suspending *s, const char *images, bool skip_in_flight)
{
	VZ_LIST struct vz_list argv = { 0 }, env = { 0 };
	char freezer[PATH_MAX];
	const char *group = vps_state_cgroup(&s->st, "v2");
	const struct cpt_run run = { .criu = &s->criu,
				     .images = images,
				     .rundir = s->rundir,
				     .root = s->o->cfg.ve_root,
				     .tty = s->desc.tty,
				     .log = log_name,
				     .owner = s->st.uid_base,
				     .given = &s->desc.given,
				     .parent = s->parent[0] ? s->parent : NULL,
				     .skip_in_flight = skip_in_flight,
				     .lazy = s->a->pages > 0,
				     .stream = s->streamed };
	int r;

	(void)vps_path(freezer, "%s/payload", group ? group : "");
	r = cpt_dump_args(&run, s->st.init_pid, freezer, &s->external, &argv, &env);
	if (r < 0)
		return r;
	s->child = cpt_criu_start(&argv, &env, s->o->cfg.ve_root, NULL,
				  s->a->pages > 0 ? s->a->pages : -1);
	return s->child < 0 ? (int)s->child : vz_proc_pidfd(s->child, 0);
}

static int take_some(void *arg)
{
	struct suspending *s = arg;

	return op_steps_cancelled() ? -EINTR : cpt_stream_step(s->stream);
}

static int wrong_write(const struct suspending *s, int r, struct vz_error *err)
{
	return vz_fail(err, VZ_EXIT_CHKPNT, -r, "write %s", s->file);
}

/* While CRIU starts we describe the VPS, which has been frozen. */
static int take_stream(struct suspending *s, int watch, int end, struct vz_error *err)
{
	const struct ctx_meanwhile m = { cpt_stream_fd(s->stream), take_some, s };
	int r = fill_desc(s);

	if (r < 0)
		return sus_fail(err, r, "describe the VPS");
	r = cpt_stream_begin(s->stream, &s->desc, s->a->level);
	if (r == 0)
		r = ctx_gate_wait(s->rundir, watch, end, &m, &s->gate);
	return r < 0 && r != -ECHILD && r != -EINTR ? wrong_write(s, r, err) : r;
}

/* @ret_again: CRIU has failed, and may not in a moment. */
static int run_criu(struct suspending *s, bool skip_in_flight, bool *ret_again,
		    struct vz_error *err)
{
	VZ_FD int watch = ctx_gate_watch(s->rundir), end = -EBADF;
	char why[300];
	int r = watch < 0 ? sus_fail(err, watch, "prepare CRIU") : 0;

	*ret_again = false;
	if (r == 0 && s->streamed)
		r = cpt_stream_open(s->file, s->rundir, &s->stream, err);
	if (r < 0)
		return r;
	end = start_criu(s, s->streamed ? cpt_stream_dir(s->stream) : s->images, skip_in_flight);
	if (end < 0)
		return sus_fail(err, end, "start CRIU");
	r = s->streamed ? take_stream(s, watch, end, err)
			: ctx_gate_wait(s->rundir, watch, end, NULL, &s->gate);
	if (r != -ECHILD)
		return r == -EINTR || (r < 0 && !s->streamed) ? sus_fail(err, r, "wait for CRIU")
							      : r;
	cpt_stream_closep(&s->stream);
	r = vz_wait(s->child);
	s->child = 0;
	*ret_again = true;
	return vz_fail(err, VZ_EXIT_CHKPNT, 0,
		       "CRIU could not dump VPS %u: %s (status %d, log %s/%s)", s->o->ctid,
		       cpt_criu_why(s->rundir, log_name, why, sizeof(why)), r, s->rundir, log_name);
}

/*
 * A connection that is not accepted yet, data on a Unix one, a process about to be born: gone a moment later. So the
 * VPS runs a little between attempts. The last one leaves out connections that nobody ever accepts: they are lost, as
 * in a reboot.
 */
static int dump_patiently(struct suspending *s, struct vz_error *err)
{
	enum { TRIES = 4, RUN_MS = 60 };
	bool again = true;
	int r = -EAGAIN;

	for (int i = 0; again && i < TRIES; i++) {
		if (i > 0) {
			struct vz_error ignored;

			vz_info("%s; once more", err->msg);
			if (res_freeze(&s->st.cgroups, false, FREEZE_MS, &ignored) < 0)
				return r;
			(void)poll(NULL, 0, RUN_MS);
			if (op_freeze_all(&s->st, s->cg, s->o->ctid, err) < 0)
				return -EAGAIN;
		}
		r = vz_rm_rf(AT_FDCWD, s->images);
		if ((r < 0 && r != -ENOENT) || (!s->streamed && mkdir(s->images, 0700) < 0))
			return vz_fail(err, VZ_EXIT_CHKPNT, r < 0 && r != -ENOENT ? -r : errno,
				       "make %s", s->images);
		r = run_criu(s, i == TRIES - 1, &again, err);
	}
	return r;
}

static int step_dump(void *arg, struct vz_error *err)
{
	struct suspending *s = arg;
	int r;

	vz_say("\tdump...");
	memcpy(s->held.file, s->file, sizeof(s->held.file));
	r = console_key(s->st.mon_pid, s->desc.tty);
	if (r < 0)
		return sus_fail(err, r, "find the console of the VPS");
	r = ping_away(s, err);
	if (r == 0)
		r = prepare_mounts(s, err);
	if (r < 0)
		return r;
	return dump_patiently(s, err);
}

static void settle_criu(struct suspending *s)
{
	VZ_FD int end = -EBADF;

	if (s->child <= 0)
		return;
	end = vz_proc_pidfd(s->child, 0);
	ctx_gate_settle(s->rundir, end, &s->gate);
	(void)vz_wait(s->child);
	s->child = 0;
}

static void undo_dump(void *arg)
{
	struct suspending *s = arg;

	/* first: CRIU, if it is not at its gate yet, finds nobody who reads, and ends */
	cpt_stream_closep(&s->stream);
	/* one that is to hand out memory goes on past its gate in any case; its other end is the caller's, who waits for us */
	if (s->a->pages > 0)
		(void)shutdown(s->a->pages, SHUT_RDWR);
	settle_criu(s);
	(void)!vz_rm_rf(AT_FDCWD, s->images);
}

/* The files of the VPS and the dump are on the disk by one commit where they are on one file system. */
static int finish_stream(struct suspending *s, struct vz_error *err)
{
	int r = cpt_stream_finish(s->stream);

	if (r < 0)
		return wrong_write(s, r, err);
	r = flush_files(s, err);
	if (r < 0)
		return r;
	r = cpt_stream_commit(s->stream);
	cpt_stream_closep(&s->stream);
	return r < 0 ? wrong_write(s, r, err) : 0;
}

static int step_pack(void *arg, struct vz_error *err)
{
	struct suspending *s = arg;
	int r;

	if (s->streamed)
		return finish_stream(s, err);
	r = fill_desc(s);
	if (r < 0)
		return sus_fail(err, r, "describe the VPS");
	r = flush_files(s, err);
	if (r == 0)
		r = cpt_pack(s->images, s->file, &s->desc, s->a->level, err);
	(void)!vz_rm_rf(AT_FDCWD, s->images);
	return r;
}

/* ---- kill: no way back ---- */

static int step_kill(void *arg, struct vz_error *err)
{
	struct suspending *s = arg;
	int r;

	vz_say("\tkill...");
	/* CRIU leaves what the images name (links to deleted files) only when it kills by itself */
	if (s->gate.sk >= 0 && ctx_gate_say(&s->gate, true) < 0)
		vz_info("CRIU went before it was told");
	if (s->child > 0)
		(void)vz_wait(s->child);
	s->child = 0;
	r = res_kill_all(s->cg, KILL_MS, err);
	if (r < 0)
		err->exit = VZ_EXIT_CHKPNT;
	op_end_server(&s->held);
	/* its connections, which CRIU has let go of, hold its network until they give up saying good-bye */
	if (r == 0 && s->held.server && s->st.ifname[0])
		r = net_link_delete(s->st.ifname, err);
	return r;
}

static int step_clean(void *arg, struct vz_error *err)
{
	struct suspending *s = arg;
	int r = op_cleanup_dead(s->o, err);

	if (r < 0)
		return r;
	op_held_forget(s->o->ctid);
	op_record_stopped(s->o);
	if (s->a->skip_umount || !sto_mounted(s->o->cfg.ve_root) || !op_mount_is_ours(s->o))
		return 0;
	r = op_do_umount(s->o, err);
	if (r == 0)
		vz_say("VPS is unmounted");
	return r;
}

static const struct op_step freeze_steps[] = {
	{ "check", step_check, NULL },
	{ "freeze", step_freeze, undo_freeze },
};
static const struct op_step dump_steps[] = {
	{ "dump", step_dump, undo_dump },
	{ "pack", step_pack, undo_dump },
};
static const struct op_step kill_steps[] = {
	{ "kill", step_kill, NULL },
	{ "clean", step_clean, NULL },
};
static const struct op_step all_steps[] = {
	{ "check", step_check, NULL },
	{ "freeze", step_freeze, undo_freeze },
	{ "dump", step_dump, undo_dump },
	{ "pack", step_pack, undo_dump },
};

/* ---- the stages ---- */

static int leave_frozen(struct suspending *s, struct vz_error *err)
{
	s->held.hold = OP_HOLD_STAGE;
	return op_held_write(s->o->ctid, &s->held, err);
}

static int do_dump_stage(struct suspending *s, struct vz_error *err)
{
	int r = step_check(s, err);

	if (s->held.file[0])
		return vz_fail(err, VZ_EXIT_CHKPNT, EALREADY, "VPS %u is in %s already", s->o->ctid,
			       s->held.file);
	if (r == 0)
		r = op_steps_run("suspend-dump", OP_STEPS(dump_steps), s, err);
	if (r < 0) {
		struct op_held back = s->held;
		struct vz_error ignored;

		/* frozen as before */
		back.file[0] = '\0';
		if (s->gate.sk >= 0)
			(void)!ctx_gate_say(&s->gate, false);
		(void)!op_held_write(s->o->ctid, &back, &ignored);
		return r;
	}
	return leave_frozen(s, err);
}

/*
 * CRIU goes on past its gate and hands out memory. It unlocks the network there, so the link goes down before; and it
 * holds the processes itself, so they are frozen besides, should it die.
 */
static int serve(struct suspending *s, struct vz_error *err)
{
	int r = vz_proc_starttime(s->gate.criu, &s->held.server_start);

	if (r < 0)
		return sus_fail(err, r, "CRIU at its gate");
	s->held.server = s->gate.criu;
	r = op_held_write(s->o->ctid, &s->held, err);
	if (r == 0 && s->st.ifname[0])
		r = net_link_up(s->st.ifname, false, err);
	if (r == 0 && ctx_gate_tell(&s->gate, true) < 0)
		r = sus_fail(err, -ECONNRESET, "tell CRIU to go on");
	if (r == 0)
		r = res_freeze(&s->st.cgroups, true, FREEZE_MS, err);
	return r;
}

static int do_stage(struct suspending *s, struct vz_error *err)
{
	const unsigned int stages = s->a->stages;
	int r;

	if (stages == OP_STAGE_FREEZE) {
		if (s->held.hold != OP_HOLD_NONE)
			return vz_fail(err, VZ_EXIT_CHKPNT, EALREADY, "VPS %u is suspended already",
				       s->o->ctid);
		vz_say("Setting up checkpoint...");
		r = op_steps_run("suspend", OP_STEPS(freeze_steps), s, err);
		return r < 0 ? r : leave_frozen(s, err);
	}
	if (s->held.hold != OP_HOLD_STAGE)
		return vz_fail(err, VZ_EXIT_CHKPNT, 0, "VPS %u is not suspended: --suspend first",
			       s->o->ctid);
	if (stages == OP_STAGE_DUMP) {
		vz_say("Setting up checkpoint...");
		return do_dump_stage(s, err);
	}
	if (ctx_gate_open(s->rundir, &s->gate) < 0)
		s->gate = (struct ctx_gate)CTX_GATE_NONE;
	if (stages == OP_STAGE_SERVE)
		return s->gate.sk < 0 ? sus_fail(err, -ENOENT, "CRIU at its gate") : serve(s, err);
	if (stages == OP_STAGE_THAW) {
		vz_say("Resuming...");
		ctx_gate_close(&s->gate);
		return op_thaw(s->o, &s->st, &s->held, err);
	}
	vz_say("Killing...");
	return op_steps_run("suspend-kill", OP_STEPS(kill_steps), s, err);
}

static int do_all(struct suspending *s, struct vz_error *err)
{
	int r;

	if (s->held.hold != OP_HOLD_NONE)
		return vz_fail(err, VZ_EXIT_CHKPNT, EALREADY,
			       "VPS %u is suspended in stages: --dump, --kill or --resume",
			       s->o->ctid);
	vz_say("Setting up checkpoint...");
	r = op_steps_run("suspend", OP_STEPS(all_steps), s, err);
	if (r == 0)
		r = op_steps_run("suspend-kill", OP_STEPS(kill_steps), s, err);
	return r;
}

static int prepare(struct suspending *s, struct vz_error *err)
{
	struct op *o = s->o;

	(void)op_cpt_rundir(o->ctid, s->rundir);
	if (!s->a->dumpfile)
		(void)op_dump_path(o, s->file);
	else if (!realpath(".", s->file)) /* CRIU and later commands have other directories */
		return vz_fail(err, VZ_EXIT_CHKPNT, errno, "current directory");
	else if (s->a->dumpfile[0] == '/')
		(void)vps_path(s->file, "%s", s->a->dumpfile);
	else
		(void)vps_path(s->file + strlen(s->file), "/%s", s->a->dumpfile);
	(void)vps_path(s->images, "%s.tmp", s->file);
	if (s->a->chain && s->a->chain->n) {
		char sent[PATH_MAX];

		(void)vps_path(s->parent, "..%s/%u", strrchr(op_rounds_sent(o, sent), '/'),
			       s->a->chain->n);
	}
	s->streamed = !s->parent[0] && s->a->pages <= 0;
	return res_open(&s->st.cgroups, &s->cg, err);
}

int op_suspend(const struct op_env *env, uint32_t ctid, const struct op_suspend *a,
	       struct vz_error *err)
{
	const unsigned int all = OP_STAGE_FREEZE | OP_STAGE_DUMP | OP_STAGE_KILL;
	struct suspending s = { .a = a, .gate = CTX_GATE_NONE };
	OP struct op o;
	int r = op_open(&o, env, ctid, "suspending", err);

	s.o = &o;
	if (r == 0)
		r = vz_kernel_check(VZ_NEED_END | VZ_NEED_JOIN, err);
	if (r < 0)
		return r;
	if (!vps_running(ctid, &s.st))
		return vz_fail(err, VZ_EXIT_NOT_RUNNING, 0, "Container is not running");
	op_held_read(ctid, &s.held);
	r = prepare(&s, err);
	if (r == 0)
		r = a->stages == all ? do_all(&s, err) : do_stage(&s, err);
	if (r == 0 && (a->stages & OP_STAGE_KILL || a->stages == OP_STAGE_DUMP))
		vz_say("Checkpointing completed successfully");
	ctx_gate_close(&s.gate);
	cpt_stream_closep(&s.stream);
	res_closep(&s.cg);
	cpt_desc_clear(&s.desc);
	vz_list_clear(&s.external);
	vps_state_clear(&s.st);
	return r < 0 && err->exit == VZ_EXIT_SYSTEM ? vz_wrap(err, r, "Checkpointing failed") : r;
}
