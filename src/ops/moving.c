/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What both sides of a migration do, and what a later command does after one that died. */
#include "ops/moving.h"

#include "net/net.h"
#include "ops/cpt.h"
#include "util/fd.h"
#include "util/log.h"

#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>

void op_moving_hush(void)
{
	vz_log_level(-1);
}

int op_moving_exit(struct vz_error *err, int r, int exit)
{
	if (r < 0 && !mig_link_broken(err))
		err->exit = err->exit == VZ_EXIT_LOCKED && exit != MIG_EXIT_EXISTS ? MIG_EXIT_LOCKED
										   : exit;
	return r;
}

const char *op_private_staged(const char *private_dir, char ret[PATH_MAX])
{
	return vps_path(ret, "%s.migrate", private_dir);
}

const char *op_dump_staged(const struct op *o, char ret[PATH_MAX])
{
	return vps_path(ret, "%s/Dump.%u.migrate", o->cfg.dumpdir ? o->cfg.dumpdir : "", o->ctid);
}

const struct op_moving_file *op_moving_files(size_t i)
{
	static const struct op_moving_file files[] = {
		{ "conf", "conf" },
		{ "start", "start" },
		{ "stop", "stop" },
		{ "mount", "mount" },
		{ "umount", "umount" },
		{ "premount", "premount" },
		{ "postumount", "postumount" },
	};

	return i < sizeof(files) / sizeof(*files) ? &files[i] : NULL;
}

/* ---- the files ---- */

static int side_dirs(const struct op *o, struct op_side *s, struct vz_error *err)
{
	int r = vps_run_dir(o->ctid);

	(void)vps_path(s->at, "%s/%u/migrate", vps_paths()->run, o->ctid);
	(void)vps_path(s->mount, "%s/%u/migrate-root", vps_paths()->run, o->ctid);
	if (r == 0)
		r = vz_mkdir_p(s->at, 0700);
	if (r == 0)
		r = vz_mkdir_p(s->mount, 0700);
	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "make %s", s->at) : 0;
}

static int open_merged(struct op *o, const struct sto_place *p, struct op_side *s,
		       struct vz_error *err)
{
	const char *dir = p->root;
	int r;

	s->userns = op_userns(o, err);
	if (s->userns < 0)
		return s->userns;
	/* the same upper layer cannot be mounted twice */
	if (!sto_mounted(p->root) || strcmp(p->private_dir, o->cfg.ve_private) != 0) {
		struct sto_place own = *p;

		r = op_side_unmount_stale(o->ctid, err);
		if (r < 0)
			return r;
		own.root = dir = s->mount;
		r = o->layout->mount(&own, s->userns, err);
		if (r < 0)
			return r;
		s->mounted = true;
	}
	s->root = vz_openat(AT_FDCWD, dir, O_RDONLY | O_DIRECTORY, 0);
	return s->root < 0 ? vz_fail(err, MIG_EXIT_COPY, -s->root, "open %s", dir) : 0;
}

int op_side_open(struct op *o, const char *private_dir, struct op_side *ret, struct vz_error *err)
{
	struct sto_place p;
	int r = op_place(o, &p, err);

	*ret = OP_SIDE_NONE;
	if (r == 0)
		r = side_dirs(o, ret, err);
	if (r < 0)
		return r;
	p.private_dir = private_dir;
	if (o->layout->needs_template) {
		r = open_merged(o, &p, ret, err);
	} else {
		ret->root =
			vz_openat(AT_FDCWD, private_dir, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0);
		r = ret->root < 0 ? vz_fail(err, MIG_EXIT_COPY, -ret->root, "open %s", private_dir)
				  : 0;
	}
	if (r < 0 && op_side_close(ret, NULL, &(struct vz_error){ 0 }) < 0)
		vz_warn("WARNING: %s is left mounted", ret->mount);
	return r;
}

static int sync_child(void *arg, struct vz_error *err)
{
	return syncfs(*(int *)arg) < 0
		       ? vz_fail(err, MIG_EXIT_COPY, errno, "write the files to disk")
		       : 0;
}

int op_sync(int fd, struct mig_conn *c, struct vz_error *err)
{
	return mig_busy(c, sync_child, &fd, err);
}

int op_side_close(struct op_side *s, struct mig_conn *c, struct vz_error *err)
{
	int r = s->root >= 0 ? op_sync(s->root, c, err) : 0;

	vz_closep(&s->root);
	if (s->mounted && sto_umount(s->mount, err) < 0)
		return -EBUSY;
	s->mounted = false;
	if (s->mount[0])
		(void)rmdir(s->mount);
	if (s->at[0])
		(void)rmdir(s->at);
	return r;
}

/* ---- the target ---- */

static int remove_tree(const char *path, struct vz_error *err)
{
	int r = vz_rm_rf(AT_FDCWD, path);

	return r < 0 && r != -ENOENT ? vz_fail(err, MIG_EXIT_COPY, -r, "remove %s", path) : 0;
}

int op_moving_drop_memory(struct op *o, struct vz_error *err)
{
	int r = op_mem_drop(o->ctid, err);

	return r < 0 || !o->cfg.ve_root ? r : op_mend(o, err); /* its mount, too */
}

/*
 * The journal goes last: as long as it is there, this can be done again. What had its place among the
 * configurations goes before the files, so that nobody sees a VPS without them.
 */
int op_moving_drop(struct op *o, const struct mig_journal *j, struct vz_error *err)
{
	char path[PATH_MAX], staged[PATH_MAX];
	struct stat st;
	int r = op_moving_drop_memory(o, err);

	if (r == 0)
		r = op_side_unmount_stale(o->ctid, err);
	if (r < 0)
		return r;
	(void)unlink(op_dump_staged(o, path));
	(void)!vz_rm_rf(AT_FDCWD, op_rounds_beside(path, staged));
	op_moving_room_back(o, j);
	if (j->installed) {
		vps_record_forget(o->ctid);
		for (size_t i = 0; op_moving_files(i); i++)
			(void)unlink(vps_path(path, "%s/%u.%s", vps_paths()->conf, o->ctid,
					      op_moving_files(i)->suffix));
		vps_name_unlink(o->ctid, o->cfg.name);
		(void)!vz_fsync_dir_of(path);
		/* what was unpacked of it, too: after a power cut nothing else tells of that */
		op_dumps_forget(o);
	}
	(void)op_private_staged(j->private_dir, staged);
	if (j->installed && !j->shared && lstat(j->private_dir, &st) == 0)
		op_private_release(o, &st);
	if (j->installed && !j->shared && lstat(staged, &st) < 0 &&
	    rename(j->private_dir, staged) < 0 && errno != ENOENT)
		return vz_fail(err, MIG_EXIT_COPY, errno, "rename %s", j->private_dir);
	if (!j->keep && !j->shared)
		r = remove_tree(staged, err);
	if (r < 0)
		return r;
	r = mig_journal_remove(o->ctid);
	if (r < 0)
		return vz_fail(err, MIG_EXIT_COPY, -r, "remove the journal of VPS %u", o->ctid);
	(void)!vz_rm_rf(AT_FDCWD, vps_path(path, "%s/%u", vps_paths()->run, o->ctid));
	return 0;
}

int op_moving_promise(struct op *o, struct mig_journal *j, uint64_t dump, struct vz_error *err)
{
	struct mig_journal taken = *j; /* its strings are borrowed */
	int r = 0;

	if (j->start) {
		r = op_moving_room(o, j, dump, err);
		if (r < 0)
			return r;
		/* before the journal says that it is ours: after a power cut it starts with the node */
		r = vps_record_secure(o->ctid);
		if (r < 0)
			return vz_fail(err, r == -ENOSPC ? MIG_EXIT_SPACE : MIG_EXIT_COPY, -r,
				       "write a note to %s/running on the target",
				       vps_paths()->vzdir);
	}
	taken.step = MIG_S_TAKEN;
	j->step = MIG_S_PROMISED;
	r = mig_journal_lay_out(&taken);
	if (r == 0)
		r = mig_journal_save(j);
	return r < 0 ? vz_fail(err, r == -ENOSPC ? MIG_EXIT_SPACE : MIG_EXIT_COPY, -r,
			       "write the journal of VPS %u on the target", j->ctid)
		     : 0;
}

int op_moving_take(struct op *o, struct mig_journal *j, struct vz_error *err)
{
	int r;

	j->step = MIG_S_TAKEN;
	r = mig_journal_turn(j);
	if (r == 0 || r == -ENOSPC)
		op_moving_room_back(o, j);
	if (r == -ENOSPC) /* a file system that needs room for a rename */
		r = mig_journal_turn(j);
	if (r < 0)
		j->step = MIG_S_PROMISED;
	if (r == 0 && j->start && !vps_record_ran(o->ctid) && vps_record_secure(o->ctid) < 0)
		vz_info("no note in %s/running", vps_paths()->vzdir);
	return r < 0 ? vz_fail(err, MIG_EXIT_START, -r, "write the journal of VPS %u", j->ctid) : 0;
}

/* The neighbours send what is for it to the source, until they hear of us. */
static void announce(uint32_t ctid)
{
	VPS_CONFIG struct vps_config c = { 0 };
	struct vz_error err;

	if (vps_load(ctid, &c, NULL, &err) < 0)
		return;
	for (size_t i = 0; i < c.ip_address.n; i++)
		if (net_announce(c.ip_address.v[i], &err) < 0)
			vz_warn("WARNING: %s", err.msg);
}

/** struct running - @memory: it goes on from where it was; @lazy: which it cannot do a second time */
struct running {
	struct op *o;
	bool memory, lazy;
};

static int start_anew(uint32_t ctid, struct vz_error *err)
{
	const struct op_env env = { .skiplock = true, .migrating = true };
	const struct op_start start = { 0 };

	/* somebody was faster, perhaps: it is ours, and everybody may */
	return vps_running(ctid, NULL) ? 0 : op_start(&env, ctid, &start, err);
}

static int start_child(void *arg, struct vz_error *err)
{
	const struct running *a = arg;
	int r = a->memory ? op_mem_go(a->o->ctid, err) : -ENOENT;

	if (a->memory && (r == 0 || !a->lazy))
		return r;
	if (a->lazy) {
		vz_warn("WARNING: VPS %u is started anew: the rest of its memory did not come",
			a->o->ctid);
		op_mem_forget(a->o);
		r = op_cpt_mend(a->o,
				err); /* its note and its link, if it was killed before it ran */
		if (r < 0)
			return r;
	}
	return start_anew(a->o->ctid, err);
}

int op_moving_run(struct op *o, const struct mig_journal *j, struct mig_conn *c,
		  struct vz_error *err)
{
	struct running a = { o, op_mem_there(o), op_mem_lazy(o) };
	int r;

	op_moving_room_back(o, j); /* also of one that died just after it had taken it */
	if (!j->start)
		return 0;
	r = mig_busy(c, start_child, &a, err);
	if (r == 0)
		announce(j->ctid);
	return op_moving_exit(err, r, MIG_EXIT_START);
}

/* ---- the source ---- */

/* --remove-area no, and shared storage: names that nothing takes for those of a VPS. */
static int set_aside(struct op *o, const struct mig_journal *j, struct vz_error *err)
{
	char from[PATH_MAX], to[PATH_MAX];
	struct stat st;

	if (lstat(o->cfg.ve_private, &st) == 0)
		op_private_release(o, &st);
	if (!j->shared) {
		(void)vps_path(to, "%s.migrated", o->cfg.ve_private);
		if (rename(o->cfg.ve_private, to) < 0 && errno != ENOENT)
			return vz_fail(err, MIG_EXIT_COPY, errno, "rename %s", o->cfg.ve_private);
	}
	for (size_t i = 1; i <= 7; i++) { /* the configuration, the first of them, goes last */
		const char *suffix = op_moving_files(i % 7)->suffix;

		(void)vps_path(from, "%s/%u.%s", vps_paths()->conf, o->ctid, suffix);
		(void)vps_path(to, "%s/%u.%s.migrated", vps_paths()->conf, o->ctid, suffix);
		if (rename(from, to) < 0 && errno != ENOENT)
			return vz_fail(err, MIG_EXIT_COPY, errno, "rename %s", from);
	}
	vps_name_unlink(o->ctid, o->cfg.name);
	return vz_fsync_dir_of(from) < 0
		       ? vz_fail(err, MIG_EXIT_COPY, EIO, "fsync %s", vps_paths()->conf)
		       : 0;
}

static int clean_child(void *arg, struct vz_error *err)
{
	const struct op *o = arg;
	const struct op_env env = { .skiplock = true, .migrating = true };

	op_moving_hush();
	return op_destroy(&env, o->ctid, err);
}

/* One that is dumped here and runs there; it was frozen since. */
static int kill_child(void *arg, struct vz_error *err)
{
	const struct op *o = arg;

	op_moving_hush();
	return op_mem_kill(o->ctid, err);
}

int op_moving_clean(struct op *o, struct mig_journal *j, struct vz_error *err)
{
	char conf[PATH_MAX], dump[PATH_MAX];
	int r = mig_busy(NULL, kill_child, o, err);

	if (r == 0)
		r = op_side_unmount_stale(o->ctid, err);
	(void)unlink(op_dump_path(o, dump));
	op_rounds_forget(o);
	if (r == 0)
		r = op_mend(o, err); /* the mount, groups */
	if (r == 0 && access(vps_path(conf, "%s/%u.conf", vps_paths()->conf, o->ctid), F_OK) == 0)
		r = j->remove && !j->shared ? mig_busy(NULL, clean_child, o, err)
					    : set_aside(o, j, err);
	if (r < 0)
		return r;
	vps_record_forget(o->ctid);
	j->step = MIG_S_CLEANED;
	r = mig_journal_save(j);
	return r < 0 ? vz_fail(err, MIG_EXIT_COPY, -r, "write the journal of VPS %u", o->ctid) : 0;
}

/* ---- the connection ---- */

int op_link_open(const struct vz_list *transport, const char *host, int timeout_ms,
		 struct op_link *ret, struct vz_error *err)
{
	VZ_JSON json_t *answer = NULL;
	int fd, r;

	*ret = (struct op_link){ .peer = { .fd = -EBADF } };
	r = mig_peer_start(transport, host, &ret->peer, err);
	if (r < 0)
		return r;
	ret->up = true;
	fd = vz_take_fd(&ret->peer.fd);
	r = mig_conn_init(&ret->conn, fd, fd, timeout_ms);
	if (r < 0)
		r = vz_fail(err, MIG_EXIT_CONNECT, -r, "connection");
	else
		r = mig_call(&ret->conn, "HELLO",
			     json_pack("{si si}", "version", MIG_VERSION, "timeout_ms", timeout_ms),
			     &answer, err);
	if (r == 0 && vz_json_int(answer, "version", 0) != MIG_VERSION)
		r = vz_fail(err, MIG_EXIT_VERSION, 0,
			    "%s speaks version %lld of the protocol, this node %d", host,
			    (long long)vz_json_int(answer, "version", 0), MIG_VERSION);
	if (r < 0) {
		if (err->exit == MIG_EXIT_PROTOCOL)
			err->exit = MIG_EXIT_CONNECT;
		op_link_close(ret);
		return vz_wrap(err, r, "no vzmigrate on %s", host);
	}
	return 0;
}

void op_link_close(struct op_link *l)
{
	if (!l->up)
		return;
	l->up = false;
	mig_conn_end(&l->conn);
	mig_peer_end(&l->peer, 2000);
}

int op_moving_tell(const struct mig_journal *j, const char *what, int timeout_ms,
		   struct vz_error *err)
{
	struct op_link l;
	VZ_JSON json_t *answer = NULL;
	const char *verb = strcmp(what, "forget") ? "VERDICT" : "FORGET";
	int r = op_link_open(&j->transport, j->host, timeout_ms, &l, err);

	if (r < 0)
		return r;
	r = mig_call(&l.conn, verb,
		     json_pack("{sI ss ss}", "ctid", (json_int_t)j->peer_ctid, "id", j->id,
			       "verdict", what),
		     &answer, err);
	if (r == 0 && *vz_json_str(answer, "start_error")) {
		char shown[300];

		vz_warn("WARNING: VPS %u is on %s now, but does not run there: %s", j->peer_ctid,
			j->host,
			vz_quote(shown, sizeof(shown), vz_json_str(answer, "start_error")));
	}
	if (r == 0) {
		struct vz_error ignored;

		(void)!mig_call(&l.conn, "BYE", NULL, NULL, &ignored);
	}
	op_link_close(&l);
	return r;
}
